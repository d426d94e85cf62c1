"""A macroscopic transition with the phases and the points on its two sides, seen towards larger beta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spinodal.definitions import WORTH
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True)
class Step:
    """What is on either side of a macroscopic transition, whichever way it was walked.

    Attributes
    ----------
    number : int
        Counted from 1 by rising beta.
    transition : Transition
    low, high : Point
        The points beside it at its lower and at its higher beta.
    phases : (below, above)
        The ids of the phases that they belong to.
    ranks : (below, above)
        The ranks on most of these phases.
    classes : (below, above) or None
        The classes that live in these phases; None without classes.
    """

    number: int
    transition: Transition
    low: Point
    high: Point
    phases: tuple[int, int]
    ranks: tuple[int, int]
    classes: tuple[frozenset[int], frozenset[int]] | None

    @property
    def beta(self) -> float:
        """Return the best estimate of where it is."""
        return self.transition.beta

    @property
    def accuracy(self) -> tuple[float, float] | None:
        """Return the training accuracy below and above; None where there is none."""
        below, above = (side.observation.accuracy["train"] for side in (self.low, self.high))
        return None if below is None or above is None else (below, above)

    @property
    def lost(self) -> tuple[int, ...]:
        """Return the classes that live below and not above; none without classes."""
        return () if self.classes is None else tuple(sorted(self.classes[0] - self.classes[1]))

    @property
    def gained(self) -> tuple[int, ...]:
        """Return the classes that live above and not below; none without classes."""
        return () if self.classes is None else tuple(sorted(self.classes[1] - self.classes[0]))

    @property
    def loses_rank(self) -> bool:
        """Tell whether the rank on most of the phase falls as beta rises."""
        return self.ranks[0] > self.ranks[1]

    @property
    def loses_accuracy(self) -> bool:
        """Tell whether a class goes as beta rises, or the training accuracy falls by `WORTH` or more."""
        return bool(self.lost) or (self.accuracy is not None and self.accuracy[0] - self.accuracy[1] >= WORTH)

    @property
    def along(self) -> tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]:
        """Return ranks, classes lost and classes gained in the direction walked."""
        if self.transition.direction == "up":
            return self.ranks, self.lost, self.gained
        return self.ranks[::-1], self.gained, self.lost


def steps_through(transitions: Iterable[Transition], phases: Sequence[Phase], home: Mapping[int, int]) -> tuple[Step, ...]:
    """Return the macroscopic ones among some transitions, by rising beta.

    Parameters
    ----------
    transitions : of one walk
    phases : all that are known
    home : mapping of the numbers of points to ids of phases
    """
    known = {phase.id: (phase.rank, phase.classes) for phase in phases}
    found = sorted((item for item in transitions if not item.minor), key=lambda item: item.beta)
    return tuple(_step(number, item, phases, home, known) for number, item in enumerate(found, start=1))


def _step(
    number: int,
    transition: Transition,
    phases: Sequence[Phase],
    home: Mapping[int, int],
    known: Mapping[int, tuple[int, tuple[int, ...] | None]],
) -> Step:
    sides = (transition.before, transition.after)
    low, high = sides if transition.direction == "up" else sides[::-1]
    below, above = (_phase_of(side, home, phases) for side in (low, high))
    (rank, living), (other_rank, other_living) = known[below], known[above]
    classes = None if living is None or other_living is None else (frozenset(living), frozenset(other_living))
    return Step(number, transition, low, high, (below, above), (rank, other_rank), classes)


def _phase_of(point: Point, home: Mapping[int, int], phases: Sequence[Phase]) -> int:
    """Return the phase of a point; a side of a transition at which the walk was given up is in none: the nearest."""
    if point.index in home:
        return home[point.index]
    return min(phases, key=lambda phase: min(abs(end - point.beta) for end in phase.beta)).id
