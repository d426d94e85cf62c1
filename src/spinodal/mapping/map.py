"""The main job: from a task to its phase diagram."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from typing import Any

import torch
from torch import Tensor

from spinodal.arguments import real_number, switch, whole_number
from spinodal.counts import Counts
from spinodal.errors import SpinodalError, blaming, positive_beta, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.mapping.after_walk import AfterWalk, Walk
from spinodal.mapping.trial import try_start
from spinodal.minima.deepest import DOUBLINGS, RATIO, TRIVIAL_VARIANCE, Ladder, annealed, climb, deepest, no_predictions, raised
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.minimise import LOST, solver_for
from spinodal.missing import Attempts
from spinodal.observe import Observer
from spinodal.phases.diagram import PhaseDiagram
from spinodal.phases.transition_record import to_record
from spinodal.phases.tree import falls_along
from spinodal.sweeps.resolution import LARGEST_SPARING, Resolution, bracket_for
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.sweeping import DIRECTIONS
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Forgetful, Point, Recorder, Walker
from spinodal.tasks.blame import owner_of
from spinodal.tasks.models import Models
from spinodal.tasks.task import DTYPES, Task

PIECES = 8  # of the samples of a large network, one of which leads the search for a start
BESIDE = 0.1  # relative width of minor brackets where phases are followed beside the ways of a loop
Prepared = tuple[Landscape, Penalty]
OWN = "auto"  # the precision that a task is computed in of itself


@dataclass(frozen=True)
class MapOptions:
    """How to map; every default is stated here and nowhere else.

    Attributes
    ----------
    beta : (low, high) or None
        Range of beta. None: HIGH by doubling until the trivial phase, LOW = HIGH / 300.
    direction : {"up", "down", "loop"}
        "up" follows the deepest phase, "down" the trivial one. "loop" goes up and back down, and follows every phase to
        both of its ends.
    seed : int
        Of the random starts; start k uses seed `1000 * seed + k`.
    starts : int
        Number of random starts from which the deepest phase is chosen.
    solver : {"auto", "newton", "newton_cg", "lbfgs"}
        "auto": the task's own, if it names one, else by size (see `solver_for`).
    tolerance : float or None
        Relative residual; None: the solver's default.
    bracket : float or None
        Relative width of macroscopic brackets; None: 1e-5 dense, 1e-4 beyond 800 parameters, 1e-3 matrix-free.
    dtype : {"auto", "float64", "float32"}
        "auto": the task's own, which is float64 unless it names another.
    device : str
    branches : bool
        Whether to follow, in a map upwards, every phase as a branch through the fold in which it may end, and to find
        where phases are equally deep. A loop always does so.
    curvature : bool
        Whether to compute, after the walk, the curvature of E and of L at every followed point (see `Curvature`). No phase
        and no transition depends on it.
    """

    beta: tuple[float, float] | None = None
    direction: str = "up"
    seed: int = 0
    starts: int = 4
    solver: str = "auto"
    tolerance: float | None = None
    bracket: float | None = None
    dtype: str = OWN
    device: str = "cpu"
    branches: bool = False
    curvature: bool = False

    def __post_init__(self) -> None:
        """Refuse options that mean nothing."""
        if self.beta is not None:
            low, high = (positive_beta(value) for value in self.beta)
            if not low < high:
                raise SpinodalError(
                    got=f"beta range {low:g}:{high:g} is reversed or empty",
                    allowed="LOW < HIGH is allowed",
                    do=f"try {high:g}:{low:g}",
                )
        if self.direction not in DIRECTIONS:
            raise unknown_name("direction", self.direction, DIRECTIONS)
        if self.dtype not in (OWN, *DTYPES):
            raise unknown_name("dtype", self.dtype, (OWN, *DTYPES))
        if switch("branches", self.branches) and self.direction == "down":
            raise SpinodalError(
                got="branches in a map downwards", allowed="branches in direction up or loop are allowed", do="go up"
            )
        switch("curvature", self.curvature)
        whole_number("starts", self.starts, least=1, do="try 4")
        if self.bracket is not None:
            Resolution(bracket=self.bracket)
        if self.tolerance is not None and not 0 < real_number(self.tolerance) < 1:
            raise SpinodalError(
                got=f"tolerance = {self.tolerance}", allowed="a number between 0 and 1 is allowed", do="try 1e-6"
            )


class Progress:
    """What a watcher of a map may be told; the default says nothing."""

    def range(self, low: float, high: float, solver: str) -> None:
        """Hear the range of beta and the solver, once known."""

    def stage(self, what: str) -> None:
        """Hear what is done next, before the walk."""

    def point(self, point: Point) -> None:
        """Hear of a point on the followed branch."""

    def transition(self, transition: Transition) -> None:
        """Hear of a transition, as it is found."""

    def walked(self, diagram: PhaseDiagram) -> None:
        """Hear of the finished walk, recorded, before anything that builds on it is tried."""

    def curvature(self, done: int, total: int) -> None:
        """Hear, after the walk, at how many points the curvature is known, before the next one is computed."""

    def failed(self, what: str, cause: BaseException) -> None:
        """Hear that a part which builds on the walk failed, as it does."""


def map_phases(
    task: Task,
    *,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
    progress: Progress | None = None,
    prepared: Prepared | None = None,
    **settings: Any,
) -> PhaseDiagram:
    """Map the phases of a task along the strength beta of its L2 penalty.

    The deepest phase is found from several random starts, minimised at the lowest beta and lowered to
    it slowly from a tenth of the highest; then it is followed upwards (or the trivial one downwards, or both
    in a loop), and every discontinuity on the way is bracketed. What builds on the finished walk (branches, the way
    back, curvature) never costs it: a part that fails is named in `PhaseDiagram.missing`, with its cause.

    Parameters
    ----------
    task : Task
    options : MapOptions, optional
        Or give its fields as keyword arguments: ``map_phases(task, beta=(1e-3, 1.0), seed=1)``.
    recorder : Recorder, optional
        Where points are journalled (see `spinodal.store`). Default: nowhere.
    progress : Progress, optional
    prepared : (Landscape, Penalty), optional
        What `prepare` gave for this task and these options. Default: prepared here.

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    SpinodalError
        For bad options, or a task that has no energy or no minimiser; the cause is named.

    Examples
    --------
    A linear net with one hidden layer loses its modes at beta = s, by second-order transitions:

    >>> from spinodal.tasks import gaussian
    >>> task = gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = map_phases(task)
    >>> [(round(t.beta, 4), t.order) for t in diagram.transitions]
    [(0.4, 'second'), (0.9, 'second')]
    """
    chosen = replace(options, **settings) if options else MapOptions(**settings)
    return _Map(task, chosen, recorder or Forgetful(), progress or Progress(), prepared or prepare(task, chosen)).run()


def prepare(task: Task, options: MapOptions) -> Prepared:
    """Return the landscape and penalty of a task, or refuse a task that cannot be mapped."""
    _check_seed(options)
    device = usable_device(options.device)
    allowed, do = "a model, a loss and data that work together are allowed", "check the task, or add --debug to see where"
    with blaming(f"task {task.name}", allowed=allowed, do=do):
        landscape = task.landscape(dtype=DTYPES.get(options.dtype), device=device)
        penalty = task.penalty(landscape)
        refuse_scale_invariance(landscape, penalty)
        chosen_solver(task, options, landscape)
        landscape.require_second_derivatives()  # margins need them, after minutes
        view = try_start(task, landscape, penalty, 1000 * options.seed)
    if options.beta is None and view.output_variance is None:
        raise no_predictions()
    return landscape, penalty


def chosen_solver(task: Task, options: MapOptions, landscape: Landscape) -> str:
    """Return the solver that the options name, else the task, else the size."""
    return solver_for(landscape, task.solver if options.solver == "auto" else options.solver)


def _check_seed(options: MapOptions) -> None:
    """Refuse a seed whose starts have no seed of 64 bits."""
    if 1000 * abs(options.seed) + options.starts > 2**63:
        raise SpinodalError(
            got=f"seed = {options.seed}",
            allowed=f"a whole number of size up to {2**63 // 1000 - options.starts:,} is allowed",
            do="give a smaller one",
        )


def usable_device(name: str) -> torch.device:
    """Return the device of a name, or refuse it if it is not there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as cause:
        raise SpinodalError(
            got=f"device {name!r} cannot be used ({str(cause).split(chr(10))[0]})",
            allowed="cpu, or cuda where it is available",
            do="try cpu",
        ) from cause
    return device


class _Map:
    """One map in the making."""

    def __init__(self, task: Task, options: MapOptions, recorder: Recorder, progress: Progress, prepared: Prepared) -> None:
        self.began = time.perf_counter()
        self.task, self.options, self.recorder, self.progress = task, options, recorder, progress
        self.landscape, self.penalty = prepared
        self.solver = chosen_solver(task, options, self.landscape)
        self.landscape.counts = Counts(parameters=self.landscape.size)  # checks of the code are not costs of the map
        self.observe = Observer(self.landscape, self.penalty, task)
        self.walker = Walker(
            self.landscape,
            self.penalty,
            self.observe,
            solver=self.solver,
            tolerance=options.tolerance,
            recorder=recorder,
        )
        self.attempts = Attempts(owner_of(task), progress.failed)
        self._ladder: Ladder | None = None
        self._number = count()  # of the next transition on the way

    def run(self) -> PhaseDiagram:
        walk = self._walked()
        diagram = self._diagram(walk)
        joins = walk.sweep.status == "complete" and self.options.direction != "down"
        loops, branches = joins and self.options.direction == "loop", joins and self.options.branches
        if not (loops or branches or self.options.curvature):
            return diagram
        self.recorder.note("walk", diagram.to_dict)
        self.progress.walked(diagram)
        after = AfterWalk(self.walker, partial(self._scout, walk.bottom, walk.top), self.attempts, self._seconds)
        if loops:
            diagram = after.with_way_back(diagram, walk)
        elif branches:
            diagram = after.with_branches(diagram, walk)
        if self.options.curvature:
            diagram = after.with_curvature(diagram, self.options.seed, self.progress.curvature)
        return replace(diagram, missing=self.attempts.missing)

    def _seconds(self) -> float:
        return self.recorder.seconds(time.perf_counter() - self.began)

    def _walked(self) -> Walk:
        """Walk from one end of the range to the other."""
        self._refuse_other_data()
        low, high = self._range()
        self.progress.range(low, high, self.solver)
        self.progress.stage(f"the deepest of {self.options.starts} starts at beta = {low:.4g}")
        bottom = self.walker.find(low, lambda: self._counted(lambda: self._deepest(low, high)))
        self.progress.stage(f"the upper end at beta = {high:.4g}")
        top = self.walker.find(high, lambda: self._counted(lambda: self._trivial(high)))
        self._refuse_lost(bottom)
        self.progress.stage("the first step")
        if self.options.direction == "down":
            scout = self._scout(bottom, top)
            return Walk((low, high), scout.walk(top, low), bottom, top, scout.criteria.norm_range)
        scout = self._scout(bottom, top, upward=True)
        sweep = scout.walk(bottom, high)
        for _ in range(DOUBLINGS if self.options.beta is None else 0):
            if sweep.status != "complete" or scout.is_end(sweep.points[-1]):
                break
            high *= 2.0  # coarse doubling fell early: the true end lies higher
            sweep = _extended(sweep, scout.walk(sweep.points[-1], high))
        return Walk((low, high), sweep, bottom, top, scout.criteria.norm_range)

    def _refuse_other_data(self) -> None:
        """Refuse to go on with a run whose task has other data or another model now, though its settings are the same."""
        before = self.landscape.counts.copy()
        error = self.landscape.value(self.landscape.vector(self.task.initial(1000 * self.options.seed)))
        self.landscape.counts = before  # a check is not a cost of the map
        noted = self.recorder.note("first start", lambda: {"error": error})["error"]
        if not math.isclose(error, noted, rel_tol=1e-6, abs_tol=1e-12):
            raise SpinodalError(
                got=f"E at the first random start is {error:.8g}, and was {noted:.8g} when this run began",
                allowed="a task that gives the same model and data every time is allowed",
                do="seed what it draws (torch.Generator().manual_seed(0)), and start anew in another folder",
            )

    def _refuse_lost(self, point: Point) -> None:
        if point.minimum.stop in LOST:
            raise SpinodalError(
                got=f"L has no minimum at beta = {point.beta:.4g} ({point.minimum.status})",
                allowed="an error that is bounded below, or falls more slowly than the penalty grows, is allowed",
                do="check the sign of the loss, or begin at a larger beta (--beta LOW:HIGH)",
            )

    # -- range and starts -------------------------------------------------------------------

    def _range(self) -> tuple[float, float]:
        if self.options.beta is not None:
            return self.options.beta

        def make() -> dict[str, Any]:
            before = self.landscape.counts.copy()
            with self._led():
                ladder = self._climbed()
            return {"high": ladder.high, "counts": vars(self.landscape.counts - before)}

        note = self.recorder.note("range", make)
        self.walker.spent = self.walker.spent + Counts(**note["counts"])
        return note["high"] / RATIO, note["high"]

    def _climbed(self) -> Ladder:
        if self._ladder is None:
            self._ladder = climb(self._leading, self.penalty, self._starts(), self._variance)
        return self._ladder

    def _variance(self, theta: Tensor) -> float | None:
        return self.observe(theta).output_variance

    def _starts(self) -> Tensor:
        seeds = [1000 * self.options.seed + k for k in range(self.options.starts)]
        return torch.stack([self.landscape.vector(self.task.initial(seed)) for seed in seeds])

    def _deepest(self, low: float, high: float) -> Tensor:
        starts, leading = self._starts(), self._leading
        candidates = starts if self.options.beta is not None else self._climbed().bottom
        found = [annealed(leading, self.penalty, low, high, starts)]
        if leading is not self.landscape:
            found.append(raised(leading, self.penalty, low, starts[0]))
        return deepest(leading, self.penalty, low, torch.cat([candidates, torch.stack(found)]))

    def _trivial(self, high: float) -> Tensor:
        """Return a start at the upper end: the top of the ladder, or random starts in a given range."""
        if self.options.beta is None:
            return self._climbed().top
        return deepest(self._leading, self.penalty, high, self._starts())

    def _counted(self, make: Callable[[], Tensor]) -> tuple[Tensor, Counts]:
        if self.options.beta is None:
            self._climbed()  # its cost is in the note of the range
        before = self.landscape.counts.copy()
        with self._led():
            theta = make()
        return theta, self.landscape.counts - before

    @cached_property
    def _leading(self) -> Landscape:
        """Return the landscape in which starts are searched: of large networks that of fewer samples."""
        part = self.landscape.part(PIECES) if affords_glimpses_only(self.landscape) else None
        return part or self.landscape

    @contextmanager
    def _led(self) -> Iterator[None]:
        """Charge what is spent on fewer samples pro rata."""
        leading, began = self._leading, self._leading.counts.gradient_evaluations
        yield
        if leading is not self.landscape:
            spent = leading.counts.gradient_evaluations - began
            self.landscape.counts.passes += math.ceil(spent * leading.batches.total / self.landscape.batches.total)

    # -- walking ----------------------------------------------------------------------------

    def _scout(self, bottom: Point, top: Point, watched: bool = True, *, upward: bool = False) -> Scout:
        variance = bottom.observation.output_variance
        progress = self.progress if watched else Progress()
        resolution = Resolution(bracket=self.options.bracket or bracket_for(self.solver, self.landscape.size))
        if affords_glimpses_only(self.landscape):
            resolution = replace(resolution, largest=LARGEST_SPARING)

        def is_end(point: Point) -> bool:
            here = point.observation.output_variance
            return upward and here is not None and variance is not None and here < TRIVIAL_VARIANCE * variance

        trivial = self._trivial_error(bottom, top)
        least = 1e-9 * (1.0 + abs(trivial))  # all there is to tell apart in a range that begins in the trivial phase
        return Scout(
            self.walker,
            error_range=max(trivial - bottom.error, least),
            norm_range=max(bottom.norm_squared, least / top.beta),
            lowest=bottom.beta,
            resolution=resolution if watched else replace(resolution, minor=BESIDE),
            is_end=is_end,
            on_point=progress.point,
            on_transition=self._met if watched else progress.transition,
        )

    def _met(self, transition: Transition) -> None:
        """Record a transition, so that an interrupted walk can be shown, and tell of it."""
        self.recorder.note(f"transition {next(self._number)}", lambda: to_record(transition))
        self.progress.transition(transition)

    def _trivial_error(self, bottom: Point, top: Point) -> float:
        """Return E of the trivial phase: that of the upper end, or of the centre if a given range ends before it."""
        spread, most = top.observation.output_variance, bottom.observation.output_variance
        if spread is None or most is None or spread < TRIVIAL_VARIANCE * most:
            return top.error
        theta = top.minimum.theta
        at_centre = self.landscape.value(theta - self.penalty.offset(theta))
        return max(top.error, at_centre) if math.isfinite(at_centre) else top.error

    def _diagram(self, walk: Walk) -> PhaseDiagram:
        """Return the diagram of a walk alone."""
        sweep = walk.sweep
        phases = range(len(sweep.stretches))[:: -1 if self.options.direction == "down" else 1]
        return PhaseDiagram(
            task={"name": self.task.name, **self.task.settings},
            seed=self.options.seed,
            range=walk.range,
            points=sweep.points,
            transitions=sweep.transitions,
            tree=falls_along(phases, sweep.transitions),
            spent=self.walker.spent,
            seconds=self._seconds(),
            solver=self.solver,
            run_status=sweep.status,
            exact=self.task.exact,
            models=Models.of(self.task),
        )


def _extended(first: Sweep, second: Sweep) -> Sweep:
    return Sweep(first.points + second.points[1:], first.transitions + second.transitions, second.status)


def log_fraction(beta: float, low: float, high: float) -> float:
    """Return how far beta is between low and high, on a log scale, 0 to 1."""
    return min(max(math.log(beta / low) / math.log(high / low), 0.0), 1.0)
