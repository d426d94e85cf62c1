"""What a step ahead would hide, if slopes go on as they came."""

from __future__ import annotations

from spinodal.definitions import LONGEST_HIDING
from spinodal.landscape.axis import Axis
from spinodal.sweeps.gap import least_change
from spinodal.sweeps.point import Point
from spinodal.sweeps.singularity import expected_slope

HALVINGS = 12  # in the search for the longest step
PARTS = 8  # of a step, over which E is summed up


def longest_hiding(allowed: float, point: Point, earlier: Point, axis: Axis) -> float:
    """Return the longest step from `point`, away from `earlier`, that hides no larger jump of E than allowed, on the axis."""
    sign = 1.0 if point.beta > earlier.beta else -1.0

    def hides(step: float) -> bool:
        return hidden_ahead(point, earlier, axis.moved(point.beta, sign * step), axis) > allowed

    if not hides(LONGEST_HIDING):
        return LONGEST_HIDING
    low, high = 0.0, LONGEST_HIDING
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if hides(middle) else (middle, high)
    return low


def hidden_ahead(point: Point, earlier: Point, beta: float, axis: Axis) -> float:
    """Return the largest jump of E that a step to beta will hide: its change less the least by the slopes (see `Gap`)."""
    places = [point.beta + (beta - point.beta) * part / PARTS for part in range(PARTS + 1)]
    falls = [max(-expected_slope(point, earlier, place, axis), 0.0) for place in places]
    drives = [place - point.reference for place in places]
    slopes = [drive * fall for drive, fall in zip(drives, falls, strict=True)]
    change = abs(beta - point.beta) / PARTS * (sum(slopes) - 0.5 * (slopes[0] + slopes[-1]))
    return max(change - least_change((drives[0], drives[-1]), (falls[0], falls[-1])), 0.0)
