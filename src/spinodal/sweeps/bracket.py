"""Closing in on the first event between two points of a walk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spinodal.definitions import ALMOST, EXTRAPOLATED, FORETOLD_WITHIN, WITHIN
from spinodal.sweeps.order import Law
from spinodal.sweeps.point import Point
from spinodal.sweeps.singularity import fold_beyond
from spinodal.sweeps.way import Way


@dataclass(frozen=True)
class Closed:
    """The ends of a bracket that was closed.

    Attributes
    ----------
    near, earlier : Point, and the Point before it or None
        Where the branch was still followed.
    far : Point or None
        Where it was left; None where the branch goes on past everything that was suspected.
    halved : bool
        Whether walking the bracket in two half steps met the event again.
    path : tuple of Point
        How the near end was reached, without the point that the search began from.
    law : Law or None
        How the branch ends, where that was seen on the way.
    """

    near: Point
    earlier: Point | None
    far: Point | None
    halved: bool = False
    path: tuple[Point, ...] = ()
    law: Law | None = None


@dataclass
class _Patience:
    """Tells when extrapolations have not halved a bracket in a while, and bisection should take over."""

    MOST = 6
    goal: float = math.inf
    tries: int = 0

    def is_out(self, room: float) -> bool:
        if room <= 0.5 * self.goal:
            self.goal, self.tries = room, 0
        self.tries += 1
        return self.tries > self.MOST


@dataclass(frozen=True)
class Bracketing:
    """Closes in on whatever comes first.

    The near end lies on the branch and moves on only to where the branch certainly continues, so of several events between
    the ends the first is kept, however small it is beside the others. Its place is extrapolated and approached;
    bisection takes over where the extrapolation does not fit. An event counts only if it was met from the near
    end itself, so a coarse step that fell early is found out.
    """

    way: Way

    def close(self, near: Point, earlier: Point | None, far: Point) -> Closed:
        """Close in on the first event between `near` and `far`, which was reached from it."""
        tested = True  # whether `far` was reached from `near` itself
        patience, path = _Patience(), list[Point]()
        known = [] if self.way.is_blurred else [point for point in (earlier, near) if point is not None]
        while not (tested and self._is_resolved(near, earlier, far)):
            if self.way.is_sparing and (tested or abs(far.beta - near.beta) > self._width(near)):
                beta = near.beta + self.way.sign * self._sparing_step(near, far, [*known, *path])
            else:
                beta = self._next_beta(near, earlier, far, tested)
            beta = 0.5 * (near.beta + far.beta) if patience.is_out(abs(far.beta - near.beta)) else beta
            point = self.way.follow(near, earlier, beta)
            if not self.way.continues(near, earlier, point):
                far, tested = point, True
                continue
            near, earlier, tested = point, near, False
            path.append(near)
            if self._goes_on(near, earlier, far):
                return Closed(far, near, None, path=(*path, far))
            if self.way.sign * (near.beta - far.beta) >= 0:  # the coarse fall was early: no transition here
                return Closed(near, earlier, None, path=tuple(path))
        closed = self._halved(near, earlier, far)
        return replace(closed, path=(*path, *closed.path))

    def _goes_on(self, near: Point, earlier: Point, far: Point) -> bool:
        """Tell, where searches are dear, that the far end turns out to lie on the branch of the near one."""
        return self.way.criteria.sparing and far.minimum.converged and self.way.continues(near, earlier, far)

    def _is_resolved(self, near: Point, earlier: Point | None, far: Point) -> bool:
        """Tell a bracket that is narrow enough for what it holds."""
        width = abs(far.beta - near.beta) / self.way.unit(near)
        minor = self.way.criteria.is_small(near, far) and not self.way.criteria.is_kink(near, earlier, far)
        return width <= (self.way.resolution.minor if minor else self.way.bracket)

    def _next_beta(self, near: Point, earlier: Point | None, far: Point, tested: bool) -> float:
        """Choose where to look next: short of the extrapolated singularity, just past it, or in the middle.

        Where the branch does not announce an end before `far`, `far` itself is tried from the near end.
        """
        room, width = abs(far.beta - near.beta), self._width(near)
        ahead = self.way.distance_ahead(near, earlier, far)
        if room <= width and not tested:
            step = room
        elif self.way.criteria.rough:  # the extrapolation is rough: it only tilts a bisection
            step = min(max(0.9 * ahead, 0.2 * room), 0.7 * room) if ahead else 0.5 * room
        else:
            step = self._extrapolated_step(near, ahead, room, width, tested)
        return near.beta + self.way.sign * step

    def _width(self, near: Point) -> float:
        """Return the width in beta of a bracket that has converged."""
        return self.way.bracket * self.way.unit(near)

    def _sparing_step(self, near: Point, far: Point, path: Sequence[Point]) -> float:
        """Return a step to just short of a fold that three points foretell, to just past it once it is close, or half-way.

        Every search is dear: `far` is not tried again from points on the way.
        """
        room, width = abs(far.beta - near.beta), self._width(near)
        ahead = fold_beyond(path[-3:]) if len(path) > 2 else None
        if ahead is None or ahead > FORETOLD_WITHIN * room:
            return 0.5 * room
        return min(max(ahead - max(0.4 * width, 0.1 * ahead), 0.9 * width), 0.9 * room)

    def _extrapolated_step(self, near: Point, ahead: float | None, room: float, width: float, tested: bool) -> float:
        """Return a step just short of the transition's place, or just past it once that is within the bracket."""
        step = room
        if ahead is not None and ahead < EXTRAPOLATED * room:
            short = min(max(0.02, 1.5 * math.sqrt(ahead / self.way.unit(near))), 0.3)  # the estimate's own error
            short = max(short, self.way.criteria.shortest_reach(near, ahead))
            soft = 0.4 * width  # nearer to it than this, slopes and margins say little
            step = ALMOST * width if ahead < WITHIN * width else min((1.0 - short) * ahead, ahead - soft)
        if step >= ALMOST * room:
            return 0.5 * room if tested else room
        return max(step, 0.2 * width)

    def _halved(self, near: Point, earlier: Point | None, far: Point) -> Closed:
        """Walk the final bracket in two half steps: the event is met again, or the branch goes on.

        Only where the margin is known well enough to use this as evidence of the order.
        """
        if self.way.criteria.rough:
            return Closed(near, earlier, far)
        middle = self.way.follow(near, earlier, 0.5 * (near.beta + far.beta))
        if not self.way.continues(near, earlier, middle):
            return Closed(near, earlier, middle, halved=True)
        again = self.way.follow(middle, near, far.beta)
        if not self.way.continues(middle, near, again):
            return Closed(middle, near, again, halved=True, path=(middle,))
        return Closed(again, middle, None, path=(middle, again))
