"""Where the branch ahead should end or bend, read off two points of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spinodal.definitions import EXPONENTS, KINK_BEYOND, MARGIN_VANISHES, STEEPEST_POWER, TELLS_A_LAW
from spinodal.landscape.axis import LOG, Axis
from spinodal.sweeps.point import Point


def distance_to_singularity(point: Point, earlier: Point | None, sign: float) -> tuple[float, float] | None:
    """Return `(|beta* - beta|, exponent)` of the margin's zero ahead, or None if the margin does not fall.

    One point alone assumes a fold (exponent 1/2); a second one on the same branch gives the exponent.
    """
    if point.margin_slope == 0.0:
        return _distance_by_slope(point, earlier, sign)
    ahead = _secant(point, sign)
    if ahead is None:
        return None
    exponent = 0.5
    if earlier is not None:
        behind = _secant(earlier, sign)
        step = sign * (point.beta - earlier.beta)
        if behind is not None and behind > ahead:
            exponent = min(max(step / (behind - ahead), EXPONENTS[0]), EXPONENTS[1])
    return exponent * ahead, exponent


def _distance_by_slope(point: Point, earlier: Point | None, sign: float) -> tuple[float, float] | None:
    """Extrapolate a fold from `d rho / d beta ~ (beta* - beta)^(-1/2)`, where the margin is not known well."""
    if earlier is None or point.norm_slope == 0.0 or earlier.norm_slope == 0.0:
        return None
    growth = (point.norm_slope / earlier.norm_slope) ** 2 - 1.0
    return (sign * (point.beta - earlier.beta) / growth, 0.5) if growth > 0.0 else None


def fold_beyond(points: Sequence[Point]) -> float | None:
    """Return how far beyond the last of three points a fold lies, by `d rho / d beta = A + B |beta* - beta|^(-1/2)`.

    A is the slope that the branch would have without the fold. None where slopes do not grow as towards one.

    Examples
    --------
    >>> from types import SimpleNamespace as Seen
    >>> slopes = {beta: -3.0 - (0.5 - beta) ** -0.5 for beta in (0.1, 0.2, 0.4)}
    >>> round(fold_beyond([Seen(beta=beta, norm_slope=slope) for beta, slope in slopes.items()]), 9)
    0.1
    """
    first, middle, last = (abs(point.norm_slope) for point in points)
    places = [abs(point.beta - points[-1].beta) for point in points]
    if not first < middle < last:
        return None

    def misses(ahead: float) -> float:
        grown = [1.0 / math.sqrt(place + ahead) for place in places]
        return (last - middle) / (grown[2] - grown[1]) - (middle - first) / (grown[1] - grown[0])

    low, high = 1e-6 * places[0], 4.0 * places[0]
    if misses(high) <= 0.0:
        return None
    for _ in range(60):
        centre = 0.5 * (low + high)
        low, high = (centre, high) if misses(centre) < 0.0 else (low, centre)
    return 0.5 * (low + high)


def measured_exponent(point: Point, earlier: Point, sign: float) -> float | None:
    """Return p of `margin ~ (beta* - beta)^p` from two points, or None if the margin does not fall."""
    ahead, behind = _secant(point, sign), _secant(earlier, sign)
    if ahead is None or behind is None or behind <= ahead:
        return None
    return sign * (point.beta - earlier.beta) / (behind - ahead)


def law_through(margins: Sequence[float], distances: Sequence[float]) -> tuple[float, float] | None:
    """Return the power p of `margin ~ (beta* - beta)^p`, and how far ahead beta* lies, from three points on a branch.

    `margins` are those of a point and of two behind it, at rising `distances` from it. None where no power fits.

    Examples
    --------
    >>> [round(value, 9) for value in law_through([0.1**0.5, 0.3**0.5, 1.1**0.5], [0.2, 1.0])]
    [0.5, 0.1]
    """
    near, first, second = margins
    if not 0.0 < TELLS_A_LAW * near < first < second / TELLS_A_LAW:
        return None
    grown = [math.log(first / near), math.log(second / near)]

    def misses(ahead: float) -> float:
        apart = [math.log1p(distance / ahead) for distance in distances]
        return grown[0] * apart[1] - grown[1] * apart[0]

    low, high = 1e-6 * distances[0], 1e3 * distances[1]
    if misses(low) >= 0.0 or misses(high) <= 0.0:
        return None
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if misses(middle) > 0.0 else (middle, high)
    return grown[0] / math.log1p(distances[0] / high), high


def _secant(point: Point, sign: float) -> float | None:
    """Return `q = -margin / (d margin / d beta)` in the direction walked, None if the margin rises."""
    fall = -sign * point.margin_slope
    return point.minimum.margin / fall if fall > 0 and point.minimum.margin > 0 else None


def expected_slope(point: Point, earlier: Point | None, beta: float, axis: Axis = LOG) -> float:
    """Return `d||theta||^2 / dbeta` at beta if it goes on from `point` as the power law it came with.

    On a linear axis it is an exponential.
    """
    if earlier is None or point.norm_slope == 0.0 or earlier.norm_slope / point.norm_slope <= 0.0:
        return point.norm_slope
    power = math.log(point.norm_slope / earlier.norm_slope) / axis.step(earlier.beta, point.beta)
    return point.norm_slope * axis.power(point.beta, beta, min(max(power, -STEEPEST_POWER), STEEPEST_POWER))


def kink_position(a: Point, b: Point, *, slack: float) -> float | None:
    """Return how far from `a` the tangents of `||theta||^2` at both ends meet, None if not between them.

    `slack` is the error of `||theta||^2` to be allowed for: close to a kink minima are soft.
    """
    bend = b.norm_slope - a.norm_slope
    if bend == 0.0:
        return None
    width = b.beta - a.beta
    fraction = (b.norm_slope - (b.norm_squared - a.norm_squared) / width) / bend
    nearest = min(max(fraction, 0.0), 1.0)
    beyond = abs(fraction - nearest)
    return nearest * abs(width) if beyond <= KINK_BEYOND or beyond * abs(bend * width) <= slack else None


def margin_vanishes_between(a: Point, b: Point) -> bool:
    """Tell whether the margin of either end extrapolates, linearly, to zero between the two."""
    sign, width = math.copysign(1.0, b.beta - a.beta), abs(b.beta - a.beta)
    reaches = (_secant(a, sign), _secant(b, -sign))
    return any(reach is not None and reach <= MARGIN_VANISHES * width for reach in reaches)
