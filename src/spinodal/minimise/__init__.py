"""Minimisation of L at one beta: solvers, and the certificate that the end is a minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.errors import SpinodalError, positive_beta, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.minimise.lbfgs import lbfgs, lbfgs_batch
from spinodal.minimise.margin import LANCZOS_STEPS, Margin, dense_margin, lanczos_margin
from spinodal.minimise.minimum import CONVERGED, Minimum
from spinodal.minimise.newton import newton
from spinodal.minimise.newton_cg import conjugate_gradients, newton_cg
from spinodal.minimise.solution import LOST, STUCK, Solution
from spinodal.penalty import Penalty
from spinodal.regularised import Regularised

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
SECOND_ORDER = ("newton", "newton_cg")  # whose slopes and margins are accurate enough to tell kinks, and orders
MARGIN_STEPS = {"newton_cg": 300, "lbfgs": LANCZOS_STEPS}  # most Hessian products for a margin
DENSE_LIMIT = {"factorised over samples": 800, "vectorised products": 500}
TOLERANCE = {"newton": 1e-9, "newton_cg": 1e-7, "lbfgs": 1e-4}
FLOAT32_TOLERANCE = 1e-3
TANGENT = {"newton_cg": (1e-6, 500), "lbfgs": (0.05, 30)}  # relative residual and most products of a solve with Hess L
ESCAPES = {"newton": 20, "newton_cg": 3, "lbfgs": 3}  # descents from saddles before one is reported as such


def solver_for(landscape: Landscape, solver: str = "auto") -> str:
    """Return the solver's name, choosing by size where `solver` is "auto".

    Dense Newton in float64 up to 800 parameters where the Hessian factorises over samples, 500
    otherwise; L-BFGS beyond and in float32.
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
    if landscape.dtype != torch.float64 or landscape.size > max(DENSE_LIMIT.values()):
        return "lbfgs"
    return "newton" if landscape.size <= DENSE_LIMIT[landscape.hessian_method.name] else "lbfgs"


def tolerance_of(solver: str, dtype: torch.dtype, asked: float | None = None) -> float:
    """Return the relative residual that a solver minimises to: the one asked for, or its default at this precision."""
    return asked or (TOLERANCE[solver] if dtype == torch.float64 else FLOAT32_TOLERANCE)


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


@dataclass(frozen=True)
class Local:
    """Second-order knowledge at a minimum: its soft mode, and solves with Hess L."""

    loss: Regularised
    theta: Tensor
    margin: Margin
    solver: str
    hessian: Tensor | None = None

    def solve(self, right: Tensor) -> Tensor:
        """Return `(Hess L)^+ right`, shape (n,), for a right side without zero-mode components."""
        if self.hessian is None:
            tolerance, most = TANGENT[self.solver]
            return conjugate_gradients(_operator(self.loss, self.theta, self.solver), right, tolerance=tolerance, most=most)
        matrix = self.loss.shifted(self.hessian)
        matrix.diagonal().add_(1e-13 * self.margin.largest)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if int(failed):
            solution: Tensor = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-9) @ right
            return solution
        return torch.cholesky_solve(right[:, None], factor)[:, 0]


def solve(
    loss: Regularised,
    start: Tensor,
    *,
    solver: str,
    tolerance: float | None = None,
    radius: float | None = None,
    hessian: Tensor | None = None,
    has_left: Callable[[float], bool] | None = None,
) -> tuple[Minimum, Local | None]:
    """Minimise and certify; `hessian` (of E, from nearby) and `radius` serve warm starts.

    `has_left` tells from E that the search is far from where it should have stayed; it is then given
    up, loosely minimised and without a certificate.
    """
    landscape = loss.landscape
    before = landscape.counts.copy()
    tolerance = tolerance_of(solver, landscape.dtype, tolerance)
    radius = radius or 0.3 * (1.0 + float(start.norm()))
    theta = start
    for _ in range(ESCAPES[solver]):
        solution = _run(loss, theta, solver, tolerance, radius, hessian, has_left)
        if solution.stop in ("left", *LOST):
            return _minimum(loss, solution, None, solver, landscape.counts - before), None
        local = _certify(loss, solution, solver)
        if local is None or solution.stop in STUCK or not _is_saddle(local.margin):
            break
        escaped = _descend(loss, solution, local.margin)
        if escaped is None:
            solution = replace(solution, stop="saddle")
            break
        theta, hessian = escaped, local.hessian
    else:
        solution = replace(solution, stop="saddle")
    margin = local.margin if local else None
    return _minimum(loss, solution, margin, solver, landscape.counts - before), local


def _run(
    loss: Regularised,
    start: Tensor,
    solver: str,
    tolerance: float,
    radius: float,
    hessian: Tensor | None,
    has_left: Callable[[float], bool] | None,
) -> Solution:
    if solver == "newton":
        return newton(loss, start, tolerance=tolerance, radius=radius, hessian=hessian, has_left=has_left)
    if solver == "newton_cg":
        return newton_cg(loss, start, tolerance=tolerance, radius=radius)
    return lbfgs(loss, start, tolerance=tolerance, has_left=has_left)


def _certify(loss: Regularised, solution: Solution, solver: str) -> Local | None:
    """Compute the margin at the end of a run; None where there is no finite Hessian (a kink)."""
    if solver != "newton":
        precision = torch.float32 if loss.single and solver not in SECOND_ORDER else loss.landscape.dtype
        product = _operator(loss, solution.theta, solver)
        margin = lanczos_margin(
            product, solution.theta, steps=MARGIN_STEPS[solver], precision=precision, noise=_noise(loss, solution, solver)
        )
        return Local(loss, solution.theta, margin, solver)
    hessian = solution.hessian if solution.hessian is not None else loss.landscape.hessian(solution.theta)
    if not bool(torch.isfinite(hessian).all()):
        return None
    return Local(loss, solution.theta, dense_margin(loss.shifted(hessian)), solver, hessian)


def _noise(loss: Regularised, solution: Solution, solver: str) -> float:
    """Return the curvature that zero modes may have because the gradient is not zero, where it is nearly so.

    Where it is not, that bound could hide the negative curvature of a saddle.
    """
    if solver not in SECOND_ORDER or solution.stop not in CONVERGED:
        return 0.0
    return 3.0 * float(solution.gradient.norm()) / max(float(loss.penalty.offset(solution.theta).norm()), 1e-3)


def _operator(loss: Regularised, theta: Tensor, solver: str) -> Callable[[Tensor], Tensor]:
    """Return `v -> Hess L v` for the iterative methods, in single precision where that is faster and enough."""
    if (single := loss.single) is None or solver in SECOND_ORDER:
        return loss.hessian_operator(theta)
    loss.landscape.require_second_derivatives()
    product = single.hessian_operator(theta.to(torch.float32))
    return lambda vectors: product(vectors.to(torch.float32)).to(vectors)


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
