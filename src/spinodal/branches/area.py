"""The certificate of a branch: `L(b) - L(a) = integral of ||theta - centre||^2 dbeta`, which needs no parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spinodal.branches.point import StationaryPoint
from spinodal.definitions import TURNS


@dataclass(frozen=True)
class AreaCertificate:
    """How well a branch obeys the envelope theorem `dL/dbeta = rho`.

    Attributes
    ----------
    worst : float
        Largest `|L(b) - L(a) - integral|` over all points a, b of the branch.
    place : float
        beta at which it grows most: where a point may lie on another branch, if `worst` is not small.
    """

    worst: float
    place: float

    def __str__(self) -> str:
        """Return the certificate in one line."""
        return f"L(b) - L(a) = integral of ||theta||^2 dbeta holds to {self.worst:.1e}"


def area_certificate(points: Sequence[StationaryPoint]) -> AreaCertificate:
    """Return the certificate of points along one branch."""
    total, sums, largest, place = 0.0, [0.0], 0.0, points[0].beta
    for a, b in pairwise(points):
        part = discrepancy(a, b)
        total += part
        sums.append(total)
        if abs(part) > largest:
            largest, place = abs(part), 0.5 * (a.beta + b.beta)
    return AreaCertificate(max(sums) - min(sums), place)


def discrepancy(a: StationaryPoint, b: StationaryPoint) -> float:
    """Return `L(b) - L(a) - integral of rho dbeta` between neighbours."""
    return b.loss - a.loss - area(a, b)


def area(a: StationaryPoint, b: StationaryPoint) -> float:
    """Return the integral of rho dbeta between neighbours, by the trapezoidal rule with end corrections.

    `integral f dx = h (f_a + f_b) / 2 + h^2 (f'_a - f'_b) / 12 + O(h^5)`, in beta where rho varies less than
    beta does, relatively, and in rho (by parts) near a fold, where `d beta / d rho` is 0. Slopes are exact. Where
    rho is little but rounding, its slopes say nothing, and the end correction in rho is the larger one.
    """
    if _ends_branch(a, b) or _ends_branch(b, a):
        return _towards_turn(a, b)
    in_beta, in_norm = _in_beta(a, b), _in_norm(a, b)
    if in_norm and _is_steep(a, b) and (in_beta is None or a.beta_rate * b.beta_rate < 0.0 or in_norm[1] <= in_beta[1]):
        return in_norm[0]
    return in_beta[0] if in_beta else 0.5 * (b.beta - a.beta) * (a.norm_squared + b.norm_squared)


def _ends_branch(point: StationaryPoint, other: StationaryPoint) -> bool:
    """Tell the end of a side branch, where beta and rho turn together."""
    return point.beta_rate == 0.0 and abs(point.norm_rate) <= TURNS * max(abs(point.norm_squared), abs(other.norm_squared))


def _towards_turn(a: StationaryPoint, b: StationaryPoint) -> float:
    """Integrate to or from the end of a side branch by a parabola, as only the other end has a slope."""
    width = b.beta - a.beta
    if not (a.beta_rate or b.beta_rate):
        return 0.5 * width * (a.norm_squared + b.norm_squared)
    known, other, sign = (a, b, 1.0) if a.beta_rate else (b, a, -1.0)
    slope, change = known.norm_rate / known.beta_rate, other.norm_squared - known.norm_squared
    return width * (known.norm_squared + sign * width * slope / 6.0 + change / 3.0)


def _is_steep(a: StationaryPoint, b: StationaryPoint) -> bool:
    return any(abs(point.norm_rate * point.beta) > abs(point.beta_rate * point.norm_squared) for point in (a, b))


def _in_beta(a: StationaryPoint, b: StationaryPoint) -> tuple[float, float] | None:
    """Return the integral over beta and the size of its end correction; None where beta turns."""
    if not (a.beta_rate and b.beta_rate):
        return None
    plain, correction = _trapezoid(a.beta, b.beta, a.norm_squared, b.norm_squared, *(p.norm_rate / p.beta_rate for p in (a, b)))
    return plain + correction, abs(correction)


def _in_norm(a: StationaryPoint, b: StationaryPoint) -> tuple[float, float] | None:
    """Return the integral by parts, over rho, and the size of its end correction; None where rho turns."""
    if not (a.norm_rate and b.norm_rate):
        return None
    plain, correction = _trapezoid(a.norm_squared, b.norm_squared, a.beta, b.beta, *(p.beta_rate / p.norm_rate for p in (a, b)))
    return b.beta * b.norm_squared - a.beta * a.norm_squared - plain - correction, abs(correction)


def _trapezoid(x: float, y: float, at_x: float, at_y: float, slope_x: float, slope_y: float) -> tuple[float, float]:
    """Return the trapezoidal rule and its end correction."""
    width = y - x
    return 0.5 * width * (at_x + at_y), width**2 / 12.0 * (slope_x - slope_y)
