"""What a second-order minimiser sees of a function: values, gradients, curvature and a size to measure residuals against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class Objective(Protocol):
    """A function of theta, shape (n,), such as `Regularised`, or E on a sphere."""

    def value_and_gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return the value and the gradient, shape (n,)."""
        ...

    def hessian_operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> (Hessian at theta) v`."""
        ...

    def scale(self, theta: Tensor) -> float:
        """Return the size that gradients are measured against."""
        ...
