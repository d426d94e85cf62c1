"""Where a walk stands, and what it has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


@dataclass
class Standing:
    """What the next step needs."""

    point: Point
    earlier: Point | None
    step: float
    points: list[Point] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    witnesses: list[Point | None] = field(default_factory=list)  # of each transition, the point before its near end
    status: str = "complete"
    ahead: list[Point] = field(default_factory=list)  # to which a step was too long, the farthest first

    @property
    def branch(self) -> list[Point]:
        """Return the points since the last transition."""
        first = self.transitions[-1].after.index if self.transitions else -1
        return [point for point in self.points if point.index >= first]

    def go_back_to(self, beta: float) -> None:
        """Give up points beyond a beta, in a walk upwards: the branch ends before them."""
        while self.point.beta >= beta:
            self.points.pop()
            self.point, self.earlier = self.points[-1], None

    def next_ahead(self, sign: float) -> Point | None:
        """Return the nearest point that an earlier step was too long to; those that were passed are dropped."""
        while self.ahead and sign * (self.ahead[-1].beta - self.point.beta) <= 0.0:
            self.ahead.pop()
        return self.ahead[-1] if self.ahead else None

    def move(self, point: Point, *, smooth: bool) -> None:
        """Go on from `point`; across a transition what lies behind is another branch."""
        self.earlier = self.point if smooth else None
        self.point = point
        self.points.append(point)
