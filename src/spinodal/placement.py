"""Where an existing model stands on a map: its phase, whether it is the deepest, what comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.counts import Counts
from spinodal.errors import SpinodalError, positive_beta
from spinodal.landscape import Landscape
from spinodal.mapping import MapOptions, prepare
from spinodal.minimise import LOST
from spinodal.models import Models
from spinodal.observe import Observer
from spinodal.penalty import beta_of, weight_decay
from spinodal.phases import Phase, PhaseDiagram
from spinodal.sweep import BRACKET, Resolution, Scout, Sweep
from spinodal.tasks.task import Task
from spinodal.transitions import MACROSCOPIC, Transition
from spinodal.walk import Forgetful, Point, Recorder, Walker

SAME_SPECTRUM = 0.05  # singular values of one minimum differ by less, relative to the largest
SAME_DEPTH = 1e-4  # losses of equally deep minima differ by less, relative to the range of E
SAME_PLACE = 0.01  # transitions of one branch differ by less in beta, relative: brackets of coarse walks are as wide
STILL = 0.1  # residual, relative to 2 beta ||theta - centre||, below which a model counts as trained to the end


@dataclass(frozen=True)
class Rival:
    """A minimum known at the beta of a placement; `phase` is the one it was reached from, None for the placed model itself."""

    point: Point
    phase: int | None


@dataclass(frozen=True)
class Placement:
    """An existing model on a map.

    Attributes
    ----------
    diagram : PhaseDiagram
    start : Start
        What the model was before it was minimised.
    sweep : Sweep
        From the minimum it belongs to, upwards to the first macroscopic transition.
    phase : int or None
        The phase of the map that this branch is, None if the map followed none like it.
    rivals : tuple of Rival
        Other minima at the same beta, different from the model's own.
    """

    diagram: PhaseDiagram
    start: Start
    sweep: Sweep
    phase: int | None
    rivals: tuple[Rival, ...]

    @property
    def point(self) -> Point:
        """Return the minimum that the model belongs to."""
        return self.sweep.points[0]

    @property
    def beta(self) -> float:
        """Return the beta at which the model was trained; its weight_decay is twice this."""
        return self.point.beta

    @property
    def deeper(self) -> Rival | None:
        """Return the deepest of the rivals that are deeper, None if the model is the deepest one known."""
        best = min(self.rivals, key=lambda rival: rival.point.minimum.loss, default=None)
        margin = SAME_DEPTH * _error_range(self.diagram)
        return best if best is not None and best.point.minimum.loss < self.point.minimum.loss - margin else None

    @property
    def next(self) -> Transition | None:
        """Return the next macroscopic transition on the model's own branch as beta grows, None if there is none."""
        return next((found for found in self.sweep.transitions if not found.minor), None)

    @property
    def lost(self) -> tuple[int, ...] | None:
        """Return the classes that go at the next transition; None without classes or transition."""
        if self.next is None:
            return None
        if (mapped := self._mapped(self.next)) is not None:
            return self.diagram.lost_classes(mapped)
        before = Phase(0, self.sweep.points[:-1], None).classes
        after = Phase(1, self.sweep.points[-1:], None).classes
        return None if before is None or after is None else tuple(sorted(set(before) - set(after)))

    def _mapped(self, found: Transition) -> Transition | None:
        """Return a transition as the map met it, which knows the whole phase behind; None if it met another or none."""
        if self.phase is None:
            return None
        here = {point.index for point in self.diagram.phases[self.phase].points}
        met = (item for item in self.diagram.macroscopic if item.direction == "up" and item.before.index in here)
        return next((item for item in met if abs(item.beta / found.beta - 1.0) < SAME_PLACE), None)

    def answer(self) -> str:
        """Return the placement in two sentences."""
        return f"{self._where()} {self._ahead()}"

    def remark(self) -> str:
        """Return how far from its minimum the model was."""
        start = self.start
        text = f"the model was {start.moved:.1%} of its norm from this minimum, with E = {start.error:.4g}"
        if start.residual <= STILL:
            return f"{text}; it was at rest (residual {start.residual:.1e})"
        return f"{text}; it was still moving (||grad L|| = {start.residual:.2g} of 2 beta ||theta||), so it may end elsewhere"

    def __str__(self) -> str:
        """Return the answer and the remark."""
        return f"{self.answer()}\n{self.remark()}"

    def _where(self) -> str:
        rank, total = self.point.observation.rank, len(self.diagram.phases)
        name = f"phase {self.phase} of {total} (numbered from 0, rank {rank})"
        place = name if self.phase is not None else f"a minimum of rank {rank} that the map did not follow"
        return f"At weight_decay = {weight_decay(self.beta):.4g} your model is in {place}, {self._depth()}."

    def _depth(self) -> str:
        deeper = self.deeper
        if deeper is None:
            count = len(self.rivals)
            return f"the deepest of the {count + 1} minima known there" if count else "the only minimum known there"
        gap, rank = self.point.minimum.loss - deeper.point.minimum.loss, deeper.point.observation.rank
        return f"which is metastable: a minimum of rank {rank} lies deeper by {gap:.2g} in L"

    def _ahead(self) -> str:
        found = self.next
        if found is None:
            return f"No transition lies above it up to weight_decay = {weight_decay(self.sweep.points[-1].beta):.4g}."
        before, after = found.before.observation.rank, found.after.observation.rank
        ranks = f": rank {before} -> {after}" if before != after else ""
        times = f"{found.beta / self.beta:.3g} times your weight_decay (weight_decay = {weight_decay(found.beta):.5g})"
        return f"The next transition is at {times}{ranks}{self._first_to_go()}."

    def _first_to_go(self) -> str:
        """Name the first classes to go, at the next transition or, on the map's own branch, at a later one."""
        if self.lost is None:
            return ""
        if self.lost:
            return f"; first to go: {_named(self.lost)}"
        for found in sorted(self.diagram.macroscopic, key=lambda transition: transition.beta):
            later = self.next is not None and found.beta > self.next.bracket[1]
            if self.phase is not None and later and (lost := self.diagram.lost_classes(found)):
                return f"; no class goes there, the first is {_named(lost)} at {found.beta / self.beta:.3g} times"
        return "; no class goes there"

    def to_dict(self) -> dict[str, Any]:
        """Return the placement in JSON types."""
        found = self.next
        return {
            "beta": self.beta,
            "weight_decay": weight_decay(self.beta),
            "phase": self.phase,
            "phases": len(self.diagram.phases),
            "deepest": self.deeper is None,
            "answer": self.answer(),
            "checkpoint": {"error": self.start.error, "residual": self.start.residual, "moved": self.start.moved},
            "minimum": _minimum(self.point),
            "rivals": [_minimum(rival.point) | {"from_phase": rival.phase} for rival in self.rivals],
            "next": None if found is None else _transition(found, self.beta),
            "lost_classes": None if self.lost is None else list(self.lost),
            "status": self.sweep.status,
        }


@dataclass(frozen=True)
class Start:
    """A model before it was minimised.

    Attributes
    ----------
    error : float
        E.
    residual : float
        `||grad L||` relative to `2 beta ||theta - centre||`.
    moved : float
        Its distance to the minimum, relative to its norm.
    """

    error: float
    residual: float
    moved: float


def place(
    diagram: PhaseDiagram,
    start: nn.Module | Mapping[str, Tensor] | Tensor,
    *,
    beta: float | None = None,
    weight_decay: float | None = None,
    task: Task | None = None,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
) -> Placement:
    """Place an existing model on the map of its task.

    The model is minimised at its beta, its branch is followed upwards to the next macroscopic transition,
    and compared there with the phases of the map at the same beta: by E, `||theta||^2`, rank and singular
    values. Other minima are sought from every phase of the map.

    Parameters
    ----------
    diagram : PhaseDiagram
        Of the same task.
    start : nn.Module, state dict, or theta of shape (n,)
    beta : float > 0
        At which it was trained, or give PyTorch's `weight_decay`, which is twice that.
    task : Task, optional
        Default: the one that was mapped, where it is known (see `load`).
    options : MapOptions, optional
        dtype, device and tolerance. Default: those of `MapOptions`.
    recorder : Recorder, optional
        Where points are kept. Default: nowhere.

    Returns
    -------
    Placement

    Raises
    ------
    SpinodalError
        If neither or both of beta and weight_decay are given, or the model does not fit the task's.

    Notes
    -----
    *What it is not:* proof that no deeper minimum exists; it names the deepest of those that were found.

    Examples
    --------
    A linear net with one hidden layer, where the mode of singular value .4 dies at weight_decay = .8:

    >>> from spinodal import map_phases, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = map_phases(task)
    >>> placement = place(diagram, diagram.at(0.1).module(), weight_decay=0.2)
    >>> print(placement.answer())
    At weight_decay = 0.2 your model is in phase 0 of 3 (numbered from 0, rank 2), the only minimum known there. \
The next transition is at 4 times your weight_decay (weight_decay = 0.8).
    """
    chosen = _beta(beta, weight_decay)
    made = task or _task(diagram)
    return _Placing(diagram, made, options or MapOptions(), recorder or Forgetful()).place(start, chosen)


class _Placing:
    """One placement in the making."""

    def __init__(self, diagram: PhaseDiagram, task: Task, options: MapOptions, recorder: Recorder) -> None:
        self.diagram, self.task, self.recorder = diagram, task, recorder
        self.landscape, self.penalty = prepare(task, options)
        self.landscape.counts = Counts(parameters=self.landscape.size)
        observer = Observer(self.landscape, self.penalty, task)
        self.walker = Walker(
            self.landscape, self.penalty, observer, solver=diagram.solver, tolerance=options.tolerance, recorder=recorder
        )
        self.error_range, self.norm_range = _error_range(diagram), max(point.norm_squared for point in diagram.points)

    def place(self, start: nn.Module | Mapping[str, Tensor] | Tensor, beta: float) -> Placement:
        theta = theta_of(start, self.task, self.landscape)
        own = self._minimum(beta, theta)
        if own.minimum.stop in LOST:
            raise SpinodalError(
                got=f"L has no minimum near the model at beta = {beta:.4g} ({own.minimum.status})",
                allowed="a model near a minimum of E + beta ||theta||^2 is allowed",
                do="check the weight_decay it was trained with, and the loss of the task",
            )
        sweep = self._scout().walk(own, self._top(beta), until=lambda transition: not transition.minor)
        phase = self._phase(sweep)
        return Placement(self.diagram, self._described(theta, own), sweep, phase, self._rivals(own))

    def _minimum(self, beta: float, theta: Tensor) -> Point:
        return self.walker.find(beta, lambda: (theta, Counts(parameters=self.landscape.size)))

    def _top(self, beta: float) -> float:
        """Return where to stop looking for a transition: beyond the map, which fell somewhat early or late elsewhere."""
        return 2.0 * max(self.diagram.range[1], beta)

    def _scout(self) -> Scout:
        return Scout(
            self.walker,
            error_range=self.error_range,
            norm_range=self.norm_range,
            resolution=Resolution(bracket=BRACKET[self.walker.solver]),
        )

    def _described(self, theta: Tensor, own: Point) -> Start:
        _, gradient = self.landscape.value_and_gradient(theta)
        offset = self.penalty.offset(theta)
        pull = 2.0 * own.beta * offset
        scale = max(float(pull.norm()), 1e-300)
        return Start(
            error=self.landscape.value(theta),
            residual=float((gradient + pull).norm()) / scale,
            moved=float((theta - own.minimum.theta.to(theta)).norm()) / max(float(theta.norm()), 1e-300),
        )

    # -- which phase ------------------------------------------------------------------------

    def _phase(self, sweep: Sweep) -> int | None:
        """Return the phase of the map that the branch meets and agrees with, the nearest one first."""
        branch = sweep.points[:-1] if sweep.transitions and not sweep.transitions[-1].minor else sweep.points
        for phase in sorted(self.diagram.phases, key=lambda phase: _distance(phase, branch[0].beta)):
            mapped = min(phase.points, key=lambda point: abs(math.log(point.beta / branch[0].beta)))
            inside = phase.beta[0] <= branch[0].beta <= phase.beta[1] or branch[0].beta <= mapped.beta <= branch[-1].beta
            if inside and self._agrees(branch, mapped):
                return phase.id
        return None

    def _agrees(self, branch: tuple[Point, ...], mapped: Point) -> bool:
        """Tell whether the branch, followed to the beta of a mapped point, is that point."""
        near = min(branch, key=lambda point: abs(math.log(point.beta / mapped.beta)))
        step = mapped.beta - near.beta
        point = near if step == 0.0 else self.walker.finish(self.walker.follow(near, mapped.beta, step * near.tangent))
        return self._same(point, mapped)

    def _same(self, a: Point, b: Point) -> bool:
        """Tell one minimum from another at the same beta, by what no symmetry of the network changes."""
        error = abs(a.error - b.error) < MACROSCOPIC * self.error_range
        norm = abs(a.norm_squared - b.norm_squared) < 2.0 * MACROSCOPIC * self.norm_range
        return error and norm and _same_spectra(a, b)

    # -- which depth ------------------------------------------------------------------------

    def _rivals(self, own: Point) -> tuple[Rival, ...]:
        """Return the other minima at the model's beta that are reached from the phases of the map."""
        found: list[Rival] = []
        for phase in self.diagram.phases:
            mapped = min(phase.points, key=lambda point: abs(math.log(point.beta / own.beta)))
            point = self._minimum(own.beta, self.diagram.at_point(mapped.index).theta)
            known = [own, *(rival.point for rival in found)]
            if point.minimum.stop not in LOST and not any(self._same(point, other) for other in known):
                found.append(Rival(point, phase.id))
        return tuple(found)


def theta_of(start: nn.Module | Mapping[str, Tensor] | Tensor, task: Task, landscape: Landscape) -> Tensor:
    """Return theta of a module, a state dict or a vector, on the landscape of a task; refuse what does not fit."""
    if isinstance(start, Tensor):
        return landscape.vector(start)
    models = Models.of(task)
    state = start.state_dict() if isinstance(start, nn.Module) else start
    return landscape.vector(models.layout.theta(state, models.fixed()))


def _beta(beta: float | None, decay: float | None) -> float:
    if (beta is None) == (decay is None):
        raise SpinodalError(
            got="neither beta nor weight_decay" if beta is None else "both beta and weight_decay",
            allowed="one of the two is allowed",
            do="give the weight_decay of the training",
        )
    return positive_beta(beta) if beta is not None else beta_of(positive_beta(decay or 0.0, "weight_decay"))


def _task(diagram: PhaseDiagram) -> Task:
    if diagram.models is None:
        raise SpinodalError(
            got="this map does not know its task", allowed="the task that was mapped is needed", do="pass task=..."
        )
    return diagram.models.task()


def _error_range(diagram: PhaseDiagram) -> float:
    errors = [point.error for point in diagram.points]
    return max(max(errors) - min(errors), 1e-9 * (1.0 + abs(max(errors))))


def _distance(phase: Phase, beta: float) -> float:
    """Return how far from a phase beta lies, in log beta; 0 inside."""
    low, high = phase.beta
    return max(math.log(low / beta), math.log(beta / high), 0.0)


def _same_spectra(a: Point, b: Point) -> bool:
    first, second = a.observation.singular_values, b.observation.singular_values
    for name, values in first.items():
        largest = max(*values, *second[name], 1e-3)
        difference = (torch.tensor(values) - torch.tensor(second[name])).abs().max()
        if float(difference) > SAME_SPECTRUM * largest:
            return False
    return True


def _named(classes: tuple[int, ...]) -> str:
    return f"class{'es' if len(classes) > 1 else ''} {', '.join(map(str, classes))}"


def _minimum(point: Point) -> dict[str, Any]:
    margin = point.minimum.margin
    return {
        "error": point.error,
        "loss": point.minimum.loss,
        "norm": point.observation.norm,
        "rank": point.observation.rank,
        "margin": margin if math.isfinite(margin) else None,
        "status": point.minimum.status,
    }


def _transition(found: Transition, beta: float) -> dict[str, Any]:
    return {
        "beta": found.beta,
        "weight_decay": weight_decay(found.beta),
        "ratio": found.beta / beta,
        "bracket": list(found.bracket),
        "order": found.order,
        "rank": [found.before.observation.rank, found.after.observation.rank],
        "error": [found.before.error, found.after.error],
        "status": found.status,
    }
