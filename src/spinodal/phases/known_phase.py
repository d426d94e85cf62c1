"""A phase while a loop is joined: the points that are known of it, and the transitions in which it ends."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from spinodal.definitions import MANY_UNCONVERGED
from spinodal.phases.existence import Interval
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


@dataclass
class KnownPhase:
    """A phase and how far it is known.

    `walked` is its stretch of the loop and `entry` its id in the catalogue; `lower` and `upper` are the transitions that
    end it, None where none was met; `halted` tells why the search for the lower end could not go on.
    """

    id: int
    walked: tuple[Point, ...]
    entry: int
    lower: Transition | None = None
    upper: Transition | None = None
    beyond: list[Point] = field(default_factory=list)
    halted: str = ""

    @property
    def points(self) -> list[Point]:
        """Return all points, by rising beta."""
        return sorted([*self.walked, *self.beyond], key=lambda point: point.beta)

    @property
    def range(self) -> Interval:
        """Return the lowest and the highest beta of its points."""
        betas = [point.beta for point in (*self.walked, *self.beyond)]
        return min(betas), max(betas)

    @property
    def is_of_minima(self) -> bool:
        """Tell whether most of its points are minima: of stalled searches nothing is known between them."""
        failed = sum(not point.minimum.converged for point in self.points)
        return failed <= MANY_UNCONVERGED * len(self.points)

    def depth(self, beta: float) -> float:
        """Return how deep inside the known range beta lies, in log beta; negative outside."""
        low, high = self.range
        return min(math.log(beta / low), math.log(high / beta))

    def nearest(self, beta: float) -> Point:
        """Return the point whose beta is nearest, as a factor."""
        return min((*self.walked, *self.beyond), key=lambda point: abs(math.log(point.beta / beta)))

    def beside(self, beta: float) -> list[Point]:
        """Return the points next to beta on either side, or the one there."""
        points = self.points
        place = bisect_left(points, beta, key=lambda point: point.beta)
        if place < len(points) and points[place].beta == beta:
            return [points[place]]
        return points[max(place - 1, 0) : place + 1]
