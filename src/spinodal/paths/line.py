"""A path as the straight segments between its points, with E known all along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.paths.interval import Interval, measured

COARSE = 0.1  # of a height over the level: accuracy while a path still changes


class Line:
    """Points and the error between them, measured where it is first asked for and kept while points are added and moved.

    Parameters
    ----------
    landscape : Landscape
    points : sequence of Tensor, shape (n,)
    errors : sequence of float
        E at the points.
    level : float
        Of no interest is what lies below: intervals that cannot exceed it are not measured any finer.
    tolerance : float
        To which the largest E of every segment is measured,
    relative : float
        or to this part of its height over the level, whichever is more. Default `COARSE`.
    known : sequence of Interval or None, optional
        E along the segments, as far as it was measured before.
    """

    def __init__(
        self,
        landscape: Landscape,
        points: Sequence[Tensor],
        errors: Sequence[float],
        *,
        level: float,
        tolerance: float,
        relative: float = COARSE,
        known: Sequence[Interval | None] = (),
    ) -> None:
        self.landscape, self.level, self.tolerance, self.relative = landscape, level, tolerance, relative
        self.points, self.errors = list(points), list(errors)
        self._intervals: list[Interval | None] = list(known) or [None] * (len(self.points) - 1)

    def interval(self, segment: int) -> Interval:
        """Return E along a segment, by its number."""
        found = self._intervals[segment]
        if found is None:
            found = self._measured(segment)
            self._intervals[segment] = found
        return found

    def intervals(self) -> list[Interval]:
        """Return E along all segments."""
        return [self.interval(segment) for segment in range(len(self._intervals))]

    def highest(self) -> tuple[int, float, float]:
        """Return the segment in which E may be largest, the place of its largest sample in it, and how large E may be."""
        bounds = [interval.bound for interval in self.intervals()]
        segment = max(range(len(bounds)), key=bounds.__getitem__)
        return segment, self.interval(segment).highest[0], bounds[segment]

    def sharpen(self, relative: float) -> None:
        """Measure the largest E more finely, to a part of its height over the level."""
        self.relative, sharp = relative, set[int]()
        while True:
            segment, _, bound = self.highest()
            top = max(interval.highest[1] for interval in self.intervals())
            if segment in sharp or bound - top <= max(self.tolerance, relative * (top - self.level)):
                return
            sharp.add(segment)
            self._intervals[segment] = self._measured(segment, below=top)

    def between(self, segment: int, place: float) -> Tensor:
        """Return theta at a place, 0 to 1, of a segment."""
        return torch.lerp(self.points[segment], self.points[segment + 1], place)

    def insert(self, segment: int, theta: Tensor, error: float) -> None:
        """Add a point inside a segment."""
        self.points.insert(segment + 1, theta)
        self.errors.insert(segment + 1, error)
        self._intervals[segment : segment + 1] = [None, None]

    def remove(self, point: int, known: Interval | None = None) -> None:
        """Take a point out that is no end; `known` is E along the segment that is left, if it was measured before."""
        del self.points[point], self.errors[point]
        self._intervals[point - 1 : point + 1] = [known]

    def move(self, point: int, theta: Tensor, error: float, known: Sequence[Interval | None] = (None, None)) -> None:
        """Put a point that is no end elsewhere; `known` is E on both sides of it, if it was there before."""
        self.points[point], self.errors[point] = theta, error
        self._intervals[point - 1 : point + 1] = known

    def lengths(self) -> list[float]:
        """Return the length of every segment."""
        return [float((b - a).norm()) for a, b in pairwise(self.points)]

    def _measured(self, segment: int, below: float = -math.inf) -> Interval:
        def error(place: float) -> float:
            value = self.landscape.value(self.between(segment, place))
            return value if math.isfinite(value) else math.inf

        return measured(
            error,
            self.errors[segment],
            self.errors[segment + 1],
            below=max(below, self.level),
            tolerance=self.tolerance,
            level=self.level,
            relative=self.relative,
        )
