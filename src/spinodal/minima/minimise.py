"""Minimisation of L at one beta: solvers, and the certificate that the end is a minimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.errors import SpinodalError, positive_beta, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Factorised
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.minima.kronecker import Kronecker
from spinodal.minima.landmark import Landmark, price
from spinodal.minima.lbfgs import Preconditioned, lbfgs, lbfgs_batch
from spinodal.minima.local import SECOND_ORDER, Local, certify
from spinodal.minima.minimum import CONVERGED, Minimum
from spinodal.minima.newton import newton
from spinodal.minima.newton_cg import newton_cg
from spinodal.minima.solution import LOST, STUCK, Departure, Solution
from spinodal.spectrum.margin import Margin

__all__ = [
    "LOST",
    "SECOND_ORDER",
    "SOLVERS",
    "TOLERANCE",
    "Local",
    "Minimum",
    "lbfgs_batch",
    "minimise",
    "solve",
    "solver_for",
    "tolerance_of",
]

SOLVERS = ("newton", "newton_cg", "lbfgs")
SMALL, LARGE = 500, 800  # parameters up to which a dense Hessian is always, and may be, kept
FACTORISED = 800  # parameters up to which all eigenpairs are computed at every step of a branch
DEAR = 1000  # gradients that it may cost then
TOLERANCE = {"newton": 1e-9, "newton_cg": 1e-7, "lbfgs": 1e-4}
FLOAT32_TOLERANCE = 1e-3
AIDED = 2000  # most iterations with a preconditioner, before plain ones take over
ESCAPES = {"newton": 20, "newton_cg": 3, "lbfgs": 3}  # descents from saddles before one is reported as such


def solver_for(landscape: Landscape, solver: str = "auto") -> str:
    """Return the solver's name, choosing by counted cost where `solver` is "auto".

    Newton in float64 up to 500 parameters, and up to 800 where a dense Hessian with its factorisation costs at most 1,000
    gradients (see `Counts`), as it does where it factorises over samples; L-BFGS beyond and in float32.
    """
    if solver != "auto":
        if solver not in SOLVERS:
            raise unknown_name("solver", solver, ("auto", *SOLVERS))
        if solver == "newton" and landscape.dtype != torch.float64:
            raise SpinodalError(
                got=f"solver newton in {str(landscape.dtype).removeprefix('torch.')}",
                allowed="newton certifies, and does so in float64 only",
                do="use float64, or another solver",
            )
        return solver
    if landscape.dtype != torch.float64 or landscape.size > LARGE:
        return "lbfgs"
    return "newton" if landscape.size <= SMALL or price(landscape) <= DEAR else "lbfgs"


def tolerance_of(solver: str, dtype: torch.dtype, asked: float | None = None) -> float:
    """Return the relative residual that a solver minimises to: the one asked for, or its default at this precision."""
    return asked or (TOLERANCE[solver] if dtype == torch.float64 else FLOAT32_TOLERANCE)


def affords_dense(landscape: Landscape) -> bool:
    """Tell whether a dense Hessian and all its eigenpairs are affordable at every step of a branch.

    In float64 up to 800 parameters where the Hessian factorises over samples, 500 otherwise.
    """
    if landscape.dtype != torch.float64 or landscape.size > FACTORISED:
        return False
    return landscape.size <= SMALL or isinstance(landscape.hessian_method, Factorised)


def minimise(
    landscape: Landscape,
    *,
    beta: float,
    start: Tensor,
    penalty: Penalty | None = None,
    solver: str = "auto",
    tolerance: float | None = None,
) -> Minimum:
    """Minimise `L(theta) = E(theta) + beta * ||theta - centre||^2` from `start`.

    Parameters
    ----------
    landscape : Landscape
    beta : float
        Strength of the penalty, > 0. PyTorch's `weight_decay` is `2 * beta`.
    start : Tensor, shape (n,)
    penalty : Penalty, optional
        Centre and mask. Default: the origin, all parameters.
    solver : {"auto", "newton", "newton_cg", "lbfgs"}
        See `solver_for`.
    tolerance : float, optional
        The residual `||grad L||` relative to `2 beta max(||theta - centre||, 1e-3)`. Default 1e-9
        (newton), 1e-7 (newton_cg), 1e-4 (lbfgs), 1e-3 in float32.

    Returns
    -------
    Minimum
        Failure to converge is its status, not an exception. A saddle is never returned as converged:
        a negative margin is followed downhill.

    Raises
    ------
    SpinodalError
        For a beta that is not positive, a start of the wrong shape, an unknown solver, or a model
        whose L has no minimiser (a penalised scale-invariant block).

    Examples
    --------
    One weight, `E = (1 - w)^2`, so `w = 1 / (1 + beta)`:

    >>> import torch
    >>> class One(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.tensor(3.0))
    >>> E = Landscape(One(), lambda model, batch: (1 - model.w) ** 2, None)
    >>> float(minimise(E, beta=1.0, start=E.initial).theta)
    0.5
    """
    loss = Regularised(landscape, positive_beta(beta), penalty or Penalty())
    theta = landscape.vector(start)
    refuse_scale_invariance(landscape, loss.penalty)
    if tolerance is not None and not tolerance > 0:
        raise SpinodalError(got=f"tolerance = {tolerance!r}", allowed="a positive number is allowed", do="try 1e-6")
    minimum, _ = solve(loss, theta, solver=solver_for(landscape, solver), tolerance=tolerance)
    return minimum


def solve(
    loss: Regularised,
    start: Tensor,
    *,
    solver: str,
    tolerance: float | None = None,
    radius: float | None = None,
    landmark: Landmark | None = None,
    factors: Kronecker | None = None,
    has_left: Departure | None = None,
    hints: Sequence[Tensor] = (),
    on_the_way: bool = False,
) -> tuple[Minimum, Local | None]:
    """Minimise and certify; `landmark` or `factors` (from nearby), `radius` and `hints` (soft directions) serve warm starts.

    Of large networks less is looked for `on_the_way`, where a branch does not end.

    `has_left` tells that the search is far from where it should have stayed; it is then given
    up, loosely minimised and without a certificate.
    """
    landscape = loss.landscape
    before = landscape.counts.copy()
    tolerance = tolerance_of(solver, landscape.dtype, tolerance)
    radius = radius or 0.3 * (1.0 + float(start.norm()))
    theta = start
    for _ in range(ESCAPES[solver]):
        solution = _run(loss, theta, solver, tolerance, radius, landmark or factors, has_left)
        if solution.stop in ("left", *LOST):
            return _minimum(loss, solution, None, solver, landscape.counts - before), None
        spent = landscape.counts - before
        local = certify(loss, solution, solver, landmark, spent, hints, factors=factors, on_the_way=on_the_way)
        if local is None or solution.stop in STUCK or not _is_saddle(local.margin):
            break
        escaped = _descend(loss, solution, local.margin)
        if escaped is None:
            solution = replace(solution, stop="saddle")
            break
        theta, landmark = escaped, landmark if local.hessian is None else local.landmark
    else:
        solution = replace(solution, stop="saddle")
    margin = local.margin if local else None
    if margin is not None and solution.stop in CONVERGED and margin.is_undecided:
        solution = replace(solution, stop="undecided")
    return _minimum(loss, solution, margin, solver, landscape.counts - before), local


def _run(
    loss: Regularised,
    start: Tensor,
    solver: str,
    tolerance: float,
    radius: float,
    known: Landmark | Kronecker | None,
    has_left: Departure | None,
) -> Solution:
    if solver == "newton":
        landmark = known if isinstance(known, Landmark) else None
        return newton(loss, start, tolerance=tolerance, radius=radius, landmark=landmark, has_left=has_left)
    if solver == "newton_cg":
        return newton_cg(loss, start, tolerance=tolerance, radius=radius)
    if isinstance(known, Kronecker):
        aided = _aided(loss, start, tolerance, known, has_left)
        if aided.stop in ("converged", "left", *LOST):
            return aided
        start = aided.theta
    return lbfgs(loss, start, tolerance=tolerance, has_left=has_left)


def _aided(loss: Regularised, start: Tensor, tolerance: float, factors: Kronecker, has_left: Departure | None) -> Solution:
    """Minimise by L-BFGS in the coordinates of Kronecker factors, which are charged each time that they are used."""
    loss.landscape.counts.passes += factors.price
    memory = Preconditioned(start, factors.at_beta(loss.beta), 0.3 * (1.0 + float(start.norm())))
    return lbfgs(loss, start, tolerance=tolerance, iterations=AIDED, has_left=has_left, memory=memory)


def _is_saddle(margin: Margin) -> bool:
    """Tell whether the lowest eigenvalue is negative beyond its own error."""
    return margin.value < -max(1e-8 * margin.largest, margin.residual)


def _descend(loss: Regularised, solution: Solution, margin: Margin) -> Tensor | None:
    """Return the lowest point found along a saddle's mode, both ways, or None if L falls neither way."""
    best, best_value = None, solution.value
    for decade in range(11):
        for sign in (1.0, -1.0):
            length = sign * (1.0 + float(solution.theta.norm())) * 10.0 ** (-0.5 * decade)
            trial = solution.theta + length * margin.mode
            value = loss.value(trial)
            if value < best_value:
                best, best_value = trial, value
    return best


def _minimum(loss: Regularised, solution: Solution, margin: Margin | None, solver: str, spent: Counts) -> Minimum:
    return Minimum(
        theta=solution.theta,
        beta=loss.beta,
        error=loss.error(solution.value, solution.theta),
        loss=solution.value,
        residual=float(solution.gradient.norm()),
        margin=margin.value if margin else math.nan,
        margin_error=margin.residual if margin else math.nan,
        zero_modes=margin.zero_modes if margin else None,
        stop=solution.stop,
        solver=solver,
        stats=spent,
    )
