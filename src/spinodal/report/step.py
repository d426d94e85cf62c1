"""A macroscopic transition with the phases and the points on its two sides, seen towards larger beta."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spinodal.penalty import weight_decay
from spinodal.phases import Phase, PhaseDiagram
from spinodal.transitions import Transition
from spinodal.walk import Point


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
    below, above : Phase
        The phases they belong to.
    """

    number: int
    transition: Transition
    low: Point
    high: Point
    below: Phase
    above: Phase

    @property
    def beta(self) -> float:
        """Return the best estimate of where it is."""
        return self.transition.beta

    @property
    def lost(self) -> tuple[int, ...]:
        """Return the classes that live below and not above; none without classes."""
        return _difference(self.below.classes, self.above.classes)

    @property
    def gained(self) -> tuple[int, ...]:
        """Return the classes that live above and not below; none without classes."""
        return _difference(self.above.classes, self.below.classes)

    @property
    def loses_rank(self) -> bool:
        """Tell whether the rank on most of the phase falls as beta rises."""
        return self.below.rank > self.above.rank

    @property
    def loss(self) -> str:
        """Say what goes here as beta rises: classes or, without classes, rank; "" if nothing does."""
        return self._event(self.below.rank, self.above.rank)

    @property
    def gain(self) -> str:
        """Say what appears here as beta falls: classes or, without classes, rank; "" if nothing does."""
        return self._event(self.above.rank, self.below.rank)

    def _event(self, first: int, then: int) -> str:
        place = f"at weight_decay = {weight_decay(self.beta):.5g}"
        if self.below.classes is not None:
            return f"{named(self.lost)} {place}" if self.lost else ""
        return f"rank {first} to {then} {place}" if self.loses_rank else ""


def steps(diagram: PhaseDiagram) -> tuple[Step, ...]:
    """Return the macroscopic transitions of a diagram by rising beta."""
    home = {point.index: phase for phase in diagram.phases for point in phase.points}
    found = sorted(diagram.macroscopic, key=lambda transition: transition.beta)
    made = []
    for number, transition in enumerate(found, start=1):
        sides = (transition.before, transition.after)
        low, high = sides if transition.direction == "up" else sides[::-1]
        made.append(Step(number, transition, low, high, home[low.index], home[high.index]))
    return tuple(made)


def named(classes: Iterable[int]) -> str:
    """Return classes as words.

    Examples
    --------
    >>> named([8]), named([2, 6, 7])
    ('class 8', 'classes 2, 6 and 7')
    """
    labels = [str(index) for index in classes]
    if len(labels) == 1:
        return f"class {labels[0]}"
    return f"classes {', '.join(labels[:-1])} and {labels[-1]}"


def _difference(some: tuple[int, ...] | None, others: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(sorted(set(some or ()) - set(others or ())))
