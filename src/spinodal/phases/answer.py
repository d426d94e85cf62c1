"""What a map answers: how far the followed phase lasts, what is lost first, and which classes go first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.codec import keyed
from spinodal.conventions import weight_decay
from spinodal.definitions import NEAR_BETA, SAME_BETA
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.phase import Phase
from spinodal.phases.step import Step

NOT_COMPARED = "not compared"  # no other phase was known beside this one
DEEPEST = "deepest known"  # to its end
METASTABLE = "metastable before its end"
PARTLY = "deepest known in a part"  # which is not the lowest one
NOWHERE = "nowhere the deepest known"


@dataclass(frozen=True)
class Depth:
    """How deep a phase is among those known.

    Attributes
    ----------
    kind : str
        One of the constants of this module: `NOT_COMPARED`, `DEEPEST`, `METASTABLE`, `PARTLY`, `NOWHERE`.
    beta : float or None
        Above which another phase is deeper (`METASTABLE`, `PARTLY`).
    meeting : PhaseCoexistence or None
        With that phase, where it is known.
    since : float or None
        Below which another phase is deeper as well (`PARTLY`).
    """

    kind: str
    beta: float | None = None
    meeting: PhaseCoexistence | None = None
    since: float | None = None

    @property
    def other(self) -> int | None:
        """Return the phase that is deeper above `beta`, where it is known."""
        return None if self.meeting is None else self.meeting.phases[1]


@dataclass(frozen=True)
class Answer:
    """The answer of a map, or of a model placed on it, which every text and the JSON read.

    Attributes
    ----------
    direction : {"up", "down"}
        Which way was walked. A walk down does not tell how far up a phase lasts: it has no losses.
    phase : int or None
        In which the question is asked; the first one of the walk. None for a model in a phase that no map followed.
    rank : int
        On most of that phase.
    depth : Depth
    end : Step or None
        The first macroscopic transition of the walk, at which that phase ends; None where none was met.
    measure : {"accuracy", "rank"}
        What `first_loss` is of; the rank stands in where there is no accuracy.
    first_loss : Step or None
        The first macroscopic transition with a loss (see `Step.loses_accuracy`), or across which the rank falls.
    first_class : Step or None
        The first macroscopic transition with which a class goes.
    first_gain : Step or None
        Walking down: the first macroscopic transition with which a class appears or, without classes, rank.
    leaving : PhaseCoexistence or None
        The first point below `first_loss` at which a phase behind that loss is as deep as one before it: beyond, the
        model may lose by a jump what the followed branch loses later.
    of : str or None
        The name of what is turned, where that is another control than the L2 penalty.
    """

    direction: str
    phase: int | None
    rank: int
    depth: Depth
    end: Step | None
    measure: str
    first_loss: Step | None
    first_class: Step | None
    first_gain: Step | None
    leaving: PhaseCoexistence | None
    of: str | None = None

    @property
    def largest(self) -> float | None:
        """Return the largest beta to be recommended: of coexistence with a phase that lost, else before the first loss."""
        if self.first_loss is None:
            return None
        return self.leaving.beta if self.leaving is not None else self.first_loss.transition.bracket[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer in JSON types."""
        loss, first, gain, leaving = self.first_loss, self.first_class, self.first_gain, self.leaving
        return {
            **keyed(self, "direction phase depth=depth.kind"),
            "metastable_from": None if self.depth.beta is None else self._at(self.depth.beta),
            "as_deep": self.depth.other,
            "end": None if self.end is None else self._place(self.end),
            "first_loss": None if loss is None else self._place(loss) | {"of": self.measure} | _lost(loss),
            "first_class": None if first is None else self._place(first) | {"classes": list(first.lost)},
            "first_gain": None if gain is None else self._place(gain) | _gained(gain),
            "leaving": None if leaving is None else self._at(leaving.beta) | {"phases": list(leaving.phases)},
            "largest": None if self.largest is None else self._at(self.largest),
        }

    def _at(self, beta: float) -> dict[str, Any]:
        return {"beta": beta, "weight_decay": None if self.of else weight_decay(beta)}

    def _place(self, step: Step) -> dict[str, Any]:
        return {**self._at(step.beta), "bracket": list(step.transition.bracket), "points": [step.low.index, step.high.index]}


def answer_up(phase: Phase, steps: Sequence[Step], coexistence: Iterable[PhaseCoexistence], *, above: float = 0.0) -> Answer:
    """Return what a walk up answers somebody who is in a phase, at a beta if one is given.

    Parameters
    ----------
    phase : Phase
    steps : macroscopic transitions of a walk up, by rising beta
    coexistence : all points of equal depth that are known
    above : float
        Beta from which on transitions count.
    """
    first = next(
        (k for k, step in enumerate(steps) if step.phases[0] == phase.id and step.transition.bracket[1] > above), len(steps)
    )
    ahead = steps[first:]
    known = tuple(coexistence)
    has_accuracy = phase.points[0].observation.accuracy["train"] is not None
    losses = [step for step in ahead if (step.loses_accuracy if has_accuracy else step.loses_rank)]
    loss = losses[0] if losses else None
    return Answer(
        direction="up",
        phase=phase.id,
        rank=phase.rank,
        depth=_depth(phase, ahead[0] if ahead else None, known),
        end=ahead[0] if ahead else None,
        measure="accuracy" if has_accuracy else "rank",
        first_loss=loss,
        first_class=next((step for step in ahead if step.lost), None),
        first_gain=None,
        leaving=None if loss is None else _leaving(ahead, loss, known, above),
    )


def answer_down(phase: Phase, steps: Sequence[Step]) -> Answer:
    """Return what a walk down from a phase answers; `steps` are by rising beta."""
    met = steps[::-1]
    has_accuracy = phase.points[0].observation.accuracy["train"] is not None
    gains = [step for step in met if (step.lost if step.classes is not None else step.loses_rank)]
    return Answer(
        direction="down",
        phase=phase.id,
        rank=phase.rank,
        depth=Depth(NOT_COMPARED),
        end=met[0] if met else None,
        measure="accuracy" if has_accuracy else "rank",
        first_loss=None,
        first_class=None,
        first_gain=gains[0] if gains else None,
        leaving=None,
    )


def _depth(phase: Phase, end: Step | None, coexistence: Sequence[PhaseCoexistence]) -> Depth:
    """Return how deep a phase is: from its range of existence in a loop, else from a coexistence below its end."""
    if phase.existence is None:
        met = [item for item in coexistence if item.phases[0] == phase.id and (end is None or item.beta < end.beta)]
        first = min(met, key=lambda item: item.beta, default=None)
        return Depth(NOT_COMPARED) if first is None else Depth(METASTABLE, first.beta, first)
    stable, (low, high) = phase.existence.stable, phase.existence.range
    if not stable:
        return Depth(NOWHERE)
    begin, last = stable[0]
    since = begin if begin > low * (1.0 + SAME_BETA) else None
    if last >= high * (1.0 - SAME_BETA):
        return Depth(DEEPEST) if since is None else Depth(PARTLY, None, None, since)
    meetings = (item for item in coexistence if item.phases[0] == phase.id and abs(item.beta / last - 1.0) < NEAR_BETA)
    return Depth(METASTABLE if since is None else PARTLY, last, next(meetings, None), since)


def _leaving(
    ahead: Sequence[Step], loss: Step, coexistence: Sequence[PhaseCoexistence], above: float
) -> PhaseCoexistence | None:
    """Return the first point at which a phase behind the loss is as deep as one before it."""
    before = {step.phases[0] for step in ahead if step.number <= loss.number}
    behind = {step.phases[1] for step in ahead if step.number >= loss.number}
    crossing = [item for item in coexistence if item.phases[0] in before and item.phases[1] in behind]
    met = [item for item in crossing if above < item.beta < loss.transition.bracket[0]]
    return min(met, key=lambda item: item.beta, default=None)


def _lost(step: Step) -> dict[str, Any]:
    """Return what is lost as beta rises; pairs are below and above."""
    accuracy = None if step.accuracy is None else list(step.accuracy)
    return {"accuracy": accuracy, "rank": list(step.ranks), "classes": None if step.classes is None else list(step.lost)}


def _gained(step: Step) -> dict[str, Any]:
    """Return what appears as beta falls; pairs are above and below."""
    return {"rank": list(step.ranks[::-1]), "classes": None if step.classes is None else list(step.lost)}
