"""One map in the making: the walk from one end of the range to the other, and what builds on it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count

from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import LARGEST_SPARING
from spinodal.errors import SpinodalError
from spinodal.landscape.control_record import ControlRecord
from spinodal.mapping.after_walk import AfterWalk, Walk
from spinodal.mapping.deepest import DOUBLINGS, is_trivial
from spinodal.mapping.lead import Lead, leading, options_of
from spinodal.mapping.options import MapOptions
from spinodal.mapping.progress import Progress
from spinodal.mapping.repeating import Again, coarser
from spinodal.mapping.starts import Starts, random_starts
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.minimise import LOST
from spinodal.missing import Attempts
from spinodal.parallel import Crew
from spinodal.phases.tree import falls_along
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.guide import Guide
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.resolution import Resolution, bracket_for
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker
from spinodal.tasks.models import Models
from spinodal.tasks.task import Task
from spinodal.theory import ExactTransition

BESIDE = 0.1  # relative width of minor brackets where phases are followed beside the ways of a loop


class Mapper:
    """One map in the making.

    Parameters
    ----------
    task : Task
    options : MapOptions
    problem : Problem
        The task, prepared.
    recorder : Recorder
    progress : Progress
    crew : Crew
        What does not depend on one another is shared out among its workers.
    """

    def __init__(
        self,
        task: Task,
        options: MapOptions,
        problem: Problem,
        *,
        recorder: Recorder,
        progress: Progress,
        crew: Crew[Problem],
    ) -> None:
        self.began = time.perf_counter()
        self.task, self.options, self.problem = task, options, problem
        self.recorder, self.progress, self.crew = recorder, progress, crew
        self.landscape, self.control = problem.landscape, problem.control
        self.walker = self._walker()
        self.starts = Starts(problem, options, crew, partial(random_starts, task, problem.landscape, options))
        self.record = ControlRecord.of(self.control)
        self.attempts = Attempts(problem.owner, progress.failed)
        self._number = count()  # of the next transition on the way

    def run(self) -> PhaseDiagram:
        """Map, and add what was asked for beside the walk."""
        walk = self._walked()
        diagram = self._diagram(walk)
        joins = walk.sweep.status == "complete" and self.options.direction != "down"
        loops, branches = joins and self.options.direction == "loop", joins and self.options.branches
        limits = self.options.soften if isinstance(self.options.soften, tuple) else None
        if not (loops or branches or self.options.curvature or limits or self.options.repeats):
            return diagram
        self.recorder.note("walk", diagram.to_dict)
        self.progress.walked(diagram)
        after = AfterWalk(self.walker, partial(self._scout, walk.bottom, walk.top), self.attempts, self._seconds, self.crew)
        if loops:
            diagram = after.with_way_back(diagram, walk)
        elif branches:
            diagram = after.with_branches(diagram, walk)
        if self.options.repeats and walk.sweep.status == "complete":
            diagram = after.with_repeats(diagram, walk, list(self._again(walk)), self.problem)
        if limits:
            diagram = after.with_limits(diagram, self.task, limits[1])
        if self.options.curvature:
            diagram = after.with_curvature(diagram, self.options.seed, self.progress.curvature)
        return replace(diagram, missing=self.attempts.missing)

    def _walker(self) -> Walker:
        return self.problem.walker(self.recorder)

    def _seconds(self) -> float:
        return self.recorder.seconds(time.perf_counter() - self.began)

    def _walked(self) -> Walk:
        """Walk from one end of the range to the other."""
        self._settle_control()
        self._refuse_other_data()
        lead = self._lead()
        (low, high), spent = self.starts.range(self.recorder) if lead is None else (lead.range, lead.spent)
        self.walker.spent = self.walker.spent + spent
        self.progress.range(low, high, self.problem.solver)
        bottom, top = self._ends(low, high, lead)
        self.progress.stage("the first step")
        if self.options.direction == "down":
            scout = self._scout(bottom, top)
            return Walk((low, high), scout.walk(top, low), bottom, top, scout.criteria)
        scout = self._scout(bottom, top, upward=True)
        scout.guide = None if lead is None else Guide.of(lead.sweep)
        sweep = scout.walk(bottom, high)
        for _ in range(DOUBLINGS if self.options.beta is None else 0):
            if sweep.status != "complete" or scout.is_end(sweep.points[-1]):
                break
            high *= 2.0  # coarse doubling fell early: the true end lies higher
            sweep = _extended(sweep, scout.walk(sweep.points[-1], high))
        return Walk((low, high), sweep, bottom, top, scout.criteria)

    def _lead(self) -> Lead | None:
        """Return a walk over fewer samples, where one is to lead."""
        problem = leading(self.problem, self.options)
        if problem is None:
            return None
        self.progress.stage(f"the map of {problem.landscape.batches.total:,} samples, which leads")
        recorder, options = self.recorder.beside("lead"), options_of(self.options)
        inner = Mapper(self.task, options, problem, recorder=recorder, progress=Progress(), crew=Crew())
        walk = inner._walked()
        self.starts.chosen = inner._chosen_set() if self.options.repeats else 0
        return Lead.of(walk, inner.walker.spent, problem.landscape, self.landscape)

    def _ends(self, low: float, high: float, lead: Lead | None) -> tuple[Point, Point]:
        """Return the deepest minimum that is found at the lower end, and one at the upper end."""
        self.progress.stage(f"the deepest of {self.options.starts} starts at beta = {low:.4g}")
        bottom = self.walker.find(low, lambda: self._deepest(low, high, lead))
        self.progress.stage(f"the upper end at beta = {high:.4g}")
        top = self.walker.find(high, lambda: self.starts.trivial(high) if lead is None else lead.top)
        if bottom.minimum.stop in LOST:
            raise _no_minimum(bottom)
        return bottom, top

    def _deepest(self, low: float, high: float, lead: Lead | None) -> tuple[Tensor, Counts]:
        """Return a start in the deepest phase; where the walk is to be repeated, the set that it came from is recorded."""
        start = self.starts.deepest(low, high) if lead is None else lead.bottom
        if self.options.repeats:
            self._chosen_set()
        return start

    def _chosen_set(self) -> int:
        """Return the number of the set of starts from which the map began."""
        return int(self.recorder.note("followed starts", lambda: {"set": self.starts.chosen})["set"])

    def _again(self, walk: Walk) -> Iterator[Again]:
        """Yield the repeats of a walk, each from a set of starts that it did not begin from."""
        scout, chosen = self._scout(walk.bottom, walk.top, False), self._chosen_set()
        others = [group for group in range(1 + self.options.repeats) if group != chosen]
        for number, group in enumerate(others, start=1):
            yield Again(
                number=number,
                thetas=self.starts.draw(group).cpu(),
                seeds=self.options.seeds(group),
                low=walk.bottom.beta,
                high=walk.range[1],
                to=walk.sweep.points[-1].beta,
                error_range=scout.criteria.error_range,
                norm_range=scout.criteria.norm_range,
                resolution=coarser(scout.resolution),
                breadth=walk.bottom.observation.breadth,
            )

    def _settle_control(self) -> None:
        """Refuse to go on with a run that turned something else; where its centre came from stays as it was noted."""
        noted = ControlRecord.from_dict(self.recorder.note("control", self.record.to_dict))
        if noted != self.record:
            raise SpinodalError(
                got=f"the control is {self.record.described}, and was {noted.described} when this run began",
                allowed="a run is resumed with the control that began it",
                do="give that one, or start anew in another folder",
            )
        self.record = replace(self.record, source=noted.source)

    def _exact(self) -> tuple[ExactTransition, ...]:
        """Return the closed forms of the task, which are of its own control."""
        return self.task.exact if ControlRecord.of(self.task.penalty(self.landscape)) == self.record else ()

    def _refuse_other_data(self) -> None:
        """Refuse to go on with a run whose task has other data or another model now, though its settings are the same."""
        error = self.landscape.uncounted_value(self.landscape.vector(self.task.initial(1000 * self.options.seed)))
        noted = self.recorder.note("first start", lambda: {"error": error})["error"]
        if not math.isclose(error, noted, rel_tol=1e-6, abs_tol=1e-12):
            raise SpinodalError(
                got=f"E at the first random start is {error:.8g}, and was {noted:.8g} when this run began",
                allowed="a task that gives the same model and data every time is allowed",
                do="seed what it draws (torch.Generator().manual_seed(0)), and start anew in another folder",
            )

    # -- walking ----------------------------------------------------------------------------

    def _scout(self, bottom: Point, top: Point, watched: bool = True, *, upward: bool = False) -> Scout:
        variance = bottom.observation.breadth
        resolution = Resolution(bracket=self.options.bracket or bracket_for(self.problem.solver, self.landscape.size))

        if affords_glimpses_only(self.landscape):
            resolution = replace(resolution, largest=LARGEST_SPARING)

        def is_end(point: Point) -> bool:
            return upward and is_trivial(point.observation, variance)

        trivial = self._trivial_error(bottom, top)
        least = 1e-9 * (1.0 + abs(trivial))  # all there is to tell apart in a range that begins in the trivial phase
        return Scout(
            self.walker,
            error_range=max(trivial - bottom.error, least),
            norm_range=max(bottom.norm_squared, least / top.beta),
            lowest=bottom.beta,
            resolution=resolution if watched else replace(resolution, minor=BESIDE),
            is_end=is_end,
            on_point=self.progress.point if watched else self.progress.beside,
            on_transition=self._met if watched else lambda transition: None,
        )

    def _met(self, transition: Transition) -> None:
        """Record a transition, so that an interrupted walk can be shown, and tell of it."""
        self.recorder.note(f"transition {next(self._number)}", transition.to_dict)
        self.progress.transition(transition)

    def _trivial_error(self, bottom: Point, top: Point) -> float:
        """Return E of the trivial phase: that of the upper end, or of the centre if a given range ends before it."""
        spread, most = top.observation.liveliness, bottom.observation.breadth
        centre = self.control.trivial(top.minimum.theta)
        if spread is None or most is None or centre is None or is_trivial(top.observation, most):
            return top.error
        at_centre = self.landscape.value(centre)
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
            solver=self.problem.solver,
            run_status=sweep.status,
            exact=self._exact(),
            control=self.record,
            models=Models.of(self.task),
            sharpness=self.options.sharpness,
        )


def _extended(first: Sweep, second: Sweep) -> Sweep:
    return Sweep(first.points + second.points[1:], first.transitions + second.transitions, second.status)


def _no_minimum(point: Point) -> SpinodalError:
    return SpinodalError(
        got=f"L has no minimum at beta = {point.beta:.4g} ({point.minimum.status})",
        allowed="an error that is bounded below, or falls more slowly than the penalty grows, is allowed",
        do="check the sign of the loss, or begin at a larger beta (--beta LOW:HIGH)",
    )
