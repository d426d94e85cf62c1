"""The lower envelope of L over the known phases, and what a gap in it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spinodal.branches.maxwell import Difference, meeting
from spinodal.codec import Positive, Record
from spinodal.definitions import EQUAL_DEPTH, EQUALLY_DEEP, NORM_RISES
from spinodal.phases.loss_curve import LossCurve
from spinodal.sweeps.point import Point

MOST = 60  # steps to a border: as many halvings find it to rounding


@dataclass(frozen=True)
class Violation(Record):
    """A place where the deepest phases known cannot be the global minimum.

    `L*(beta) = min over theta of L` is concave and its slope `||theta - centre||^2` does not grow.

    Attributes
    ----------
    beta : float
    text : str
        What is violated.
    """

    beta: Positive
    text: str


@dataclass(frozen=True)
class Part:
    """A range of beta in which one phase is the deepest known."""

    phase: int
    low: float
    high: float


def envelope(curves: Sequence[LossCurve], borders: Mapping[frozenset[int], Sequence[float]] | None = None) -> tuple[Part, ...]:
    """Return which phase is the deepest known, by rising beta.

    Parameters
    ----------
    curves : sequence of LossCurve
    borders : mapping of pairs of phases to values of beta, optional
        Coexistence points that are known better than the curves tell.
    """
    grid = sorted({beta for curve in curves for beta in curve.betas})
    deepest = [_deepest(curves, beta) for beta in grid]
    parts, low = [], grid[0]
    for (a, first), (b, second) in pairwise(zip(grid, deepest, strict=True)):
        if first.phase != second.phase:
            border = _border(first, second, a, b, (borders or {}).get(frozenset((first.phase, second.phase)), ()))
            parts.append(Part(first.phase, low, border))
            low = border
    return (*parts, Part(deepest[-1].phase, low, grid[-1]))


def _deepest(curves: Sequence[LossCurve], beta: float) -> LossCurve:
    return min((curve for curve in curves if curve.covers(beta)), key=lambda curve: curve.loss(beta))


def _border(first: LossCurve, second: LossCurve, low: float, high: float, known: Sequence[float]) -> float:
    """Return where two phases are equally deep between two values of beta, or where the one that ends does so."""
    slack = 0.01 * (high - low)
    for beta in known:
        if low - slack <= beta <= high + slack:
            return beta
    if not first.covers(high):
        return first.betas[-1]
    if not second.covers(low):
        return second.betas[0]

    def compare(beta: float) -> Difference:
        return Difference(first.loss(beta) - second.loss(beta), first.slope(beta) - second.slope(beta))

    def is_equal(beta: float, found: Difference) -> bool:
        return abs(found.step) <= EQUAL_DEPTH * beta

    return meeting(compare, 0.5 * (low + high), bounds=(low, high), is_equal=is_equal, rises=True, most=MOST).beta


def violations(
    curves: Sequence[LossCurve], parts: Sequence[Part], *, error_range: float, norm_range: float
) -> tuple[Violation, ...]:
    """Return where the lower envelope is not concave, or the norm grows along it."""
    found = []
    for (a, home), (b, other) in pairwise(_on_envelope(curves, parts)):
        if problem := _problem(a, b, EQUALLY_DEEP * error_range, NORM_RISES * norm_range):
            where = f"between phases {home} and {other}" if home != other else f"in phase {home}"
            text = f"a deeper branch was missed here: {problem} {where}, from beta = {a.beta:.6g} to {b.beta:.6g}"
            found.append(Violation(0.5 * (a.beta + b.beta), text))
    return tuple(found)


def _on_envelope(curves: Sequence[LossCurve], parts: Sequence[Part]) -> list[tuple[Point, int]]:
    """Return the points of the deepest phases, by rising beta, each with its phase."""
    points = {curve.phase: curve.points for curve in curves}
    return [(point, part.phase) for part in parts for point in points[part.phase] if part.low <= point.beta <= part.high]


def _problem(a: Point, b: Point, depth: float, norm: float) -> str:
    """Tell what two neighbours on the envelope violate, "" for nothing: each lies below the other's tangent."""
    if b.norm_squared - a.norm_squared > norm:
        return f"||theta||^2 grows from {a.norm_squared:.6g} to {b.norm_squared:.6g}"
    width, rise = b.beta - a.beta, b.minimum.loss - a.minimum.loss
    above = max(rise - width * a.norm_squared, width * b.norm_squared - rise)
    return f"L is not concave, by {above:.2g}," if above > depth else ""
