"""One point of a branch at fixed norm: the minimum of E on its sphere, the slope there, and its stability."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from spinodal.branches.area import discrepancy
from spinodal.branches.fixed_norm.effort import Effort
from spinodal.branches.fixed_norm.slope import Slope, slope
from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.branches.point import StationaryPoint
from spinodal.definitions import ALONG_NEGATIVE
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory
from spinodal.minima.minimum import CONVERGED
from spinodal.minima.solution import Solution
from spinodal.spectrum.operator import HessianOperator, affords_dense

UNAIDED = 3  # times more products for a slope where no neighbour is known
PUSH = 1e-2  # of the radius, by which a saddle on the sphere is left

Change = Callable[[Tensor], Tensor]  # d theta / d log rho, given theta


class Constrained:
    """Solves for constrained minima, one after the other, as points of a branch.

    Parameters
    ----------
    landscape : Landscape
    penalty : Penalty
    effort : Effort
    memory : Memory
        Of L-BFGS, which passes from one sphere to the next.

    Attributes
    ----------
    sign : float
        1 where the norm rises along the branch, -1 where it falls.
    """

    def __init__(self, landscape: Landscape, penalty: Penalty, effort: Effort, memory: Memory, sign: float = -1.0) -> None:
        self.landscape, self.penalty, self.effort = landscape, penalty, effort
        self.memory, self.sign = memory, sign

    def __call__(
        self, guess: Tensor, rho: float, beta: float, change: Change | None, iterations: int = 0, care: float = 1.0
    ) -> StationaryPoint | None:
        """Return the constrained minimum near a guess, or None where none was found with beta > 0.

        `care` is a factor on the tolerance of L-BFGS; Newton's is always to rounding.
        """
        sphere, second_order = Sphere(self.landscape, self.penalty, rho, beta), self.effort.second_order
        iterations, care = iterations or self.effort.iterations, 1.0 if second_order else care
        solution = self._minimised(sphere, guess, iterations, care)
        if solution is None:
            return None
        local = self._slope(sphere, solution, change)
        if local.escape is not None and second_order:  # a saddle on the sphere: leave it, either way
            pushed = sphere.theta(solution.theta) + PUSH * sphere.radius * local.escape / float(local.escape.norm())
            solution = self._minimised(sphere, pushed, iterations, care)
            if solution is None:
                return None
            local = self._slope(sphere, solution, change)
        return self._point(sphere, solution, local)

    def deviation(self, a: StationaryPoint, b: StationaryPoint) -> float:
        """Return how far E is from the integral of `-beta drho` between two points, relative to it."""
        noise = 10 * torch.finfo(self.landscape.dtype).eps * (1 + abs(a.error))
        moved = max(a.beta, b.beta) * abs(b.norm_squared - a.norm_squared)
        return max(abs(discrepancy(a, b)) - noise, 0.0) / moved

    def _minimised(self, sphere: Sphere, guess: Tensor, iterations: int, care: float) -> Solution | None:
        if not bool(torch.isfinite(guess).all()):
            return None
        solution = sphere.minimise(
            guess,
            tolerance=self.effort.tolerance * care,
            second_order=self.effort.second_order,
            memory=self.memory,
            iterations=iterations,
        )
        return solution if solution.stop in CONVERGED and sphere.beta_at(solution.theta) > 0 else None

    def _slope(self, sphere: Sphere, solution: Solution, change: Change | None) -> Slope:
        """Return the slope, from scratch where it is to be exact, else by improving what neighbours say."""
        theta, beta = sphere.theta(solution.theta), sphere.beta_at(solution.theta)
        product = Regularised(self.landscape, beta, self.penalty).hessian_operator(theta)
        known = None if change is None or self.effort.second_order else change(theta) / sphere.norm_squared
        most = self.effort.products * (UNAIDED if known is None and not self.effort.second_order else 1)
        offset = self.penalty.offset(theta)
        return slope(product, offset, guess=known, scale=2 * beta, tolerance=self.effort.slope, most=most)

    def _point(self, sphere: Sphere, solution: Solution, local: Slope) -> StationaryPoint:
        p = solution.theta
        theta, beta, (error, gradient) = sphere.theta(p), sphere.beta_at(p), sphere.evaluate(p)
        length = float(local.theta_rate.norm())
        index, exact, margin, zero_modes = self._stability(theta, beta, local)
        return StationaryPoint(
            theta=theta,
            beta=beta,
            error=error,
            loss=error + beta * sphere.norm_squared,
            norm_squared=sphere.norm_squared,
            residual=float((gradient + 2 * beta * self.penalty.offset(theta)).norm()),
            index=index,
            index_is_exact=exact,
            margin=margin,
            zero_modes=zero_modes,
            tangent=local.theta_rate * (self.sign / length),
            beta_rate=local.beta_rate * self.sign / length,
            norm_rate=self.sign / length,
        )

    def _stability(self, theta: Tensor, beta: float, local: Slope) -> tuple[int, bool, float, int | None]:
        """Return index, whether it is exact, margin and zero modes: of the whole spectrum, or seen along the branch alone."""
        curvature = -local.beta_rate / float(local.theta_rate.norm()) ** 2
        negative = int(curvature < -ALONG_NEGATIVE * 2 * beta)
        if not (self.effort.second_order and affords_dense(self.landscape)):
            return negative, False, math.nan, None
        basis = HessianOperator(Regularised(self.landscape, beta, self.penalty), theta).eigenbasis(vectors=False)
        return basis.index, True, basis.margin, basis.zero_modes
