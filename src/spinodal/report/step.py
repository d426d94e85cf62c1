"""A macroscopic transition with the phases and the points on its two sides, seen towards larger beta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spinodal.penalty import weight_decay
from spinodal.phases import Phase, PhaseDiagram
from spinodal.sweeps.transition import Transition
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
    ranks : (below, above)
        The ranks on most of the phases that they belong to.
    classes : (below, above) or None
        The classes that live in these phases; None without classes.
    """

    number: int
    transition: Transition
    low: Point
    high: Point
    ranks: tuple[int, int]
    classes: tuple[frozenset[int], frozenset[int]] | None

    @property
    def beta(self) -> float:
        """Return the best estimate of where it is."""
        return self.transition.beta

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
    def loss(self) -> str:
        """Say what goes here as beta rises: classes or, without classes, rank; "" if nothing does."""
        return self._event(*self.ranks)

    @property
    def gain(self) -> str:
        """Say what appears here as beta falls: classes or, without classes, rank; "" if nothing does."""
        return self._event(*self.ranks[::-1])

    def _event(self, first: int, then: int) -> str:
        place = f"at weight_decay = {weight_decay(self.beta):.5g}"
        if self.classes is not None:
            return f"{named(self.lost)} {place}" if self.lost else ""
        return f"rank {first} to {then} {place}" if self.loses_rank else ""


def steps(diagram: PhaseDiagram) -> tuple[Step, ...]:
    """Return the macroscopic transitions of a diagram by rising beta."""
    phases = diagram.phases
    home = {point.index: phase.id for phase in phases for point in phase.points}
    ranks = {phase.id: phase.rank for phase in phases}
    classes = {phase.id: phase.classes for phase in phases}
    made = []
    for number, transition in enumerate(sorted(diagram.macroscopic, key=lambda transition: transition.beta), start=1):
        sides = (transition.before, transition.after)
        low, high = sides if transition.direction == "up" else sides[::-1]
        below, above = (_phase_of(side, home, phases) for side in (low, high))
        living = (classes[below], classes[above])
        pair = None if living[0] is None or living[1] is None else (frozenset(living[0]), frozenset(living[1]))
        made.append(Step(number, transition, low, high, (ranks[below], ranks[above]), pair))
    return tuple(made)


def _phase_of(point: Point, home: Mapping[int, int], phases: Sequence[Phase]) -> int:
    """Return the phase of a point; a side of a transition at which the walk was given up is in none: the nearest."""
    if point.index in home:
        return home[point.index]
    return min(phases, key=lambda phase: min(abs(end - point.beta) for end in phase.beta)).id


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
