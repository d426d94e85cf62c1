"""Finds where two phases have the same L, by two routes, with the saddle between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import torch

from spinodal.branches.arclength.equations import Equations
from spinodal.branches.arclength.exact import Exact, nearest
from spinodal.branches.area import area, discrepancy
from spinodal.branches.branch import Branch
from spinodal.branches.coexistence import Coexistence
from spinodal.branches.fixed_norm.matrix_free import MatrixFree
from spinodal.branches.point import StationaryPoint
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import Minimum
from spinodal.spectrum.operator import affords_dense

MOST = 20  # Newton steps in beta
EQUAL = 1e-13  # of |L| and of beta times the latent heat: where the iteration has arrived
LONGEST, DEPTH = 0.5, 6  # steps in log beta along a phase for the area rule, and how often they are halved
AREA = 1e-11  # of L: what one such step may miss

Solve = Callable[[StationaryPoint, float], StationaryPoint | None]
Side = tuple[StationaryPoint, Branch | StationaryPoint]


def coexistence(
    landscape: Landscape,
    a: Branch | StationaryPoint | Minimum,
    b: Branch | StationaryPoint | Minimum,
    *,
    penalty: Penalty | None = None,
    solve: Solve | None = None,
) -> Coexistence | None:
    """Return where the phases of two branches have equal L; None if they do not cross where both are known.

    Newton's method in beta on `L_a - L_b`, whose slope is `||theta_a||^2 - ||theta_b||^2`, exactly; both phases are
    solved at every step. The equal-area rule is evaluated on the branches as a second, independent route.

    Parameters
    ----------
    landscape : Landscape
    a, b : Branch, StationaryPoint or Minimum
        Of a branch the stable parts are compared. A point stands for the branch of minima through it.
    penalty : Penalty, optional
        The one that both were followed with.
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
    penalty = penalty or Penalty()
    a, b = (of_minimum(item, penalty) if isinstance(item, Minimum) else item for item in (a, b))
    solver, precision = (solve, EQUAL) if solve is not None else _solver(landscape, penalty, (a, b))
    found = [_crossing(solver, x, y, precision) for x in _stable_parts(a) for y in _stable_parts(b) if x is not y]
    best = next((item for item in found if item is not None), None)
    return None if best is None else _completed(solver, best, a, b)


def _solver(landscape: Landscape, penalty: Penalty, items: Sequence[Branch | StationaryPoint]) -> tuple[Solve, float]:
    """Return what solves for points of the items at another beta, and how exact beta can be with it."""
    branches = [item for item in items if isinstance(item, Branch)]
    if affords_dense(landscape) and all(branch.method == "arclength" for branch in branches):
        return Exact(Equations(landscape, penalty)), EQUAL
    free = MatrixFree(landscape, penalty, branches)
    return free, free.precision


def of_minimum(minimum: Minimum, penalty: Penalty) -> StationaryPoint:
    """Return a minimum as a point of a branch, its tangent unknown."""
    return StationaryPoint(
        theta=minimum.theta, beta=minimum.beta, error=minimum.error, loss=minimum.loss,
        norm_squared=penalty.norm_squared(minimum.theta), residual=minimum.residual, index=0, index_is_exact=False,
        margin=minimum.margin, zero_modes=minimum.zero_modes, tangent=torch.zeros_like(minimum.theta),
        beta_rate=0.0, norm_rate=0.0,
    )  # fmt: skip


def within(branch: Branch, solver: Solve, precision: float = EQUAL) -> tuple[Coexistence, ...]:
    """Return where stable parts of one branch have equal L; `precision` is that of beta, relative."""
    found = [_crossing(solver, x, y, precision) for x, y in combinations(_stable_parts(branch), 2)]
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
    solve: Solve, x: Sequence[StationaryPoint], y: Sequence[StationaryPoint], precision: float = EQUAL
) -> tuple[float, StationaryPoint, StationaryPoint, str] | None:
    """Return beta and both points where the L of two stretches cross, by Newton's method from the middle of what they share."""
    start = _shared(x, y)
    if start is None:
        return None
    beta, bounds = start
    pair: tuple[StationaryPoint, StationaryPoint] | None = None
    for _ in range(MOST):
        p, q = solve(nearest(x, beta), beta), solve(nearest(y, beta), beta)
        if p is None or q is None or not (p.is_stable and q.is_stable):
            break
        pair = p, q
        heat = p.norm_squared - q.norm_squared
        apart = p.loss_at(beta) - q.loss_at(beta)
        step = -apart / heat if heat else math.inf
        if abs(step) <= precision * (beta + abs(p.loss / heat if heat else 0.0)):
            return beta + step, p, q, "converged"
        if not bounds[0] <= beta + step <= bounds[1]:
            return None
        beta += step
    if pair is None or abs(pair[0].loss - pair[1].loss) > 1e-6 * (1.0 + abs(pair[0].loss)):
        return None
    return pair[0].beta, *pair, "not converged"


def _shared(x: Sequence[StationaryPoint], y: Sequence[StationaryPoint]) -> tuple[float, tuple[float, float]] | None:
    """Return a beta to begin with and the range that both stretches share; a single point stands for any beta."""
    ranges = [(min(p.beta for p in part), max(p.beta for p in part)) for part in (x, y) if len(part) > 1]
    low = max((ends[0] for ends in ranges), default=0.0)
    high = min((ends[1] for ends in ranges), default=math.inf)
    if not low < high:
        return None
    if not ranges:
        return x[0].beta, (0.0, math.inf)
    return _nearly_equal(x, y, (low, high)) or math.sqrt(max(low, 1e-300) * high), (low, high)


def _nearly_equal(x: Sequence[StationaryPoint], y: Sequence[StationaryPoint], bounds: tuple[float, float]) -> float | None:
    """Return a beta to begin with: where L of the known points, led on by their slopes, is equal; None if nowhere."""

    def apart(point: StationaryPoint) -> float:
        other = nearest(y, point.beta)
        return point.loss - other.loss_at(point.beta)

    for a, b in pairwise([point for point in x if bounds[0] <= point.beta <= bounds[1]]):
        p, q = apart(a), apart(b)
        if p * q < 0:
            return a.beta + (b.beta - a.beta) * p / (p - q)
    return None


def _completed(
    solve: Solve,
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


def _saddle(solve: Solve, branches: Sequence[Branch], beta: float) -> StationaryPoint | None:
    """Return the saddle of lowest L among the unstable stretches that pass beta."""
    parts = [part for branch in branches for part in branch.parts() if not _is_stable(part)]
    passing = [part for part in parts if min(p.beta for p in part) <= beta <= max(p.beta for p in part)]
    saddles = [solve(nearest(part[1:-1] or part, beta), beta) for part in passing]
    known = [saddle for saddle in saddles if saddle is not None and not saddle.is_stable]
    return min(known, key=lambda saddle: (saddle.index, saddle.loss), default=None)


def _left_over(
    solve: Solve,
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
    solve: Solve, branch: Branch, x: StationaryPoint, y: StationaryPoint, other: Branch | StationaryPoint
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


def _stretch_down(solve: Solve, point: StationaryPoint, beta: float) -> list[StationaryPoint] | None:
    """Return points of a phase from one beta down to another, as close as the area rule needs them."""
    count = max(1, math.ceil(math.log(point.beta / beta) / LONGEST))
    way = [point]
    for k in range(1, count + 1):
        following = solve(way[-1], point.beta * (beta / point.beta) ** (k / count) if k < count else beta)
        if following is None:
            return None
        way += _filled(solve, way[-1], following, DEPTH)
    return way


def _filled(solve: Solve, a: StationaryPoint, b: StationaryPoint, depth: int) -> list[StationaryPoint]:
    """Return the points of (a, b], with others in between until the area rule holds from one to the next."""
    least = max(AREA, 100 * torch.finfo(a.theta.dtype).eps)
    if depth == 0 or abs(discrepancy(a, b)) <= least * (abs(a.loss) + abs(b.loss)):
        return [b]
    middle = solve(a, math.sqrt(a.beta * b.beta))
    return [b] if middle is None else _filled(solve, a, middle, depth - 1) + _filled(solve, middle, b, depth - 1)
