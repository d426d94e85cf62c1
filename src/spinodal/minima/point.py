"""A solution of `grad L = 0` at one beta: what a minimum and a point of a branch have in common."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.shown import Shown


@dataclass(frozen=True, repr=False)
class Stationary(Shown):
    """A point at which the gradient of `L = E + beta ||theta - centre||^2` vanishes.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    beta : float
        PyTorch's `weight_decay` is `2 * beta`.
    error, loss : float
        E and L at theta.
    residual : float
        `||grad L||`, which would be 0 at an exact solution.
    margin : float
        Smallest eigenvalue of Hess L outside the zero modes, negative at a saddle; NaN where it was not computed.
    """

    theta: Tensor
    beta: float
    error: float
    loss: float
    residual: float
    margin: float
