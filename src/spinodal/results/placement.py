"""Where an existing model stands on a map: its phase, whether it is the deepest, what comes next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from spinodal.codec import keyed, plain
from spinodal.conventions import weight_decay
from spinodal.definitions import EQUALLY_DEEP, MACROSCOPIC, SAME_PLACE, STILL
from spinodal.minima.solver import sees_kinks
from spinodal.phases.answer import METASTABLE, Answer, answer_up
from spinodal.phases.phase import Phase
from spinodal.phases.step import Step, steps_through
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shown import Shown
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.words.numbers import at, significant
from spinodal.words.sentences import as_deep, decay, losses_phrase, where


@dataclass(frozen=True)
class Rival:
    """Another minimum known at the beta of a placement, and the phase of the map from which it was reached."""

    point: Point
    phase: int


@dataclass(frozen=True, repr=False)
class Placement(Shown):
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
        margin = EQUALLY_DEEP * self.error_range
        return best if best is not None and best.point.minimum.loss < self.point.minimum.loss - margin else None

    @cached_property
    def step(self) -> Step | None:
        """Return the next macroscopic transition on the model's own branch as beta grows, None if there is none.

        Where the map met it too, it is the map's, which knows the whole phase behind.
        """
        return self.conclusion.end

    @property
    def next(self) -> Transition | None:
        """Return that transition alone."""
        return None if self.step is None else self.step.transition

    @property
    def lost(self) -> tuple[int, ...] | None:
        """Return the classes that go at the next transition; None without classes or transition."""
        return None if self.step is None or self.step.classes is None else self.step.lost

    @cached_property
    def conclusion(self) -> Answer:
        """Return end, first loss and first class to go ahead of the model: the map's, where it followed this phase up."""
        return self._mapped or self._measured

    @cached_property
    def _mapped(self) -> Answer | None:
        """Return what the map answers of the model's phase, None where it did not see it end as beta grows."""
        diagram = self.diagram
        if self.phase is None or diagram.conclusion.direction == "down":
            return None
        answer = answer_up(diagram.phases[self.phase], diagram.steps, diagram.coexistence, above=self.beta)
        return None if answer.end is None else answer

    @property
    def _measured(self) -> Answer:
        """Return what the model's own branch answers, which was followed to its next macroscopic transition."""
        return replace(answer_up(self._walked[0], steps_through(self._met, self._walked, self._home), ()), phase=self.phase)

    @property
    def _met(self) -> tuple[Transition, ...]:
        return tuple(found for found in self.sweep.transitions if not found.minor)[:1]

    @cached_property
    def _walked(self) -> tuple[Phase, ...]:
        """Return the model's own branch, and what it falls into, as phases; the walk ended with the fall."""
        points = self.sweep.points
        return (Phase(0, points[:-1], 1), Phase(1, points[-1:], None)) if self._met else (Phase(0, points, None),)

    @property
    def _home(self) -> dict[int, int]:
        return {point.index: phase.id for phase in self._walked for point in phase.points}

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
        unfinished += f"; checkpoint: {start.read}" if start.read else ""
        text = f"before it was minimised the model had E = {start.error:.4g}, {start.moved:.1%} of its norm from this minimum"
        unfinished += self._beside()
        if start.residual > STILL or self.fell:
            gradient = f"||grad L|| = {start.residual:.2g} of 2 beta ||theta||"
            return f"{text}; it was still on its way ({gradient}), and may end elsewhere{unfinished}"
        return f"{text}; it was at rest (||grad L|| = {start.residual:.1e} of 2 beta ||theta||){unfinished}"

    def _beside(self) -> str:
        """Say where the model's own branch went on otherwise than its phase on the map."""
        if self._mapped is None or self._mapped.end is None:
            return ""
        end, met = self._mapped.end, self._met
        if met and abs(met[0].beta / end.beta - 1.0) < SAME_PLACE:
            return ""
        last = where(met[0]) if met else f"{at(self.sweep.points[-1].beta, None)} without one"
        return (
            f"; followed from the model itself, the next transition is not where the map has it: its branch went on to {last}"
        )

    def __str__(self) -> str:
        """Return the answer and the remark."""
        return f"{self.answer()}\n{self.remark()}"

    def _where(self) -> str:
        rank, total = self.point.observation.rank, len(self.diagram.phases)
        name = f"phase {self.phase} of {total} (numbered from 0, rank {rank})"
        home = name if self.phase is not None else f"a minimum of rank {rank} that the map did not follow"
        at = f"At weight_decay = {weight_decay(self.beta):.4g} your model"
        if self.fell:
            return f"{at} (rank {self.start.rank}) is at no minimum yet and falls into {home}, {self._depth()}."
        return f"{at} is in {home}, {self._depth()}."

    def _depth(self) -> str:
        deeper = self.deeper
        if deeper is None:
            count = len(self.rivals)
            return f"the deepest of the {count + 1} minima known there" if count else "the only minimum known there"
        gap, rank = self.point.minimum.loss - deeper.point.minimum.loss, deeper.point.observation.rank
        return f"which is metastable: a minimum of rank {rank} lies deeper by {gap:.2g} in L"

    def _ahead(self) -> str:
        step = self.step
        if step is None:
            return self._nothing_ahead()
        below, above = step.ranks
        ranks = f": rank {below} -> {above}" if below != above and self.diagram.has_matrices else ""
        times = f"{significant(step.beta / self.beta, 3)} times your weight_decay"
        first = f"The next transition is at {times} ({decay(step)}){ranks}"
        return f"{'; '.join(filter(None, [first, self._metastable(), self._losses()]))}."

    def _losses(self) -> str:
        """Say what goes first; behind its next transition a branch that is not the map's was not followed."""
        if self._mapped is None and self.conclusion.first_loss is None:
            return f"no {self.conclusion.measure} goes there, and what lies behind it was not followed"
        return losses_phrase(self.conclusion, self.diagram.has_matrices)

    def _metastable(self) -> str:
        """Say from where on another phase is deeper than the model's, where that lies ahead."""
        depth = self.conclusion.depth
        if depth.kind != METASTABLE or depth.beta is None or depth.beta <= self.beta:
            return ""
        return f"your phase is the deepest known up to {as_deep(self.conclusion)}, and metastable from there"

    def _nothing_ahead(self) -> str:
        """Say how far the branch was followed without a transition, and what the solver would not have seen."""
        end = f"weight_decay = {weight_decay(self.sweep.points[-1].beta):.4g}"
        if self.sweep.status != "complete":
            return f"No transition was met up to {end}, where the search {self.sweep.status}."
        if sees_kinks(self.diagram.solver):
            return f"No transition lies above it up to {end}."
        return f"No jump lies above it up to {end} (solver {self.diagram.solver} sees no second-order transitions)."

    def to_dict(self) -> dict[str, Any]:
        """Return the placement in JSON types."""
        return {
            "beta": self.beta,
            "weight_decay": weight_decay(self.beta),
            "phase": self.phase,
            "phases": len(self.diagram.phases),
            "deepest": self.deeper is None,
            "answer": self.answer(),
            "conclusion": self.conclusion.to_dict(),
            "checkpoint": plain(self.start) | {"fell": self.fell},
            "minimum": _minimum(self.point),
            "rivals": [_minimum(rival.point) | {"from_phase": rival.phase} for rival in self.rivals],
            "next": None if self.step is None else _transition(self.step, self.beta),
            **keyed(self, "lost_classes=lost status=sweep.status"),
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
    read : str
        Where it was found in a checkpoint and what was left out, if that is not plain.
    """

    error: float
    rank: int
    residual: float
    moved: float
    read: str = ""


def _minimum(point: Point) -> dict[str, Any]:
    return keyed(
        point, "error loss=minimum.loss norm=observation.norm rank=observation.rank margin=minimum.margin status=minimum.status"
    )


def _transition(step: Step, beta: float) -> dict[str, Any]:
    found = step.transition
    return {
        "beta": found.beta,
        "weight_decay": weight_decay(found.beta),
        "ratio": found.beta / beta,
        **keyed(step, "bracket=transition.bracket order=transition.order rank=ranks"),
        "error": [found.before.error, found.after.error],
        "status": found.status,
    }
