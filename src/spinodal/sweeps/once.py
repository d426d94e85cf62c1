"""One event is told once, also where two brackets side by side hold parts of it."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.definitions import CONVERGED_BRACKET, ONE_EVENT
from spinodal.landscape.axis import Axis
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


def is_one_event(first: Transition, second: Transition, bracket: float, axis: Axis) -> bool:
    """Tell two transitions whose brackets touch, and together are too narrow for a phase at the bracket that was asked for.

    A kink whose slopes are doubtful, or a fall that rests for a moment, fills two of them. Where the walk went on between them,
    however little, they are two.
    """
    width = abs(second.after.beta - first.before.beta) / axis.unit(first.before.beta)
    touch = first.direction == second.direction and first.after.index == second.before.index
    return touch and width <= ONE_EVENT * CONVERGED_BRACKET * bracket


def without_between(points: Sequence[Point], before: Point, after: Point) -> list[Point]:
    """Return the points of a walk without those between two of them."""
    places = {point.index: place for place, point in enumerate(points)}
    first, last = places[before.index], places[after.index]
    return [*points[: first + 1], *points[last:]]
