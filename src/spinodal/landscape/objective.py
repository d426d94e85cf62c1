"""The regularised loss `L(theta; beta) = E(theta) + beta * ||theta - centre||^2`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty


@dataclass(frozen=True)
class Regularised:
    """`L` at one beta: what a minimiser sees.

    `grad L = grad E + 2 beta (theta - centre)` and `Hess L = H + 2 beta`, restricted to the
    penalised parameters where the penalty has a mask. A penalty that does not fit is refused.
    """

    landscape: Landscape
    beta: float
    penalty: Penalty = Penalty()

    def __post_init__(self) -> None:
        """Check the penalty against the landscape."""
        if not isinstance(self.penalty, Penalty):
            raise SpinodalError(
                got=f"penalty = {self.penalty!r}",
                allowed="a spinodal.Penalty is allowed",
                do="give Penalty(centre=..., mask=...)",
            )
        self.penalty.check(self.landscape.initial)

    @property
    def single(self) -> Regularised | None:
        """Return L in single precision, where that pays (see `Landscape.single`); it spends on the same counts."""
        landscape = self.landscape.single
        return None if landscape is None else Regularised(landscape, self.beta, self.penalty)

    def value(self, theta: Tensor) -> float:
        """Return `L(theta)`."""
        return self.landscape.value(theta) + self.beta * self.penalty.norm_squared(theta)

    def value_and_gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return `L(theta)` and `grad L(theta)`, shape (n,)."""
        error, gradient = self.landscape.value_and_gradient(theta)
        return error + self.beta * self.penalty.norm_squared(theta), gradient + self.pull(theta)

    def values_and_gradients(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return L, shape (k,), and gradients, shape (k, n), at k points."""
        errors, gradients = self.landscape.values_and_gradients(thetas)
        offsets = self.penalty.offset(thetas)
        return errors + self.beta * offsets.square().sum(1), gradients + 2 * self.beta * offsets

    def error(self, value: float, theta: Tensor) -> float:
        """Return `E(theta)` from `L(theta)`."""
        return value - self.beta * self.penalty.norm_squared(theta)

    def pull(self, theta: Tensor) -> Tensor:
        """Return the gradient of the penalty, `2 beta (theta - centre)`, shape (n,)."""
        return 2 * self.beta * self.penalty.offset(theta)

    def hessian_operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> Hess L(theta) v`."""
        product = self.landscape.hessian_operator(theta)
        shift = 2 * self.beta * self.penalty.diagonal(theta)
        return lambda vectors: product(vectors) + shift * vectors

    def shifted(self, hessian: Tensor) -> Tensor:
        """Return `Hess L`, shape (n, n), from the Hessian of E (a copy)."""
        total = hessian.clone()
        total.diagonal().add_(self.penalty.diagonal(hessian.diagonal()), alpha=2 * self.beta)
        return total

    def scale(self, theta: Tensor) -> float:
        """Return the size that residuals are measured against, `2 beta max(||theta - centre||, 1e-3)`."""
        return 2 * self.beta * max(float(self.penalty.offset(theta).norm()), 1e-3)


def symmetric_norm(hessian: Tensor) -> float:
    """Return an upper bound of the largest |eigenvalue| of a symmetric matrix (its largest row sum)."""
    return float(torch.linalg.matrix_norm(hessian, ord=float("inf")))
