"""From a minimum to its branch: the front door of continuation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from torch import Tensor

from spinodal.continuation.arclength import FIRST, Arclength
from spinodal.continuation.branch import Branch
from spinodal.continuation.coexistence import within
from spinodal.continuation.equations import Equations
from spinodal.continuation.exact import node_at
from spinodal.continuation.metric import Node
from spinodal.continuation.minor import fall_from, mark_minor
from spinodal.continuation.point import StationaryPoint
from spinodal.errors import SpinodalError, positive_beta, unknown_name
from spinodal.kinds import whole_number
from spinodal.landscape import Landscape
from spinodal.minimise import Minimum, minimise
from spinodal.penalty import Penalty

METHODS = ("auto", "arclength", "fixed_norm")
BEYOND = 1e3  # how far, as a factor, a branch is followed past its start or its goal on the side where no end was given
Start = Minimum | StationaryPoint | Branch | Tensor


def continue_branch(
    landscape: Landscape,
    start: Start,
    *,
    to: float,
    beta: float | None = None,
    through_folds: bool = True,
    penalty: Penalty | None = None,
    method: str = "auto",
    bounds: tuple[float, float] | None = None,
    at: Sequence[float] = (),
    points: int = 2000,
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
    penalty : Penalty, optional
        Must be the one that `start` minimises. Default: the origin, all parameters.
    method : {"auto", "arclength", "fixed_norm"}
        "auto": arclength where a dense Hessian is affordable (see `solver_for`), else fixed norm.
    bounds : (low, high) in beta, optional
        Where the walk ends. Default: `to` on its side, and a factor of 1000 past start and `to` on the other.
    at : values of beta
        Points are solved exactly there, each time the branch passes.
    points : int
        Most points. Default 2000.
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
    >>> class Chain(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(3))
    >>> E = Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> branch = continue_branch(E, minimise(E, beta=0.1, start=E.initial), to=0.4)
    >>> [round(fold.beta, 6) for fold in branch.folds], branch.index[-1]
    ([0.236235], 1)
    """
    penalty, to = penalty or Penalty(), positive_beta(to, "to")
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    whole_number("points", points, least=1, do="try 2000")
    began, before = time.perf_counter(), landscape.counts.copy()
    first = _first(landscape, start, beta, penalty)
    limits = _bounds(bounds, first.beta, to)
    walk = _arclength(landscape, penalty, start, first, to, limits, through_folds, tuple(map(positive_beta, at)))
    found = tuple(_told(walk, points, on_point))
    stop = walk.stop or "points"
    branch = Branch(found, tuple(walk.folds), tuple(walk.branch_points), "arclength", stop, landscape.counts - before)
    branch = start.followed_by(branch) if isinstance(start, Branch) else branch
    fall = partial(fall_from, landscape, penalty)
    branch = replace(mark_minor(branch, walk.error_range, fall), coexistence=within(landscape, branch, penalty))
    return replace(branch, spent=landscape.counts - before, seconds=time.perf_counter() - began)


def _told(walk: Arclength, points: int, on_point: Callable[[StationaryPoint], None]) -> Iterator[StationaryPoint]:
    for point in islice(walk, points):
        on_point(point)
        yield point


def _arclength(
    landscape: Landscape,
    penalty: Penalty,
    start: Start,
    first: Candidate,
    to: float,
    bounds: tuple[float, float],
    through_folds: bool,
    at: tuple[float, ...],
) -> Arclength:
    """Return the walk from a start that is solved, or refuse it with its residual."""
    equations = Equations(landscape, penalty)
    sign = math.copysign(1.0, to - first.beta)
    node = _solved(equations, first, sign)
    if isinstance(start, Branch):
        node = _onward(node, start.points[-1])
    return Arclength(
        equations, node, bounds=bounds, to=to, through_folds=through_folds, at=at,
        error_range=_error_range(landscape, penalty, node.point), step=FIRST,
    )  # fmt: skip


def _solved(equations: Equations, first: Candidate, sign: float) -> Node:
    """Return the point at the start's beta, with the tangent along which beta goes the way of `sign`."""
    node = node_at(equations, first.theta, first.beta, equations.spectrum(first.theta, first.beta))
    if node is None:
        raise _not_stationary(float(equations.value_and_residual(first.theta, first.beta)[1].norm()), first.beta)
    return node if sign > 0 else node.reversed()


def _onward(node: Node, last: StationaryPoint) -> Node:
    """Return a node with the tangent pointing the way that the last point of a branch was walked."""
    along = float(node.point.tangent @ last.tangent) + node.point.beta_rate * last.beta_rate
    return node if along >= 0 else node.reversed()


@dataclass(frozen=True)
class Candidate:
    """Where a walk is asked to begin."""

    theta: Tensor
    beta: float


def _first(landscape: Landscape, start: Start, beta: float | None, penalty: Penalty) -> Candidate:
    """Return theta and beta of a start; what comes as a tensor is minimised."""
    point = start.points[-1] if isinstance(start, Branch) else start
    if isinstance(point, Minimum | StationaryPoint):
        if beta is not None and beta != point.beta:
            raise SpinodalError(
                got=f"beta = {beta!r} and a start at beta = {point.beta!r}",
                allowed="a start that has its own beta is continued from there",
                do="leave beta out, or minimise at the other beta first",
            )
        if isinstance(point, StationaryPoint) or point.converged:
            return Candidate(landscape.vector(point.theta), point.beta)
        beta = point.beta
    if beta is None:
        raise SpinodalError(
            got="a start without beta", allowed="a tensor and its beta, or a Minimum, is allowed", do="add beta=..."
        )
    theta = point.theta if isinstance(point, Minimum) else point
    minimum = minimise(landscape, beta=beta, start=theta, penalty=penalty)
    if not minimum.converged:
        raise _not_stationary(minimum.residual, beta, minimum.status)
    return Candidate(minimum.theta, minimum.beta)


def _not_stationary(residual: float, beta: float, why: str = "no stationary point of L was found from it") -> SpinodalError:
    return SpinodalError(
        got=f"the start is not stationary at beta = {beta:.6g}: its residual ||grad L|| is {residual:.2e} ({why})",
        allowed="a start from which a stationary point of L is reached is allowed",
        do="start from spinodal.minimise(...), or at another beta",
    )


def _bounds(bounds: tuple[float, float] | None, beta: float, to: float) -> tuple[float, float]:
    """Return the range of beta to stay in, or refuse one that does not hold the start."""
    if to == beta:
        raise SpinodalError(
            got=f"to = {to:g}, which is the start's beta", allowed="another beta is allowed", do="go up or down"
        )
    low, high = min(beta, to), max(beta, to)
    if bounds is None:
        return (low / BEYOND, high) if to > beta else (low, high * BEYOND)
    lower, upper = (positive_beta(value, "bounds") for value in bounds)
    if not lower < upper or not lower <= low or not high <= upper:
        raise SpinodalError(
            got=f"bounds = ({lower:g}, {upper:g})",
            allowed=f"LOW < HIGH that hold the start, {beta:g}, and to = {to:g}, are allowed",
            do=f"try ({low / BEYOND:g}, {high:g})",
        )
    return lower, upper


def _error_range(landscape: Landscape, penalty: Penalty, point: StationaryPoint) -> float:
    """Return `|E(centre) - E|`, or a tenth of |E| where that is larger: what small errors are relative to."""
    trivial = landscape.value(point.theta - penalty.offset(point.theta))
    trivial = trivial if math.isfinite(trivial) else point.error
    return max(abs(trivial - point.error), 0.1 * abs(point.error), 1e-9 * (1.0 + abs(trivial)))
