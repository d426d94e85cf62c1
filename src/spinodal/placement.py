"""Where an existing model stands on a map: its phase, whether it is the deepest, what comes next."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from spinodal.minimise import SECOND_ORDER
from spinodal.penalty import weight_decay
from spinodal.phases import Phase, PhaseDiagram
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import MACROSCOPIC, Transition
from spinodal.walk import Point

SAME_PLACE = 0.01  # transitions of one branch differ by less in beta, relative: brackets of coarse walks are as wide
SAME_DEPTH = 1e-4  # losses of equally deep minima differ by less, relative to the range of E
STILL = 0.1  # residual, relative to 2 beta ||theta - centre||, below which a model counts as trained to the end


@dataclass(frozen=True)
class Rival:
    """Another minimum known at the beta of a placement, and the phase of the map from which it was reached."""

    point: Point
    phase: int


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
    error_range : float
        What "macroscopic" refers to: `E(trivial) - E(deepest)`, as far as the map and the model show it.
    """

    diagram: PhaseDiagram
    start: Start
    sweep: Sweep
    phase: int | None
    rivals: tuple[Rival, ...]
    error_range: float

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
        margin = SAME_DEPTH * self.error_range
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

    @property
    def fell(self) -> bool:
        """Tell whether the model was not near this minimum, so that minimising it made another model of it."""
        before, after = self.start, self.point
        return before.rank != after.observation.rank or abs(before.error - after.error) >= MACROSCOPIC * self.error_range

    def remark(self) -> str:
        """Return how far from its minimum the model was, and what did not converge."""
        start, unfinished = self.start, "" if self.point.minimum.converged else f"; {self.point.minimum.status}"
        text = f"before it was minimised the model had E = {start.error:.4g}, {start.moved:.1%} of its norm from this minimum"
        if start.residual > STILL or self.fell:
            gradient = f"||grad L|| = {start.residual:.2g} of 2 beta ||theta||"
            return f"{text}; it was still on its way ({gradient}), and may end elsewhere{unfinished}"
        return f"{text}; it was at rest (||grad L|| = {start.residual:.1e} of 2 beta ||theta||){unfinished}"

    def __str__(self) -> str:
        """Return the answer and the remark."""
        return f"{self.answer()}\n{self.remark()}"

    def _where(self) -> str:
        rank, total = self.point.observation.rank, len(self.diagram.phases)
        name = f"phase {self.phase} of {total} (numbered from 0, rank {rank})"
        place = name if self.phase is not None else f"a minimum of rank {rank} that the map did not follow"
        at = f"At weight_decay = {weight_decay(self.beta):.4g} your model"
        if self.fell:
            return f"{at} (rank {self.start.rank}) is at no minimum yet and falls into {place}, {self._depth()}."
        return f"{at} is in {place}, {self._depth()}."

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
            return self._nothing_ahead()
        before, after = found.before.observation.rank, found.after.observation.rank
        ranks = f": rank {before} -> {after}" if before != after else ""
        times = f"{found.beta / self.beta:.3g} times your weight_decay (weight_decay = {weight_decay(found.beta):.5g})"
        return f"The next transition is at {times}{ranks}{self._first_to_go()}."

    def _nothing_ahead(self) -> str:
        """Say how far the branch was followed without a transition, and what the solver would not have seen."""
        end = f"weight_decay = {weight_decay(self.sweep.points[-1].beta):.4g}"
        if self.sweep.status != "complete":
            return f"No transition was met up to {end}, where the search {self.sweep.status}."
        if self.diagram.solver in SECOND_ORDER:
            return f"No transition lies above it up to {end}."
        return f"No jump lies above it up to {end} (solver {self.diagram.solver} sees no second-order transitions)."

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
            "checkpoint": asdict(self.start) | {"fell": self.fell},
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
    rank : int
        Effective rank.
    residual : float
        `||grad L||` relative to `2 beta max(||theta - centre||, 1e-3)`, as solvers measure it.
    moved : float
        Its distance to the minimum, relative to the larger of their norms.
    """

    error: float
    rank: int
    residual: float
    moved: float


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
