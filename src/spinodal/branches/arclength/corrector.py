"""From near a branch onto it: quasi-Newton steps in a plane across the branch, or at one beta."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from spinodal.branches.arclength.bordered import Bordered
from spinodal.branches.arclength.equations import Equations
from spinodal.definitions import REACHABLE

TOLERANCE = 1e-11  # of ||F||, relative to `Equations.scale`
MOST = 16  # gradients for one point


@dataclass(frozen=True)
class Corrected:
    """A solved point, and what the solve says about the step that led to it.

    Attributes
    ----------
    theta, place : Tensor of shape (n,), float
        `place` is that of beta on its axis: log beta with the L2 penalty.
    loss : float
    residual : Tensor, shape (n,)
        `F` at the end.
    effort : int
        Gradients spent.
    converged : bool
    """

    theta: Tensor
    place: float
    loss: float
    residual: Tensor
    effort: int
    converged: bool


def correct(equations: Equations, theta: Tensor, place: float, border: Bordered, *, tolerance: float = TOLERANCE) -> Corrected:
    """Solve `F = 0` in the plane `row . dtheta + corner dplace = 0` through the given point.

    Broyden's method (1965) from the bordered Hessian of a nearby point: each iteration costs one gradient.
    """
    state = _evaluate(equations, theta, place, 1)
    best, stuck = state, 0
    steps: list[tuple[Tensor, float]] = []
    for effort in range(2, MOST + 1):
        scale = equations.scale(state.theta, equations.axis.value(state.place))
        size = float(state.residual.norm())
        if not size <= 1e6 * max(scale, 1.0):
            return replace(best, effort=effort)
        if size <= tolerance * scale:
            return replace(state, converged=True)
        step = _broyden_step(border, steps, state.residual)
        if not abs(step[1]) < 1.0:
            return replace(best, effort=effort)
        steps.append(step)
        state = _evaluate(equations, state.theta + step[0], state.place + step[1], effort)
        stuck = 0 if float(state.residual.norm()) < 0.9 * float(best.residual.norm()) else stuck + 1
        best = state if float(state.residual.norm()) < float(best.residual.norm()) else best
        if stuck >= 4:
            break
    small = float(best.residual.norm()) <= REACHABLE * equations.scale(best.theta, equations.axis.value(best.place))
    return replace(best, effort=state.effort, converged=small)


def _evaluate(equations: Equations, theta: Tensor, place: float, effort: int) -> Corrected:
    loss, residual = equations.value_and_residual(theta, equations.axis.value(place))
    return Corrected(theta, place, loss, residual, effort, converged=False)


def _broyden_step(border: Bordered, steps: list[tuple[Tensor, float]], residual: Tensor) -> tuple[Tensor, float]:
    """Return the next step from the earlier ones, which hold all of Broyden's updates of the inverse.

    Kelley, Iterative Methods for Linear and Nonlinear Equations (1995), section 7.3.
    """
    x, b = border.solve(-residual, 0.0)
    for earlier, (later, later_rate) in pairwise(steps):
        weight = border.product(earlier, (x, b)) / border.product(earlier, earlier)
        x, b = x + weight * later, b + weight * later_rate
    if steps:
        last = steps[-1]
        rest = 1.0 - border.product(last, (x, b)) / border.product(last, last)
        if abs(rest) > 1e-2:
            x, b = x / rest, b / rest
    return x, b
