"""From near a branch onto it: quasi-Newton steps in a plane across the branch, or at one beta."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from spinodal.branches.arclength.bordered import Bordered
from spinodal.branches.arclength.equations import Equations
from spinodal.definitions import REACHABLE
from spinodal.minima.solution import Solution

TOLERANCE = 1e-11  # of ||F||, relative to `Equations.scale`
MOST = 16  # gradients for one point


@dataclass(frozen=True)
class Corrected(Solution):
    """The end of a solve across a branch, in which beta moves as well; `iterations` are the gradients spent.

    Attributes
    ----------
    place : float
        That of beta on its axis: log beta with the L2 penalty.
    """

    place: float = math.nan

    @property
    def converged(self) -> bool:
        """Tell whether the equations hold to the tolerance, or to rounding."""
        return self.stop == "converged"


def correct(equations: Equations, theta: Tensor, place: float, border: Bordered, *, tolerance: float = TOLERANCE) -> Corrected:
    """Solve `F = 0` in the plane `row . dtheta + corner dplace = 0` through the given point.

    Broyden's method (1965) from the bordered Hessian of a nearby point: each iteration costs one gradient.
    """
    state = _evaluate(equations, theta, place, 1)
    best, stuck = state, 0
    steps: list[tuple[Tensor, float]] = []
    for effort in range(2, MOST + 1):
        scale = equations.scale(state.theta, equations.axis.value(state.place))
        size = float(state.gradient.norm())
        if not size <= 1e6 * max(scale, 1.0):
            return replace(best, iterations=effort)
        if size <= tolerance * scale:
            return replace(state, stop="converged")
        step = _broyden_step(border, steps, state.gradient)
        if not abs(step[1]) < 1.0:
            return replace(best, iterations=effort)
        steps.append(step)
        state = _evaluate(equations, state.theta + step[0], state.place + step[1], effort)
        stuck = 0 if float(state.gradient.norm()) < 0.9 * float(best.gradient.norm()) else stuck + 1
        best = state if float(state.gradient.norm()) < float(best.gradient.norm()) else best
        if stuck >= 4:
            break
    small = float(best.gradient.norm()) <= REACHABLE * equations.scale(best.theta, equations.axis.value(best.place))
    return replace(best, iterations=state.iterations, stop="converged" if small else "iterations")


def _evaluate(equations: Equations, theta: Tensor, place: float, effort: int) -> Corrected:
    loss, residual = equations.value_and_residual(theta, equations.axis.value(place))
    return Corrected(theta, loss, residual, effort, "iterations", place=place)


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
