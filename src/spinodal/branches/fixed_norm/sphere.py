"""E on the sphere `||theta - centre||^2 = rho`, whose minimisers are stationary points of L: minima, and saddles of index 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory, descended
from spinodal.minima.newton_cg import newton_cg
from spinodal.minima.solution import Solution


class Sphere:
    """`F(p) = E(centre + sqrt(rho) p / ||p||)`: E on a sphere as a function of all p, constant along rays.

    Parameters outside the penalty's mask are no part of the norm and stay as they are, so minimising F is free of
    constraints. At a stationary point `grad E = -2 beta (theta - centre)` with `beta = -(theta - centre) . grad E / (2 rho)`.

    Parameters
    ----------
    landscape : Landscape
    penalty : Penalty
    norm_squared : float
        rho > 0.
    beta : float
        Roughly what beta will be: gradients are measured against `2 |beta| sqrt(rho)`.

    Examples
    --------
    The lowest point of `E = x + y` on the unit circle, where `beta = 1 / sqrt(2)`:

    >>> import torch
    >>> class Plane(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.tensor([0.0, 1.0]))
    >>> E = Landscape(Plane(), lambda model, batch: model.w.sum(), None)
    >>> sphere = Sphere(E, Penalty(), 1.0, 0.5)
    >>> p = sphere.minimise(E.initial, tolerance=1e-9, second_order=True).theta
    >>> sphere.theta(p).tolist(), round(sphere.beta_at(p), 9)
    ([-0.707..., -0.707...], 0.707106781)
    """

    def __init__(self, landscape: Landscape, penalty: Penalty, norm_squared: float, beta: float) -> None:
        self.landscape, self.penalty, self.norm_squared = landscape, penalty, norm_squared
        self.radius, self.strength = math.sqrt(norm_squared), abs(beta)
        self.mask = penalty.diagonal(landscape.initial)
        self._last: tuple[Tensor, float, Tensor] | None = None

    def coordinates(self, theta: Tensor) -> Tensor:
        """Return p of a theta, moved along its ray onto the sphere, shape (n,)."""
        offset = self.penalty.offset(theta)
        return offset * (self.radius / float(offset.norm())) + (1 - self.mask) * theta

    def theta(self, p: Tensor) -> Tensor:
        """Return theta of p, shape (n,)."""
        offset = self.mask * p
        moved = offset * (self.radius / float(offset.norm())) + (1 - self.mask) * p
        return moved if self.penalty.centre is None else moved + self.mask * self.penalty.centre.to(p)

    def evaluate(self, p: Tensor) -> tuple[float, Tensor]:
        """Return E and grad E at theta(p), shape (n,); not computed again where p is the latest point."""
        if self._last is None or self._last[0] is not p:
            self._last = (p, *self.landscape.value_and_gradient(self.theta(p)))
        return self._last[1], self._last[2]

    def beta_at(self, p: Tensor) -> float:
        """Return `-(theta - centre) . grad E / (2 rho)`."""
        offset = self.mask * p
        return -float(offset @ self.evaluate(p)[1]) / (2 * self.radius * float(offset.norm()))

    # -- as a function to minimise ----------------------------------------------------------

    def value_and_gradient(self, p: Tensor) -> tuple[float, Tensor]:
        """Return F and its gradient, shape (n,), which is tangential."""
        value, gradient = self.evaluate(p)
        unit, shrink = self._ray(p)
        return value, shrink * (gradient - float(unit @ gradient) * unit)

    def hessian_operator(self, p: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> (Hessian of F) v`: curvature of E, and of the sphere."""
        gradient = self.evaluate(p)[1]
        unit, shrink = self._ray(p)
        outward = float(unit @ gradient)
        tangential = self.mask * (gradient - outward * unit)
        bend = self.radius / float((self.mask * p).norm()) ** 2
        product = self.landscape.hessian_operator(self.theta(p))

        def along(v: Tensor) -> Tensor:
            return shrink * (v - float(unit @ v) * unit)

        def operator(v: Tensor) -> Tensor:
            inward, turned = float(unit @ v), float(tangential @ v)
            curved = inward * tangential + turned * unit + outward * (self.mask * v - inward * unit)
            return along(product(along(v))) - bend * curved

        return operator

    def scale(self, p: Tensor) -> float:
        """Return the size that gradients of F are measured against: `2 |beta| sqrt(rho)`, and less far out on the ray."""
        return 2 * self.strength * self.radius * min(1.0, self.radius / float((self.mask * p).norm()))

    def _ray(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unit vector along p, and the factor by which theta moves less than p."""
        offset = self.mask * p
        length = float(offset.norm())
        return offset / length, self.mask * (self.radius / length) + (1 - self.mask)

    # -- minimisers -------------------------------------------------------------------------

    def minimise(
        self,
        theta: Tensor,
        *,
        tolerance: float,
        second_order: bool,
        memory: Memory | None = None,
        iterations: int = 500,
        floor: float = -math.inf,
    ) -> Solution:
        """Return the minimum of E on this sphere near a theta, as coordinates p.

        L-BFGS, or trust-region Newton with conjugate gradients. `memory` is that of L-BFGS on a neighbouring sphere;
        it gives up ("left") where E falls below a `floor`.
        """
        p = self.coordinates(theta)
        if second_order:
            return newton_cg(self, p, tolerance=tolerance, radius=0.3 * self.radius, iterations=iterations)
        solution = self._descended(p, tolerance, memory, iterations, floor)
        calm = float(solution.gradient.norm()) <= 10 * tolerance * self.scale(solution.theta)
        return Solution(*_fields(solution), "rounding") if solution.stop == "still" and calm else solution

    def _descended(self, p: Tensor, tolerance: float, memory: Memory | None, iterations: int, floor: float) -> Solution:
        def stop(p: Tensor, value: float, gradient: Tensor) -> str | None:
            if value < floor:
                return "left"
            return "converged" if float(gradient.norm()) <= tolerance * self.scale(p) else None

        return descended(self.value_and_gradient, p, stop, iterations, memory)


def _fields(solution: Solution) -> tuple[Tensor, float, Tensor, int]:
    return solution.theta, solution.value, solution.gradient, solution.iterations


def tangential(vector: Tensor, offset: Tensor) -> Tensor:
    """Return the part of a vector along the sphere, shape (n,)."""
    return vector - (float(offset @ vector) / float(offset @ offset)) * offset
