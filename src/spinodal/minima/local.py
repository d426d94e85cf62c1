"""Second-order knowledge at a minimum: the margin, its mode, and the tangent of the branch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import HESSIAN_PRODUCT_COST
from spinodal.landscape.objective import Regularised
from spinodal.minima.glimpse import affords_glimpses_only, glimpse
from spinodal.minima.kronecker import Kronecker
from spinodal.minima.landmark import CERTIFIED, SOFT, Landmark, factorisation_passes
from spinodal.minima.minimum import CONVERGED
from spinodal.minima.newton_cg import conjugate_gradients
from spinodal.minima.solution import Solution
from spinodal.minima.solver import NEWTON, Solver
from spinodal.spectrum.davidson import Subspace, davidson, softened
from spinodal.spectrum.eigenbasis import zero_limit
from spinodal.spectrum.margin import Margin, lanczos_margin

WORTH = 0.6  # part of a Hessian's cost that products beside a landmark may take before one is taken after all,
LEAST = 24  # or so many products
BLURRED = 3.0  # times what the gradient bends a zero mode by: part of a margin's error where zero modes are not counted


@dataclass(frozen=True)
class Local:
    """Second-order knowledge at a minimum: its soft mode, and the tangent of its branch.

    `landmark` is what a neighbour can use, `hessian` that of `Regularised.hessian` where one was taken here, `along` the
    tangent where it is known.
    """

    loss: Regularised
    theta: Tensor
    margin: Margin
    solver: Solver
    hessian: Tensor | None = None
    landmark: Landmark | None = None
    along: Tensor | None = None

    @property
    def tangent(self) -> Tensor:
        """Return `-(Hess L)^+ grad C`, shape (n,): with the L2 penalty `-(Hess L)^+ 2 (theta - centre)`."""
        if self.along is not None:
            return self.along
        right = self.loss.push(self.theta)
        if self.landmark is None or self.hessian is None:
            tolerance, most = self.solver.tangent
            product = _operator(self.loss, self.theta, self.solver)
            return conjugate_gradients(product, right, tolerance=tolerance, most=most)
        matrix = self.loss.shifted(self.hessian)
        if self.landmark.price <= CERTIFIED:
            return _solved(matrix, right, self.margin.largest)
        return conjugate_gradients(lambda vector: matrix @ vector, right, tolerance=1e-9, inverse=self.landmark.factor.inverse)

    def margin_slope(self, tangent: Tensor) -> float:
        """Return `mode . Hess C mode + D^3 L [mode, mode, tangent]` by a difference of Hessian products.

        A central one, but with the help of a landmark: there the curvature of the mode here is one side.
        """
        mode, speed = self.margin.mode, float(tangent.norm())
        stiffening = self.loss.stiffening(self.theta, mode)
        if speed == 0.0 or not math.isfinite(speed):
            return stiffening
        width = (1e-4 if self.along is None else 1e-5) * (1.0 + float(self.theta.norm()))
        ahead = self.loss.bent_product(self.theta + (width / speed) * tangent, mode)
        if self.along is not None:
            here = self.margin.value - self._unbent(mode)
            return stiffening + (float(mode @ ahead) - here) * speed / width
        behind = self.loss.bent_product(self.theta - (width / speed) * tangent, mode)
        return stiffening + float(mode @ (ahead - behind)) * speed / (2.0 * width)

    def _unbent(self, mode: Tensor) -> float:
        """Return by how much the curvature of L along a mode exceeds that of `bent_product`."""
        return self.loss.beta * self.loss.stiffening(self.theta, mode) if self.loss.control.is_quadratic else 0.0


def _solved(matrix: Tensor, right: Tensor, largest: float) -> Tensor:
    """Return `A^+ right` for a dense A, positive semi-definite."""
    matrix.diagonal().add_(1e-13 * largest)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        solution: Tensor = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-9) @ right
        return solution
    return torch.cholesky_solve(right[:, None], factor)[:, 0]


def certify(
    loss: Regularised,
    solution: Solution,
    solver: Solver,
    landmark: Landmark | None,
    spent: Counts,
    hints: Sequence[Tensor] = (),
    *,
    factors: Kronecker | None = None,
    on_the_way: bool = False,
) -> Local | None:
    """Compute the margin at the end of a run; None where there is no finite Hessian (a kink).

    A point that took a Hessian ends with one, so that it is a landmark for its neighbours.
    """
    bend = loss.bend(solution.theta, float(solution.gradient.norm()))
    if not solver.is_dense:
        bend = BLURRED * bend if solution.stop in CONVERGED else 0.0  # elsewhere it could hide any saddle
        if factors is not None and affords_glimpses_only(loss.landscape):
            margin, along = glimpse(loss, solution.theta, hints, factors, blur=bend, on_the_way=on_the_way)
            return Local(loss, solution.theta, margin, solver, along=along)
        precision = torch.float32 if loss.single and not solver.sees_kinks else loss.landscape.dtype
        product = _operator(loss, solution.theta, solver)
        noise, blur = (bend, 0.0) if solver.sees_kinks else (0.0, bend)
        steps = solver.margin_steps
        margin = lanczos_margin(product, solution.theta, steps=steps, precision=precision, noise=noise, blur=blur)
        return Local(loss, solution.theta, margin, solver)
    if landmark is not None and not spent.hessians and landmark.serves(solution.theta, spent.gradient_evaluations):
        found = near(loss, solution.theta, landmark, hints, solution.inverse, bend=bend)
        if found is not None:
            return found
    hessian = solution.hessian if solution.hessian is not None else loss.hessian(solution.theta)
    loss.landscape.ledger.charge(passes=factorisation_passes(loss.landscape))
    here = Landmark.at(loss, solution.theta, hessian, bend=bend)
    return None if here is None else Local(loss, solution.theta, here.margin, solver, hessian, here)


def near(
    loss: Regularised,
    theta: Tensor,
    landmark: Landmark,
    hints: Sequence[Tensor] = (),
    inverse: Callable[[Tensor], Tensor] | None = None,
    *,
    bend: float = math.inf,
) -> Local | None:
    """Compute margin and tangent with the help of a landmark; None where that would take as many products as a new one costs.

    `hints` are guesses of soft directions, `inverse` is the inverse Hessian as the search here knows it. The tangent is
    one, as it turns into the mode that ends a branch: the space in which the mode is looked for holds it. For `bend` see
    `zero_limit`.
    """
    zero = zero_limit(landmark.margin.largest, theta.dtype, bend)
    budget = min(max(int(WORTH * landmark.price / HESSIAN_PRODUCT_COST), LEAST), int(landmark.price / HESSIAN_PRODUCT_COST))
    if len(landmark.low) > budget // 2:
        return None
    product, inverse = loss.hessian_operator(theta), inverse or landmark.factor.inverse
    space = Subspace.of(landmark.low, product)
    if len(space) < len(landmark.low):  # damaged
        return None
    curvatures = space.curvatures
    if known := [hint for hint in hints if bool(hint.any())]:
        space = space.widened(torch.stack(known), product)
    if not landmark.is_beside(theta):
        space = space.joined(*softened(product, landmark.factor, theta))
    right = loss.push(theta)
    space, place = davidson(product, space, inverse, zero=zero, budget=budget, right=right)
    value = float(space.values[place])
    residual = max(float(space.outside(place).norm()), landmark.hidden(value, curvatures))
    if residual > abs(value) or len(space) + SOFT > budget:
        return None
    margin = Margin(value, space.vector(place), place, residual, landmark.margin.largest)
    along = space.solved(right, zero)  # its residual is orthogonal to the space, so slopes are wrong by its square only
    return Local(loss, theta, margin, NEWTON, landmark=landmark.beside(theta, value), along=along)


def _operator(loss: Regularised, theta: Tensor, solver: Solver) -> Callable[[Tensor], Tensor]:
    """Return `v -> Hess L v` for the iterative methods, in single precision where that is faster and enough."""
    if (single := loss.single) is None or solver.sees_kinks:
        return loss.hessian_operator(theta)
    loss.landscape.require_second_derivatives()
    product = single.hessian_operator(theta.to(torch.float32))
    return lambda vectors: product(vectors.to(torch.float32)).to(vectors)
