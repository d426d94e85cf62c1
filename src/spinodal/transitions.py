"""Transitions: where a followed minimum jumps or kinks, with the evidence for its order."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spinodal.uncertainty import of_error
from spinodal.walk import Point
from spinodal.words.numbers import ends, half, to_error

MACROSCOPIC = 0.01  # of the range of E, or of the range of the squared norm for a kink
CONTINUOUS = 1e-3  # of the range of the squared norm: what changes by less across a bracket is continuous
SQUARE_ROOT = (0.42, 0.6)  # exponents of the margin accepted as a fold's 1/2
LINEAR = (0.8, 1.25)  # exponents of the margin accepted as a branch point's 1
NAMES = {"first": "first-order transition", "second": "second-order transition"}
NEAR = 20.0  # brackets ahead within which the margin must vanish


@dataclass(frozen=True)
class Evidence:
    """Why a transition has the order it has.

    Attributes
    ----------
    exponent : float or None
        p of `margin ~ (beta* - beta)^p` at the near end: 1/2 at a fold, 1 at a branch point. It comes
        from two points on the branch: with `q = -margin / (d margin / d beta)`, `p = dbeta / dq`.
    margin : float
        Margin at the last point before.
    reach : float or None
        Distance in beta from that point to where its margin extrapolates to zero, over the bracket's width.
    halved_step : bool
        Whether walking the bracket in two half steps met the transition again.
    jump_norm_squared, jump_curvature : float
        Ehrenfest: jumps of `||theta||^2 = dL/dbeta` and of `d2L/dbeta2` across the bracket.
    """

    exponent: float | None
    margin: float
    reach: float | None
    halved_step: bool
    jump_norm_squared: float
    jump_curvature: float


@dataclass(frozen=True)
class Transition:
    """A discontinuity (or kink) of the followed minimum.

    Attributes
    ----------
    beta : float
        Best estimate, inside the bracket.
    bracket : (lower, upper)
        The branch was still followed at one end and was left at the other.
    direction : {"up", "down"}
    order : {"first", "second", "not classified"}
    minor : bool
        Below 1 % of the range of E (first order) or of the squared norm (second order).
    status : str
    before, after : Point
        In the direction walked.
    evidence : Evidence
    """

    beta: float
    bracket: tuple[float, float]
    direction: str
    order: str
    minor: bool
    status: str
    before: Point
    after: Point
    evidence: Evidence

    def __str__(self) -> str:
        """Return the transition in one line, to the digits of its bracket, with the ranks at the ends where they differ."""
        kind = "minor transition" if self.minor else NAMES.get(self.order, "transition")
        sides = (self.before, self.after)
        before, after = (side.observation.rank for side in sides)
        errors = " -> ".join(to_error(side.error, of_error(side), 4) for side in sides)
        return f"{kind} at beta = {to_error(self.beta, half(self.bracket))} [{', '.join(ends(self.bracket))}]: E {errors}" + (
            f", rank {before} -> {after}" if before != after else ""
        )


@dataclass(frozen=True)
class Gap:
    """What separates two points beyond what a smooth branch between them would do.

    It is read off `E` and `rho = ||theta - centre||^2` and their exact slopes, not off theta, because
    theta may drift along a symmetry of the network (a rotation of a linear layer) without moving.

    Attributes
    ----------
    error, norm_squared : float
        Part of the change of E and of rho that the slopes at both ends do not explain.
    relative : float
        The larger of the two, each over its own change: 0 on a smooth branch, near 1 across a jump.
    kink : float
        `|change of d rho / d beta|`.
    loss : float
        `|change of L - integral of rho|`: the envelope theorem, which asks little of the slopes.
    change : float
        `|change of E|`.
    """

    error: float
    norm_squared: float
    relative: float
    kink: float
    loss: float
    change: float


def gap(a: Point, b: Point) -> Gap:
    """Measure the discontinuity between two points."""
    width = b.beta - a.beta
    error = _unexplained(b.error - a.error, width, a.error_slope, b.error_slope)
    norm_squared = _unexplained(b.norm_squared - a.norm_squared, width, a.norm_slope, b.norm_slope)
    return Gap(
        error=error,
        norm_squared=norm_squared,
        relative=max(_ratio(error, b.error - a.error), _ratio(norm_squared, b.norm_squared - a.norm_squared)),
        kink=abs(b.norm_slope - a.norm_slope),
        loss=_unexplained_loss(a, b),
        change=abs(b.error - a.error),
    )


def _unexplained(change: float, width: float, first: float, last: float) -> float:
    """Return by how much a change misses what the slopes at both ends explain.

    The trapezoid rule takes the arithmetic mean of the slopes. Slopes that grow may announce a fold: a
    square root that ends in one has exactly their harmonic mean; what lies between the two is smooth.
    """
    mean = 0.5 * (first + last)
    harmonic = first * last / mean if first * last > 0 and abs(last) > abs(first) else mean
    low, high = sorted((width * harmonic, width * mean))
    return max(low - change, change - high, 0.0)


def _unexplained_loss(a: Point, b: Point) -> float:
    """Return `|change of L - integral of rho|`, the integral by trapezoids, with or without their end correction."""
    width = b.beta - a.beta
    rest = b.minimum.loss - a.minimum.loss - 0.5 * width * (a.norm_squared + b.norm_squared)
    return min(abs(rest), abs(rest + width**2 * (b.norm_slope - a.norm_slope) / 12.0))


def _ratio(part: float, whole: float) -> float:
    return part / abs(whole) if whole else 0.0


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
            exponent = min(max(step / (behind - ahead), 0.4), 1.2)
    return exponent * ahead, exponent


def _distance_by_slope(point: Point, earlier: Point | None, sign: float) -> tuple[float, float] | None:
    """Extrapolate a fold from `d rho / d beta ~ (beta* - beta)^(-1/2)`, where the margin is not known well."""
    if earlier is None or point.norm_slope == 0.0 or earlier.norm_slope == 0.0:
        return None
    growth = (point.norm_slope / earlier.norm_slope) ** 2 - 1.0
    return (sign * (point.beta - earlier.beta) / growth, 0.5) if growth > 0.0 else None


def measured_exponent(point: Point, earlier: Point, sign: float) -> float | None:
    """Return p of `margin ~ (beta* - beta)^p` from two points, or None if the margin does not fall."""
    ahead, behind = _secant(point, sign), _secant(earlier, sign)
    if ahead is None or behind is None or behind <= ahead:
        return None
    return sign * (point.beta - earlier.beta) / (behind - ahead)


def has_meaning(exponent: float) -> bool:
    """Tell whether an exponent of the margin is that of a fold or of a branch point."""
    return SQUARE_ROOT[0] <= exponent <= SQUARE_ROOT[1] or LINEAR[0] <= exponent <= LINEAR[1]


def _secant(point: Point, sign: float) -> float | None:
    """Return `q = -margin / (d margin / d beta)` in the direction walked, None if the margin rises."""
    fall = -sign * point.margin_slope
    return point.minimum.margin / fall if fall > 0 and point.minimum.margin > 0 else None


def expected_slope(point: Point, earlier: Point | None, beta: float) -> float:
    """Return `d||theta||^2 / dbeta` at beta if it goes on from `point` as the power law it came with."""
    if earlier is None or point.norm_slope == 0.0 or earlier.norm_slope / point.norm_slope <= 0.0:
        return point.norm_slope
    power = math.log(point.norm_slope / earlier.norm_slope) / math.log(point.beta / earlier.beta)
    return point.norm_slope * math.pow(beta / point.beta, min(max(power, -4.0), 4.0))


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
    return nearest * abs(width) if beyond <= 0.1 or beyond * abs(bend * width) <= slack else None


def margin_vanishes_between(a: Point, b: Point) -> bool:
    """Tell whether the margin of either end extrapolates, linearly, to zero between the two."""
    sign, width = math.copysign(1.0, b.beta - a.beta), abs(b.beta - a.beta)
    reaches = (_secant(a, sign), _secant(b, -sign))
    return any(reach is not None and reach <= 1.2 * width for reach in reaches)


def order_of(evidence: Evidence, *, norm_range: float) -> str:
    """Return the order that the evidence supports: "first", "second" or "not classified".

    First order: the margin vanishes like a square root where the bracket lies, `||theta||^2` jumps,
    and halved steps fall again. Second order: the margin vanishes linearly, `||theta||^2` is
    continuous, its slope jumps.
    """
    if evidence.exponent is None or evidence.reach is None or not evidence.halved_step:
        return "not classified"
    near = evidence.reach < NEAR
    jumps = evidence.jump_norm_squared > CONTINUOUS * norm_range
    if SQUARE_ROOT[0] <= evidence.exponent <= SQUARE_ROOT[1] and near and jumps:
        return "first"
    if LINEAR[0] <= evidence.exponent <= LINEAR[1] and near and not jumps and evidence.jump_curvature > 0:
        return "second"
    return "not classified"
