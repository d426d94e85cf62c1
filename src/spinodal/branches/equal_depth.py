"""Finds where two phases have the same L, by two routes, with the saddle between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import torch

from spinodal.branches.arclength.exact import nearest
from spinodal.branches.area import area, discrepancy
from spinodal.branches.branch import Branch
from spinodal.branches.coexistence import Coexistence
from spinodal.branches.maxwell import Difference, meeting
from spinodal.branches.move import Move, Mover
from spinodal.branches.point import StationaryPoint
from spinodal.definitions import EQUAL_DEPTH, NEARLY_EQUAL
from spinodal.landscape import Landscape
from spinodal.landscape.axis import LOG, Axis
from spinodal.landscape.control import Control, Turned, one_control
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import Minimum

LONGEST, DEPTH = 0.5, 6  # steps in log beta along a phase for the area rule, and how often they are halved
AREA = 1e-11  # of L: what one such step may miss


def coexistence(
    landscape: Landscape,
    a: Branch | StationaryPoint | Minimum,
    b: Branch | StationaryPoint | Minimum,
    *,
    penalty: Control | None = None,
    control: Control | None = None,
    solve: Move | None = None,
) -> Coexistence | None:
    """Return where the phases of two branches have equal L; None if they do not cross where both are known.

    Newton's method in beta on `L_a - L_b`, whose slope is `||theta_a||^2 - ||theta_b||^2`, exactly; both phases are
    solved at every step. The equal-area rule is evaluated on the branches as a second, independent route.

    Parameters
    ----------
    landscape : Landscape
    a, b : Branch, StationaryPoint or Minimum
        Of a branch the stable parts are compared. A point stands for the branch of minima through it.
    penalty, control : Penalty or another Control, optional
        What is turned, under either name: the one that both were followed with.
    solve : callable (point, beta) -> StationaryPoint or None, optional
        Solves for the point of the same branch at another beta. Default: with dense Hessians where they are
        affordable; else between the points of branches at fixed norm, and by minimising.

    Examples
    --------
    `E = x^6 - x^4`: the phase at x > 0 and the one at x = 0 have the same L at beta = 1/4:

    >>> import torch
    >>> from spinodal import Landscape, minimise
    >>> from spinodal.branches import continue_branch
    >>> class X(torch.nn.Module):
    ...     def __init__(self, x):
    ...         super().__init__()
    ...         self.x = torch.nn.Parameter(torch.tensor(x))
    >>> E = Landscape(X(0.8), lambda model, batch: model.x**6 - model.x**4, None)
    >>> live = continue_branch(E, minimise(E, beta=0.1, start=E.initial), to=0.5)
    >>> dead = continue_branch(E, torch.zeros(1), beta=0.1, to=0.5)
    >>> print(f"{coexistence(E, live, dead).beta:.9f}")
    0.250000000
    """
    turned = (one_control(penalty, control) or Penalty()).on(landscape)
    a, b = (_on_branch(item, turned) if isinstance(item, Minimum) else item for item in (a, b))
    solver, precision = (solve, EQUAL_DEPTH) if solve is not None else _mover(landscape, turned, (a, b))
    found = [_crossing(solver, x, y, precision) for x in _stable_parts(a) for y in _stable_parts(b) if x is not y]
    best = next((item for item in found if item is not None), None)
    return None if best is None else _completed(solver, best, a, b)


def _mover(landscape: Landscape, control: Control, items: Sequence[Branch | StationaryPoint]) -> tuple[Mover, float]:
    """Return what solves for points of the items at another beta, and how exact beta can be with it."""
    mover = Mover(landscape, control, [item for item in items if isinstance(item, Branch)])
    return mover, mover.precision


def _on_branch(minimum: Minimum, control: Turned) -> StationaryPoint:
    return StationaryPoint.of(minimum, control.conjugate(minimum.theta))


def within(branch: Branch, solver: Mover) -> tuple[Coexistence, ...]:
    """Return where stable parts of one branch have equal L."""
    found = [_crossing(solver, x, y, solver.precision) for x, y in combinations(_stable_parts(branch), 2)]
    return tuple(_completed(solver, item, branch, branch) for item in found if item is not None)


def _stable_parts(item: Branch | StationaryPoint) -> list[tuple[StationaryPoint, ...]]:
    """Return the stretches of minima, each of rising or of falling beta."""
    if isinstance(item, StationaryPoint):
        return [(item,)]
    return [part for part in item.parts() if _is_stable(part)]


def _is_stable(part: Sequence[StationaryPoint]) -> bool:
    """Tell a stable stretch; its ends, which it may share with unstable ones, do not count where it has more points."""
    inner = part[1:-1] or part
    return all(point.is_stable for point in inner)


def _crossing(
    solve: Move, x: Sequence[StationaryPoint], y: Sequence[StationaryPoint], precision: float = EQUAL_DEPTH
) -> tuple[float, StationaryPoint, StationaryPoint, str] | None:
    """Return beta and both points where the L of two stretches cross, by Newton's method from the middle of what they share."""
    axis = axis_of(solve)
    start = _shared(x, y, axis)
    if start is None:
        return None
    pairs: list[tuple[StationaryPoint, StationaryPoint]] = []

    def compare(beta: float) -> Difference | None:
        p, q = solve(nearest(x, beta, axis), beta), solve(nearest(y, beta, axis), beta)
        if p is None or q is None or not (p.is_stable and q.is_stable):
            return None
        pairs.append((p, q))
        return Difference(p.loss_at(beta) - q.loss_at(beta), p.norm_squared - q.norm_squared)

    def is_equal(beta: float, found: Difference) -> bool:
        size = abs(pairs[-1][0].loss / found.heat) if found.heat else 0.0
        return abs(found.step) <= precision * (axis.unit(beta) + size)

    found = meeting(compare, start[0], bounds=start[1], is_equal=is_equal)
    if found.stop == "equal":
        return found.beta, *pairs[-1], "converged"
    if found.stop == "outside" or not pairs:
        return None
    p, q = pairs[-1]
    return None if abs(p.loss - q.loss) > NEARLY_EQUAL * (1.0 + abs(p.loss)) else (p.beta, p, q, "not converged")


def axis_of(solve: Move) -> Axis:
    """Return the axis on which a solver moves points; a log one where it does not tell."""
    return getattr(solve, "axis", LOG)


def _shared(x: Sequence[StationaryPoint], y: Sequence[StationaryPoint], axis: Axis) -> tuple[float, tuple[float, float]] | None:
    """Return a beta to begin with and the range that both stretches share; a single point stands for any beta."""
    ranges = [(min(p.beta for p in part), max(p.beta for p in part)) for part in (x, y) if len(part) > 1]
    lowest = 0.0 if axis is LOG else -math.inf
    low = max((ends[0] for ends in ranges), default=lowest)
    high = min((ends[1] for ends in ranges), default=math.inf)
    if not low < high:
        return None
    if not ranges:
        return x[0].beta, (lowest, math.inf)
    near = _nearly_equal(x, y, (low, high), axis)
    return (axis.middle(low, high) if near is None else near), (low, high)


def _nearly_equal(
    x: Sequence[StationaryPoint], y: Sequence[StationaryPoint], bounds: tuple[float, float], axis: Axis
) -> float | None:
    """Return a beta to begin with: where L of the known points, led on by their slopes, is equal; None if nowhere."""

    def apart(point: StationaryPoint) -> float:
        other = nearest(y, point.beta, axis)
        return point.loss - other.loss_at(point.beta)

    for a, b in pairwise([point for point in x if bounds[0] <= point.beta <= bounds[1]]):
        p, q = apart(a), apart(b)
        if p * q < 0:
            return a.beta + (b.beta - a.beta) * p / (p - q)
    return None


def _completed(
    solve: Move,
    found: tuple[float, StationaryPoint, StationaryPoint, str],
    a: Branch | StationaryPoint,
    b: Branch | StationaryPoint,
) -> Coexistence:
    """Add the saddle and the second route."""
    beta, p, q, status = found
    first, second = (p, q) if p.norm_squared >= q.norm_squared else (q, p)
    branches = [item for item in (a, b) if isinstance(item, Branch)]
    saddle = _saddle(solve, branches, beta)
    left_over = _left_over(solve, (p, a), (q, b))
    heat = p.norm_squared - q.norm_squared
    by_area = None if left_over is None or not heat else beta + left_over / heat
    return Coexistence(beta, (first, second), saddle, by_area, status)


def _saddle(solve: Move, branches: Sequence[Branch], beta: float) -> StationaryPoint | None:
    """Return the saddle of lowest L among the unstable stretches that pass beta."""
    parts = [part for branch in branches for part in branch.parts() if not _is_stable(part)]
    passing = [part for part in parts if min(p.beta for p in part) <= beta <= max(p.beta for p in part)]
    saddles = [solve(nearest(part[1:-1] or part, beta, axis_of(solve)), beta) for part in passing]
    known = [saddle for saddle in saddles if saddle is not None and not saddle.is_stable]
    return min(known, key=lambda saddle: (saddle.index, saddle.loss), default=None)


def _left_over(
    solve: Move,
    first: tuple[StationaryPoint, Branch | StationaryPoint],
    second: tuple[StationaryPoint, Branch | StationaryPoint],
) -> float | None:
    """Return `integral of rho dbeta` from the first phase to the second, which the equal-area rule says is 0.

    Along one branch if both are on it. Else along the first one's branch to its end, and back along the second phase,
    from the same beta; what L still differs by there is added.
    """
    (p, a), (q, b) = first, second
    if a is b and isinstance(a, Branch):
        return _along(a.points, p, q)
    for (x, branch), (y, other), sign in ((first, second, 1.0), (second, first, -1.0)):
        if isinstance(branch, Branch) and not branch.points[-1].is_stable:
            total = _down_and_back(solve, branch, x, y, other)
            if total is not None:
                return sign * total
    return None


def _along(points: Sequence[StationaryPoint], p: StationaryPoint, q: StationaryPoint) -> float | None:
    """Return the integral between two points that lie on the branch but are not among its points."""
    start, end = _place(points, p), _place(points, q)
    if start is None or end is None:
        return None
    sign = 1.0 if start <= end else -1.0
    (near, first), (far, last) = sorted([(start, p), (end, q)], key=lambda item: item[0])
    way = [first, *points[near + 1 : far + 1], last]
    return sign * sum(area(x, y) for x, y in pairwise(way))


def _place(points: Sequence[StationaryPoint], point: StationaryPoint) -> int | None:
    """Return k such that the point lies between points k and k + 1."""
    best, distance = None, math.inf
    for k, (x, y) in enumerate(pairwise(points)):
        if min(x.beta, y.beta) <= point.beta <= max(x.beta, y.beta):
            apart = float((x.theta - point.theta).norm() + (y.theta - point.theta).norm() - (y.theta - x.theta).norm())
            if apart < distance:
                best, distance = k, apart
    return best


def _down_and_back(
    solve: Move, branch: Branch, x: StationaryPoint, y: StationaryPoint, other: Branch | StationaryPoint
) -> float | None:
    """Return the integral from x along its branch to the end, and from there, on the other phase, back to y."""
    place = _place(branch.points, x)
    end = branch.points[-1]
    if place is None or end.beta >= y.beta:
        return None
    way = [x, *branch.points[place + 1 :]]
    back = _stretch_down(solve, y, end.beta)
    if back is None:
        return None
    there = sum(area(u, v) for u, v in pairwise(way))
    return there + (back[-1].loss - end.loss) - sum(area(u, v) for u, v in pairwise(back))


def _stretch_down(solve: Move, point: StationaryPoint, beta: float) -> list[StationaryPoint] | None:
    """Return points of a phase from one beta down to another, as close as the area rule needs them."""
    axis = axis_of(solve)
    count = max(1, math.ceil(axis.step(beta, point.beta) / LONGEST))
    way = [point]
    for k in range(1, count + 1):
        following = solve(way[-1], axis.along(point.beta, beta, k / count) if k < count else beta)
        if following is None:
            return None
        way += _filled(solve, way[-1], following, DEPTH)
    return way


def _filled(solve: Move, a: StationaryPoint, b: StationaryPoint, depth: int) -> list[StationaryPoint]:
    """Return the points of (a, b], with others in between until the area rule holds from one to the next."""
    least = max(AREA, 100 * torch.finfo(a.theta.dtype).eps)
    if depth == 0 or abs(discrepancy(a, b)) <= least * (abs(a.loss) + abs(b.loss)):
        return [b]
    middle = solve(a, axis_of(solve).middle(a.beta, b.beta))
    return [b] if middle is None else _filled(solve, a, middle, depth - 1) + _filled(solve, middle, b, depth - 1)
