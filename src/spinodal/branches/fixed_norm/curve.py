"""Curves through points of a branch, as functions of `t = log rho`: predictions, and where to look for a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from spinodal.branches.point import StationaryPoint


def place(point: StationaryPoint) -> float:
    """Return `t = log rho`."""
    return math.log(point.norm_squared)


def velocity(point: StationaryPoint) -> Tensor:
    """Return `d theta / dt`, shape (n,)."""
    return point.tangent * (point.norm_squared / point.norm_rate)


def beta_velocity(point: StationaryPoint) -> float:
    """Return `d beta / dt`."""
    return point.beta_rate * (point.norm_squared / point.norm_rate)


def theta_beyond(points: Sequence[StationaryPoint], t: float) -> Tensor:
    """Return theta at t beyond the last point, shape (n,), by its velocity and, given two points, the change of that.

    Positions of earlier points are not used: where the model has a symmetry they differ by any motion along it,
    which extrapolation would amplify.
    """
    last = points[-1]
    ahead, step = velocity(last), t - place(last)
    if len(points) == 1:
        return last.theta + step * ahead
    bend = step / (2 * (place(last) - place(points[-2])))
    return last.theta + step * (ahead + bend * (ahead - velocity(points[-2])))


def theta_between(a: StationaryPoint, b: StationaryPoint, t: float) -> Tensor:
    """Return theta at t on the cubic through two points with their velocities, shape (n,)."""
    at_a, at_b, leave, arrive = _hermite(place(a), place(b), t)
    return at_a * a.theta + at_b * b.theta + leave * velocity(a) + arrive * velocity(b)


def velocity_between(a: StationaryPoint, b: StationaryPoint, t: float) -> Tensor:
    """Return `d theta / dt` at t on the straight line between those of two points, shape (n,)."""
    x = (t - place(a)) / (place(b) - place(a))
    return (1 - x) * velocity(a) + x * velocity(b)


def theta_through(points: Sequence[StationaryPoint], t: float) -> Tensor:
    """Return theta at t on the polynomial through points, shape (n,)."""
    weights = _lagrange([place(point) for point in points], t)
    first, *rest = (weight * point.theta for weight, point in zip(weights, points, strict=True))
    return sum(rest, first)


def velocity_through(points: Sequence[StationaryPoint], theta: Tensor, t: float) -> Tensor:
    """Return `d theta / dt` at t of the polynomial through points and theta at t, shape (n,)."""
    places = [place(point) for point in points]
    whole = [math.prod(t - s for s in places if s != at) / math.prod(at - s for s in places if s != at) for at in places]
    parts = (weight / (t - at) * (theta - point.theta) for weight, at, point in zip(whole, places, points, strict=True))
    first, *rest = parts
    return sum(rest, first)


def where_flat(a: StationaryPoint, b: StationaryPoint) -> float:
    """Return t of the turning point of beta, by the cubic through both ends, whose slopes differ in sign."""

    def rate(t: float) -> float:
        width = place(b) - place(a)
        x = (t - place(a)) / width
        rise = 6 * x * (1 - x) / width * (b.beta - a.beta)
        return rise + (1 - x) * (1 - 3 * x) * beta_velocity(a) + x * (3 * x - 2) * beta_velocity(b)

    return _root(rate, place(a), place(b))


def where_level(a: StationaryPoint, b: StationaryPoint, beta: float) -> float:
    """Return t at which the cubic through both ends has a value of beta that lies between theirs."""

    def height(t: float) -> float:
        at_a, at_b, leave, arrive = _hermite(place(a), place(b), t)
        return at_a * a.beta + at_b * b.beta + leave * beta_velocity(a) + arrive * beta_velocity(b) - beta

    return _root(height, place(a), place(b))


def _hermite(start: float, end: float, t: float) -> tuple[float, float, float, float]:
    width = end - start
    x = (t - start) / width
    return (1 + 2 * x) * (1 - x) ** 2, x * x * (3 - 2 * x), width * x * (1 - x) ** 2, width * x * x * (x - 1)


def _lagrange(places: Sequence[float], t: float) -> list[float]:
    return [math.prod((t - s) / (at - s) for s in places if s != at) for at in places]


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return a root between two places of different sign, by bisection to the last digit."""
    sign = math.copysign(1.0, function(low))
    for _ in range(60):
        middle = 0.5 * (low + high)
        if sign * function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
