"""The same minimum at another beta, by the walker, so that it is recorded."""

from __future__ import annotations

from spinodal.sweeps.point import Point
from spinodal.sweeps.walk import Walker


def moved(walker: Walker, point: Point, beta: float) -> Point:
    """Return the minimum that a point leads to along its tangent at another beta; the point itself at its own."""
    step = beta - point.beta
    return walker.finish(walker.follow(point, beta, step * point.tangent)) if step else point
