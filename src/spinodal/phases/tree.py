"""The hierarchy of phases: which one falls into which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spinodal.codec import Positive, Record
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True)
class Fall(Record):
    """One edge of the tree of phases.

    Attributes
    ----------
    phase : int
        The phase that ends.
    falls_to : int or None
        The phase that L falls into from there; None where it is none of those known.
    beta : float
    direction : {"up", "down"}
        In which beta was walked.
    """

    phase: int
    falls_to: int | None
    beta: Positive
    direction: str


def falls_along(phases: Sequence[int], transitions: Iterable[Transition]) -> tuple[Fall, ...]:
    """Return the edges along a walk: its phases, in the order met, and the transitions between them, minor ones left out."""
    ends = [item for item in transitions if not item.minor]
    return tuple(Fall(a, b, end.beta, end.direction) for (a, b), end in zip(pairwise(phases), ends, strict=True))
