"""Minimisation of L at one beta: solvers, and the certificate that the end is a minimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control, checked_control, one_control
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.minima.kronecker import Kronecker
from spinodal.minima.landmark import Landmark
from spinodal.minima.lbfgs import lbfgs_batch
from spinodal.minima.local import Local, certify
from spinodal.minima.minimum import CONVERGED, Minimum
from spinodal.minima.solution import GIVEN_UP, LOST, STUCK, Departure, Solution
from spinodal.minima.solver import SOLVERS, Search, Solver, solver_for, solver_named
from spinodal.spectrum.margin import Margin

__all__ = ["LOST", "SOLVERS", "Local", "Minimum", "lbfgs_batch", "minimise", "solve", "solver_for"]


def minimise(
    landscape: Landscape,
    *,
    beta: float,
    start: Tensor,
    penalty: Control | None = None,
    control: Control | None = None,
    solver: str = "auto",
    tolerance: float | None = None,
) -> Minimum:
    """Minimise `L(theta) = E(theta) + beta * ||theta - centre||^2` from `start`.

    Parameters
    ----------
    landscape : Landscape
    beta : float
        Strength of the penalty, > 0, or the value of another control. PyTorch's `weight_decay` is `2 * beta`.
    start : Tensor, shape (n,)
    penalty, control : Penalty or another Control, optional
        What is turned, under either name. Default: the L2 penalty, its centre the origin, over all parameters.
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
    turned = checked_control(one_control(penalty, control) or Penalty())
    loss = Regularised(landscape, turned.axis.checked(beta), turned)
    theta = landscape.vector(start)
    refuse_scale_invariance(landscape, loss.control)
    if tolerance is not None and not tolerance > 0:
        raise SpinodalError(got=f"tolerance = {tolerance!r}", allowed="a positive number is allowed", do="try 1e-6")
    minimum, _ = solve(loss, theta, solver=solver_for(landscape, solver), tolerance=tolerance)
    return minimum


def solve(
    loss: Regularised,
    start: Tensor,
    *,
    solver: str | Solver,
    tolerance: float | None = None,
    radius: float | None = None,
    landmark: Landmark | None = None,
    factors: Kronecker | None = None,
    has_left: Departure | None = None,
    hints: Sequence[Tensor] = (),
    on_the_way: bool = False,
    patience: float = math.inf,
) -> tuple[Minimum, Local | None]:
    """Minimise and certify; `landmark` or `factors` (from nearby), `radius` and `hints` (soft directions) serve warm starts.

    Of large networks less is looked for `on_the_way`, where a branch does not end. For `patience` see `Search`.

    `has_left` tells that the search is far from where it should have stayed; it is then given
    up, loosely minimised and without a certificate.
    """
    method = solver_named(solver)
    search = Search(
        method.tolerance_in(loss.landscape.dtype, tolerance),
        radius or 0.3 * (1.0 + float(start.norm())),
        landmark,
        factors,
        has_left,
        patience=patience,
    )
    with loss.landscape.counting() as spent:
        solution, local = _searched(loss, start, method, search, spent, hints, on_the_way=on_the_way)
    margin = local.margin if local else None
    if margin is not None and solution.stop in CONVERGED and margin.is_undecided:
        solution = replace(solution, stop="undecided")
    return _minimum(loss, solution, margin, method.name, spent), local


def _searched(
    loss: Regularised,
    theta: Tensor,
    method: Solver,
    search: Search,
    spent: Counts,
    hints: Sequence[Tensor],
    *,
    on_the_way: bool,
) -> tuple[Solution, Local | None]:
    """Search, certify the end, and search again from below a saddle."""
    for _ in range(method.escapes):
        solution = method.run(loss, theta, search)
        if solution.stop in (*GIVEN_UP, *LOST) or not method.certifies:
            return solution, None
        local = certify(loss, solution, method, search.landmark, spent, hints, factors=search.factors, on_the_way=on_the_way)
        if local is None or solution.stop in STUCK or not local.margin.is_negative:
            return solution, local
        escaped = _descend(loss, solution, local.margin)
        if escaped is None:
            break
        theta, search = escaped, search if local.hessian is None else replace(search, landmark=local.landmark)
    return replace(solution, stop="saddle"), local


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
        of=None if isinstance(loss.control, Penalty) else loss.control.name,
    )
