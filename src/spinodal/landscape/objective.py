"""The loss at one value of a control, `L(theta) = E(theta) + beta C(theta)`; of the L2 penalty `C = ||theta - centre||^2`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spinodal.definitions import SHORTEST
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control, Turned, checked_control
from spinodal.landscape.penalty import Penalty


@dataclass(frozen=True)
class Regularised:
    """`L` at one value, beta, of a control: what a minimiser sees.

    `grad L = grad E + beta grad C` and `Hess L = Hess E + beta Hess C`. Of the L2 penalty the latter part is the constant
    `2 beta`; of another control it bends with theta as Hess E does. A control that does not fit is refused.
    """

    landscape: Landscape
    beta: float
    given: Control = Penalty()
    control: Turned = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the control on the landscape."""
        object.__setattr__(self, "control", checked_control(self.given).on(self.landscape))

    @property
    def single(self) -> Regularised | None:
        """Return L in single precision, where that pays (see `Landscape.single`); it spends on the same counts."""
        landscape = self.landscape.single
        return None if landscape is None else Regularised(landscape, self.beta, self.given)

    def value(self, theta: Tensor) -> float:
        """Return `L(theta)`."""
        return self.landscape.value(theta) + self.beta * self.control.conjugate(theta)

    def value_and_gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return `L(theta)` and `grad L(theta)`, shape (n,)."""
        error, gradient = self.landscape.value_and_gradient(theta)
        conjugate, force = self.control.conjugate_and_force(theta)
        return error + self.beta * conjugate, gradient + self.beta * force

    def values_and_gradients(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return L, shape (k,), and gradients, shape (k, n), at k points."""
        errors, gradients = self.landscape.values_and_gradients(thetas)
        conjugates, forces = self.control.conjugates_and_forces(thetas)
        return errors + self.beta * conjugates, gradients + self.beta * forces

    def error(self, value: float, theta: Tensor) -> float:
        """Return `E(theta)` from `L(theta)`."""
        return value - self.beta * self.control.conjugate(theta)

    def pull(self, theta: Tensor) -> Tensor:
        """Return the gradient of the control's part, `beta grad C`, shape (n,): `2 beta (theta - centre)`."""
        return self.beta * self.control.force(theta)

    def push(self, theta: Tensor) -> Tensor:
        """Return `-d grad L/dbeta = -grad C`, shape (n,): the branch goes on along `(Hess L)^+` of it."""
        return self.pull(theta) / -self.beta if self.beta else -self.control.force(theta)

    # -- second derivatives ---------------------------------------------------------------------

    def hessian_operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> Hess L(theta) v`."""
        product, bend, beta = self.landscape.hessian_operator(theta), self.control.operator(theta), self.beta
        return lambda vectors: product(vectors) + beta * bend(vectors)

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the part of Hess L that bends with theta, shape (n, n): Hess E with the L2 penalty, else all of it."""
        return self.bent(self.landscape.hessian(theta), theta)

    def bent(self, hessian: Tensor, theta: Tensor) -> Tensor:
        """Return the same part from the Hessian of E at theta."""
        return hessian if self.control.is_quadratic else hessian + self.beta * self.control.hessian(theta)

    def shifted(self, bent: Tensor) -> Tensor:
        """Return `Hess L`, shape (n, n), from its part that bends with theta (a copy)."""
        total = bent.clone()
        self.control.stiffen(total, self.beta)
        return total

    def straight_pull(self, theta: Tensor) -> Tensor:
        """Return the part of the gradient whose Hessian is what `shifted` adds, shape (n,)."""
        return self.pull(theta) if self.control.is_quadratic else torch.zeros_like(theta)

    def bent_product(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Return the product of `hessian` with a vector (n,) or rows (k, n)."""
        product = self.landscape.hessian_product(theta, vectors)
        return product if self.control.is_quadratic else product + self.beta * self.control.operator(theta)(vectors)

    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 L(theta)[u, v, .]`, shape (n,)."""
        product = self.landscape.third_product(theta, u, v)
        return product if self.control.is_quadratic else product + self.beta * self.control.third_product(theta, u, v)

    def stiffening(self, theta: Tensor, mode: Tensor) -> float:
        """Return `mode . Hess C mode`, the rate at which the curvature along a mode grows with beta at fixed theta."""
        return float(mode @ self.control.operator(theta)(mode))

    # -- sizes ----------------------------------------------------------------------------------

    @property
    def unit(self) -> float:
        """Return what a change of beta is relative to (see `Axis.unit`)."""
        return self.control.axis.unit(self.beta)

    def scale(self, theta: Tensor) -> float:
        """Return the size that residuals are measured against, `2 beta max(||theta - centre||, 1e-3)` with the L2 penalty."""
        return self.control.scale(theta, self.beta)

    def bend(self, theta: Tensor, residual: float) -> float:
        """Return about the curvature that the zero mode of a symmetry has where `||grad L||` is not zero (see `zero_limit`)."""
        return residual / max(self.control.length(theta), SHORTEST)


def symmetric_norm(hessian: Tensor) -> float:
    """Return an upper bound of the largest |eigenvalue| of a symmetric matrix (its largest row sum)."""
    return float(torch.linalg.matrix_norm(hessian, ord=float("inf")))
