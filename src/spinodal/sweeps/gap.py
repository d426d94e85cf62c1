"""What separates two neighbouring points of a walk beyond what a branch between them would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.sweeps.point import Point


@dataclass(frozen=True)
class Gap:
    """What separates two points beyond what a smooth branch between them would do.

    It is read off `E` and `rho = ||theta - centre||^2` and their slopes, not off theta, because
    theta may drift along a symmetry of the network (a rotation of a linear layer) without moving. With another control than
    the L2 penalty, rho is its conjugate C, and E is `Point.height`.

    Attributes
    ----------
    error, norm_squared : float
        Part of the change of E and of rho that the slopes at both ends, and their errors, do not explain.
    relative : float
        The larger of the two, each over its own change: 0 on a smooth branch, near 1 across a jump.
    kink : float
        `|change of d rho / d beta|`.
    loss : float
        `|change of L - integral of rho|`: the envelope theorem, which asks little of the slopes.
    change : float
        `|change of E|`.
    hidden : float
        The largest jump of E that a branch between the two points may hide. On a branch of minima E and `-rho` only rise
        with beta, `dE = -beta d rho`; where `-d rho/d beta` is nowhere less than at the lower of both ends, that slope gives
        the least by which E changes along the branch, and only the rest can be a jump.
    """

    error: float
    norm_squared: float
    relative: float
    kink: float
    loss: float
    change: float
    hidden: float


def gap(a: Point, b: Point) -> Gap:
    """Measure the discontinuity between two points."""
    width = b.beta - a.beta
    doubt = 0.5 * abs(width) * (slope_error(a) + slope_error(b))
    error = _unexplained(b.height - a.height, width, a.error_slope, b.error_slope, doubt * max(a.drive, b.drive))
    norm_squared = _unexplained(b.norm_squared - a.norm_squared, width, a.norm_slope, b.norm_slope, doubt)
    return Gap(
        error=error,
        norm_squared=norm_squared,
        relative=max(_ratio(error, b.height - a.height), _ratio(norm_squared, b.norm_squared - a.norm_squared)),
        kink=abs(b.norm_slope - a.norm_slope),
        loss=_unexplained_loss(a, b),
        change=abs(b.height - a.height),
        hidden=_hidden(a, b),
    )


def slope_error(point: Point) -> float:
    """Return the error of `d rho / d beta = -t . Hess L t` that stems from the residual of a minimum; t is the tangent.

    theta is wrong by `residual / margin` along the soft mode, which changes Hess L along t. The change of the margin
    along t says by how much, since near a singular point, where it matters, t turns into the soft mode. Zero modes, along
    which t is arbitrary, are kept out of its length by `t . Hess L t >= margin |t|^2`.
    """
    minimum, slope = point.minimum, abs(point.norm_slope)
    if not minimum.margin > 0.0:
        return 0.0
    longest = math.sqrt(slope / minimum.margin)
    speed = min(point.speed, longest) if math.isfinite(point.speed) else longest
    return min(minimum.residual / minimum.margin * speed * abs(point.margin_slope), slope)


def _hidden(a: Point, b: Point) -> float:
    """Return the change of E less the least that a branch with the slopes of both ends would do (see `Gap`)."""
    change = abs(b.height - a.height)
    if (b.height - a.height) * (b.beta - a.beta) < 0.0:  # E falls with beta on no branch
        return change
    least = min(max(-point.norm_slope - slope_error(point), 0.0) for point in (a, b))
    return max(change - 0.5 * (a.drive + b.drive) * least * abs(b.beta - a.beta), 0.0)


def least_change(drives: Sequence[float], falls: Sequence[float]) -> float:
    """Return the least change of E between two points, from `drive = beta - reference` and `-d rho/d beta` at both.

    It is the integral of `drive * fall` over the drive, where the fall is at least the lower of both, and at least as large as
    makes `dE/d log drive = drive^2 fall` the lower of both: up to some place in between the latter tells more.

    Examples
    --------
    `fall = 1 / drive`, so that E changes by as much as the drive does, 3; the slopes at both ends tell of the most:

    >>> round(least_change((1.0, 4.0), (1.0, 0.25)), 3)
    2.193
    """
    low, high = sorted(drives)
    fall = min(falls)
    steady = min(drive * drive * fall for drive, fall in zip(drives, falls, strict=True))
    if not (low > 0.0 and fall > 0.0):
        return 0.5 * (high * high - low * low) * fall
    place = min(max(math.sqrt(steady / fall), low), high)
    return steady * math.log(place / low) + 0.5 * (high * high - place * place) * fall


def _unexplained(change: float, width: float, first: float, last: float, doubt: float) -> float:
    """Return by how much a change misses what the slopes at both ends explain, up to a doubt.

    The trapezoid rule takes the arithmetic mean of the slopes. Slopes that grow may announce a fold: a
    square root that ends in one has exactly their harmonic mean; what lies between the two is smooth.
    """
    mean = 0.5 * (first + last)
    harmonic = first * last / mean if first * last > 0 and abs(last) > abs(first) else mean
    low, high = sorted((width * harmonic, width * mean))
    return max(low - change - doubt, change - high - doubt, 0.0)


def _unexplained_loss(a: Point, b: Point) -> float:
    """Return `|change of L - integral of rho|`, the integral by trapezoids, with or without their end correction."""
    width = b.beta - a.beta
    rest = b.minimum.loss - a.minimum.loss - 0.5 * width * (a.norm_squared + b.norm_squared)
    return min(abs(rest), abs(rest + width**2 * (b.norm_slope - a.norm_slope) / 12.0))


def _ratio(part: float, whole: float) -> float:
    return part / abs(whole) if whole else 0.0
