"""From a minimum to its branch: the front door of continuation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from spinodal.arguments import real_number, whole_number
from spinodal.branches.arclength.equations import Equations
from spinodal.branches.arclength.exact import node_at
from spinodal.branches.arclength.metric import Node
from spinodal.branches.arclength.trace import Arclength
from spinodal.branches.branch import Branch
from spinodal.branches.equal_depth import within
from spinodal.branches.fixed_norm.trace import FixedNorm
from spinodal.branches.minor import fall_from, mark_minor
from spinodal.branches.move import Mover
from spinodal.branches.point import StationaryPoint
from spinodal.branches.start import Candidate, Start, bounds_of, candidate, not_stationary
from spinodal.counts import Counts
from spinodal.definitions import LEAST_RANGE, TENTH_OF_ERROR
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control, checked_control, one_control
from spinodal.landscape.penalty import Penalty, l2
from spinodal.spectrum.operator import affords_dense

OF_NORM = "a walk at fixed norm", "take method='arclength', where a dense Hessian is affordable"
METHODS = ("auto", "arclength", "fixed_norm")
ELSEWHERE, ELSEWHERE_LOOSE = 1e-3, 0.1  # of beta: a walk at fixed norm that begins further away is on another branch


def continue_branch(
    landscape: Landscape,
    start: Start,
    *,
    to: float,
    beta: float | None = None,
    through_folds: bool = True,
    penalty: Control | None = None,
    control: Control | None = None,
    method: str = "auto",
    bounds: tuple[float, float] | None = None,
    at: Sequence[float] = (),
    points: int = 2000,
    area: float = 1e-8,
    on_point: Callable[[StationaryPoint], None] = lambda point: None,
) -> Branch:
    """Follow a branch of stationary points of `L = E + beta ||theta - centre||^2`, stable or not.

    "arclength" (Keller 1977) walks theta and log beta together, so a fold in beta is an ordinary point; it
    computes one dense Hessian a point. "fixed_norm" walks `rho = ||theta - centre||^2` and minimises E on the
    sphere, needs no Hessian, and serves any size (theory: `beta = -dE/drho`). Folds and branch points are
    polished on their own equations, never interpolated.

    Where a side branch ends in a branch point (a pitchfork), the walk goes on along the trunk, to where that
    is stable; elsewhere it goes straight through branch points.

    Parameters
    ----------
    landscape : Landscape
    start : Minimum, StationaryPoint, Branch, or Tensor of shape (n,)
        Where to begin. A tensor needs `beta`, and what is not stationary is minimised first. A branch is
        continued from its last point.
    to : float > 0
        The beta to walk to; the direction follows from it. PyTorch's `weight_decay` is `2 * beta`.
    beta : float, optional
        Of a start given as a tensor.
    through_folds : bool
        Whether to go on past folds, along the saddle. Default True.
    penalty, control : Penalty or another Control, optional
        What is turned, under either name; it must be the one that `start` minimises. Default: the L2 penalty, its centre the
        origin, over all parameters. Walks at fixed norm are of the L2 penalty.
    method : {"auto", "arclength", "fixed_norm"}
        "auto": arclength where a dense Hessian is affordable (see `solver_for`), else fixed norm.
    bounds : (low, high) in beta, optional
        Where the walk ends. Default: `to` on its side, and a factor of 1000 past start and `to` on the other.
    at : values of beta
        Points are solved exactly there, each time the branch passes.
    points : int
        Most points. Default 2000.
    area : float > 0
        What the area certificate (see `AreaCertificate`) may miss, relative to the range of E: it decides how close the
        points are, not how exact. Default 1e-8; 1e-4 takes about a third of the points.
    on_point : callable, optional
        Told of every point as it is found.

    Returns
    -------
    Branch
        A walk that ends early says why in its status and keeps what it has.

    Raises
    ------
    SpinodalError
        For bad arguments, and a start that cannot be solved; its residual is named.

    Examples
    --------
    The scalar chain of depth 3, `E = (1 - w1 w2 w3)^2 / 2`, has its spinodal at beta = .236235, exactly;
    the saddle behind it has index 1:

    >>> import torch
    >>> from spinodal import minimise
    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(3))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> branch = continue_branch(E, minimise(E, beta=0.1, start=E.initial), to=0.4)
    >>> [round(fold.beta, 6) for fold in branch.folds], branch.index[-1]
    ([0.236235], 1)
    """
    turned = checked_control(one_control(penalty, control) or Penalty())
    to = turned.axis.checked(to, "to")
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    whole_number("points", points, least=1, do="try 2000")
    if not 0 < real_number(area) < 1:
        raise SpinodalError(got=f"area = {area!r}", allowed="a number between 0 and 1 is allowed", do="try 1e-8")
    first = candidate(landscape, start, beta, turned)
    turned = turned.over(first.beta, to)
    route = Route(to, turned, through_folds, tuple(turned.axis.checked(v, "at") for v in at), points, area, on_point)
    limits = bounds_of(bounds, first.beta, to, turned.axis)
    began, before = time.perf_counter(), landscape.counts.copy()
    walk = _fixed_norm if _is_large(landscape, method) else _arclength
    branch = walk(landscape, route, limits, first, start)
    return replace(branch, spent=landscape.counts - before, seconds=time.perf_counter() - began)


@dataclass(frozen=True)
class Route:
    """What was asked of a walk, whatever its method."""

    to: float
    control: Control
    through_folds: bool
    at: tuple[float, ...]
    points: int
    area: float
    on_point: Callable[[StationaryPoint], None]


def _is_large(landscape: Landscape, method: str) -> bool:
    """Tell whether a walk has to do without dense Hessians."""
    return method == "fixed_norm" or (method == "auto" and not affords_dense(landscape))


def _arclength(landscape: Landscape, route: Route, bounds: tuple[float, float], first: Candidate, start: Start) -> Branch:
    """Walk by arclength, then see into what the folds fall, and where stable parts coexist."""
    equations = Equations(landscape, route.control)
    node = _begun(equations, first, route.to, start)
    size = _error_range(landscape, route.control, node.point)
    walk = Arclength(
        equations, node, bounds=bounds, to=route.to, through_folds=route.through_folds, at=route.at, area=size * route.area
    )
    found = []
    for point in islice(walk, route.points):
        route.on_point(point)
        found.append(point)
    stop = walk.stop or "points"
    folds = tuple(fold for fold in walk.folds if fold.place < len(found))
    crossed = tuple(item for item in walk.branch_points if item.place < len(found))
    branch = Branch(tuple(found), folds, crossed, "arclength", stop, Counts())
    branch = start.followed_by(branch) if isinstance(start, Branch) else branch
    branch = mark_minor(branch, size, partial(fall_from, landscape, route.control))
    return replace(branch, coexistence=within(branch, Mover(landscape, route.control, dense=True)))


def _begun(equations: Equations, first: Candidate, to: float, start: Start) -> Node:
    """Return the first point, solved, with the tangent along which beta goes towards `to`, or a branch went on."""
    node = node_at(equations, first.theta, first.beta, equations.spectrum(first.theta, first.beta))
    if node is None:
        residual = equations.value_and_residual(first.theta, first.beta)[1]
        raise not_stationary(float(residual.norm()), first.beta)
    if isinstance(start, Branch):
        last = start.points[-1]
        onward = float(node.point.tangent @ last.tangent) + node.point.beta_rate * last.beta_rate >= 0
    else:
        onward = to > first.beta
    return node if onward else node.reversed()


def _fixed_norm(landscape: Landscape, route: Route, bounds: tuple[float, float], first: Candidate, start: Start) -> Branch:
    """Walk at fixed norm, matrix-free, then see where stable parts coexist."""
    down = start.points[-1].norm_rate < 0 if isinstance(start, Branch) else None
    walk = FixedNorm(
        landscape, first.theta, first.beta, to=route.to, bounds=bounds, penalty=l2(route.control, *OF_NORM),
        through_folds=route.through_folds, down=down, at=route.at,
    )  # fmt: skip
    for point in islice(walk, route.points):
        if not walk.points[1:]:
            _refuse_elsewhere(point, first, ELSEWHERE if walk.effort.second_order else ELSEWHERE_LOOSE)
        route.on_point(point)
    branch = walk.branch()
    branch = start.followed_by(branch) if isinstance(start, Branch) else branch
    walked = walk.branch()
    return replace(branch, coexistence=branch.coexistence + within(walked, Mover(landscape, route.control, [walked])))


def _refuse_elsewhere(point: StationaryPoint, first: Candidate, most: float) -> None:
    """Refuse a start on whose sphere the lowest point lies on another branch: its norm is rounding, or it is a saddle there."""
    if abs(point.beta - first.beta) > most * first.beta:
        raise SpinodalError(
            got=f"a start with ||theta - centre|| = {math.sqrt(point.norm_squared):.1e} at beta = {first.beta:.6g}, on whose "
            f"sphere E is lowest at a point that is stationary at beta = {point.beta:.6g}",
            allowed="a start that is the lowest point on its sphere is allowed, as a walk at fixed norm goes on from there",
            do='use method="arclength", or start from a minimum away from the centre',
        )


def _error_range(landscape: Landscape, control: Control, point: StationaryPoint) -> float:
    """Return `|E(centre) - E|`, or a tenth of |E| where that is larger: what small errors are relative to."""
    centre = control.on(landscape).trivial(point.theta)
    trivial = point.error if centre is None else landscape.value(centre)
    trivial = trivial if math.isfinite(trivial) else point.error
    return max(abs(trivial - point.error), TENTH_OF_ERROR * abs(point.error), LEAST_RANGE * (1.0 + abs(trivial)))
