"""Points put into a path, and minimised across it, where E is largest."""

from __future__ import annotations

import math

from torch import Tensor

from spinodal.minima.lbfgs import descended
from spinodal.paths.effort import Effort
from spinodal.paths.line import Line

ITERATIONS = 12  # of the minimisation of one point across the path
INSIDE = 0.1  # of a segment: where E is largest nearer than this to an end, the end is moved in place of a new point
GAIN = 0.05  # part of the height over the aim by which the largest E has to fall within as many changes as there are points
BOWED = 3.0  # times the height over the aim: what E may become beside a point that came down
DEEP = 0.25  # part of the tolerance below the aim that is deep enough
REACHES = (1.0, 0.1)  # how far from a segment, over its length, the point in it may go
SHORT = 1e-6  # segments shorter than this part of the distance of the ends are not split


class Refinement:
    """Lowers the largest E along a line until it is at most the aim, nothing lowers it, or the effort is spent.

    The place of the largest E becomes a point, or the point that is there is taken, and E is minimised over the hyperplane
    through it across the path, no farther away than the path is long there. What does not lower the largest E is undone:
    near a saddle of E nothing does. Below `small` E may rise between a point that came down and its neighbours, where the
    path is bent: the next points mend that.
    """

    def __init__(self, line: Line, aim: float, effort: Effort, small: float) -> None:
        self.line, self.aim, self.effort, self.small = line, aim, effort, small
        self.floor = min(line.errors)

    def run(self) -> bool:
        """Tell whether E is at most the aim everywhere."""
        idle, lowest = 0, math.inf
        while True:
            segment, place, largest = self.line.highest()
            if largest <= self.aim:
                return True
            idle = 0 if largest - self.aim <= (1.0 - GAIN) * (lowest - self.aim) else idle + 1
            lowest = largest if idle == 0 else lowest
            if idle > len(self.line.points) or self.effort.is_spent or not self._lowered(segment, place, largest):
                return False

    def _lowered(self, segment: int, place: float, largest: float) -> bool:
        """Change the path where E is largest, and tell whether that was possible without raising it much."""
        largest = max(largest, min(self.aim + BOWED * (largest - self.aim), self.small))
        point = segment if place < 0.5 else segment + 1
        at_point = not INSIDE <= place <= 1.0 - INSIDE and 0 < point < len(self.line.points) - 1
        if at_point and self._moved(point, largest):
            return True
        return self._split(segment, 0.5 if at_point else min(max(place, INSIDE), 1.0 - INSIDE), largest)

    def _split(self, segment: int, place: float, most: float) -> bool:
        """Put a point into a segment if E along it is then at most this."""
        first, last = self.line.points[segment], self.line.points[segment + 1]
        chord = last - first
        length = float(chord.norm())
        if length <= SHORT * float((self.line.points[-1] - self.line.points[0]).norm()):
            return False
        known, start = self.line.interval(segment), self.line.between(segment, place)
        for reach in REACHES:
            self.line.insert(segment, *self._across(start, chord / length, reach * length))
            if max(self.line.interval(segment).bound, self.line.interval(segment + 1).bound) <= most:
                return True
            self.line.remove(segment + 1, known)
        return False

    def _moved(self, point: int, most: float) -> bool:
        """Move a point if E on both sides of it is then at most this."""
        before, here, after = self.line.points[point - 1 : point + 2]
        along, error = after - before, self.line.errors[point]
        known = self.line.interval(point - 1), self.line.interval(point)
        reach = min(float((here - before).norm()), float((after - here).norm()))
        self.line.move(point, *self._across(here, along / along.norm(), reach))
        if max(self.line.interval(point - 1).bound, self.line.interval(point).bound) <= most:
            return True
        self.line.move(point, here, error, known)
        return False

    def _across(self, start: Tensor, along: Tensor, reach: float) -> tuple[Tensor, float]:
        """Minimise E from a point over the hyperplane across a unit vector, no farther away than `reach`."""
        deep = self.aim - DEEP * max(self.aim - self.floor, 0.0)

        def stop(theta: Tensor, value: float, gradient: Tensor) -> str | None:
            is_there = value <= deep or float((theta - start).norm()) > reach or self.effort.is_spent
            return "there" if is_there else None

        def across(theta: Tensor) -> tuple[float, Tensor]:
            value, gradient = self.line.landscape.value_and_gradient(theta)
            return value, gradient - (gradient @ along) * along

        end = descended(across, start, stop, ITERATIONS)
        return end.theta, end.value
