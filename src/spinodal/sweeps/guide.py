"""A walk over fewer samples, which leads one over all of them: where to step, and where each step ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from spinodal.definitions import GUIDED_UP_TO
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep

ASIDE = 1.05  # factor beyond its ends up to which a stretch tells
LONGEST, SHORTEST = 0.12, 0.02  # steps in log beta


@dataclass(frozen=True)
class Stretch:
    """The points of one branch, by rising beta, and the first point behind its end, None where that was not met."""

    points: tuple[Point, ...]
    beyond: Point | None

    def covers(self, beta: float) -> bool:
        """Tell whether the stretch tells of a beta."""
        return self.points[0].beta / ASIDE <= beta <= self.points[-1].beta * ASIDE

    def next(self, beta: float) -> float | None:
        """Return where to step from a beta; None where the end of the stretch comes next."""
        last = self.points[-1].beta * (GUIDED_UP_TO if self.beyond is not None else 1.0)
        step = min(beta * (1.0 + LONGEST), last)
        return step if step > beta * (1.0 + SHORTEST) else None

    def change(self, start: float, end: float) -> Tensor:
        """Return the change of theta along the stretch, shape (n,)."""
        return self.theta(end) - self.theta(start)

    def theta(self, beta: float) -> Tensor:
        """Return theta at a beta, by the cubic through the two points around it, or along the tangent of an end."""
        place = bisect_right([point.beta for point in self.points], beta)
        if place in (0, len(self.points)):
            end = self.points[min(place, len(self.points) - 1)]
            return end.minimum.theta + (beta - end.beta) * end.tangent
        return _between(self.points[place - 1], self.points[place], beta)

    def error(self, beta: float) -> float:
        """Return E at a beta, roughly, on straight lines."""
        first, last = self.points[0], self.points[-1]
        if not first.beta < beta < last.beta:
            return (first if beta <= first.beta else last).error
        a, b = next(pair for pair in pairwise(self.points) if pair[1].beta >= beta)
        return a.error + (b.error - a.error) * (beta - a.beta) / (b.beta - a.beta)


@dataclass(frozen=True)
class Guide:
    """The stretches of a walk upwards over fewer samples."""

    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, sweep: Sweep) -> Guide:
        """Return the guide that a walk is: between all its transitions, minor ones as well."""
        borders = {transition.after.index for transition in sweep.transitions}
        runs: list[list[Point]] = [[]]
        for point in sweep.points:
            if point.index in borders:
                runs.append([])
            runs[-1].append(point)
        behind: Sequence[Point | None] = [*(run[0] for run in runs[1:]), None]
        return cls(tuple(Stretch(tuple(run), beyond) for run, beyond in zip(runs, behind, strict=True) if run))

    def at(self, point: Point) -> Stretch | None:
        """Return the stretch that a point over all samples lies on: of its rank if there is one, the nearest in E."""
        near = [stretch for stretch in self.stretches if stretch.covers(point.beta)]
        alike = [stretch for stretch in near if stretch.points[0].observation.rank == point.observation.rank]
        return min(alike or near, key=lambda stretch: abs(stretch.error(point.beta) - point.error), default=None)


def _between(a: Point, b: Point, beta: float) -> Tensor:
    width = b.beta - a.beta
    x = (beta - a.beta) / width
    at_b, leave, arrive = x * x * (3 - 2 * x), width * x * (1 - x) ** 2, width * x * x * (x - 1)
    return (1 - at_b) * a.minimum.theta + at_b * b.minimum.theta + leave * a.tangent + arrive * b.tangent
