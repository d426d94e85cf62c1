"""L of one phase as a function of beta, between the points at which it is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from spinodal.sweeps.point import Point


@dataclass(frozen=True)
class LossCurve:
    """L along a phase by cubic Hermite interpolation, with exact slopes `dL/dbeta = ||theta - centre||^2`.

    Attributes
    ----------
    phase : int
    points : tuple of Point
        By rising beta.
    """

    phase: int
    points: tuple[Point, ...]

    @classmethod
    def through(cls, phase: int, points: Iterable[Point]) -> LossCurve:
        """Return the curve through points in any order; of several at one beta, the deepest counts."""
        ordered = sorted(points, key=lambda point: -point.minimum.loss)
        return cls(phase, tuple(sorted({point.beta: point for point in ordered}.values(), key=lambda point: point.beta)))

    @cached_property
    def betas(self) -> tuple[float, ...]:
        """Return the values of beta at which the phase is known."""
        return tuple(point.beta for point in self.points)

    def covers(self, beta: float) -> bool:
        """Tell whether beta lies between the first and the last point."""
        return self.betas[0] <= beta <= self.betas[-1]

    def nearest(self, beta: float) -> Point:
        """Return the point whose beta is nearest."""
        return min(self.points, key=lambda point: abs(point.beta - beta))

    def slope(self, beta: float) -> float:
        """Return `dL/dbeta` of the same interpolation."""
        place = max(bisect_left(self.betas, beta), 1)
        if len(self.points) == 1:
            return self.points[0].norm_squared
        a, b = self.points[place - 1], self.points[place]
        width = b.beta - a.beta
        t = (beta - a.beta) / width
        mean = (b.minimum.loss - a.minimum.loss) / width
        first, last = a.norm_squared - mean, b.norm_squared - mean
        return mean + (1.0 - t) * (1.0 - 3.0 * t) * first + t * (3.0 * t - 2.0) * last

    def loss(self, beta: float) -> float:
        """Return L at a beta that is covered."""
        place = bisect_left(self.betas, beta)
        if self.betas[place] == beta:
            return self.points[place].minimum.loss
        a, b = self.points[place - 1], self.points[place]
        width = b.beta - a.beta
        t = (beta - a.beta) / width
        rise = b.minimum.loss - a.minimum.loss
        bend = (1.0 - t) * (width * a.norm_squared - rise) - t * (width * b.norm_squared - rise)
        return a.minimum.loss + t * rise + t * (1.0 - t) * bend
