"""The L2 penalty `beta * ||theta - centre||^2` and its relation to PyTorch's `weight_decay`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CONVENTION = "E + beta*||theta||^2, weight_decay = 2*beta"


def weight_decay(beta: float) -> float:
    """Return the `weight_decay` of `torch.optim.SGD` or `Adam` that adds the same gradient.

    PyTorch adds `weight_decay * theta` to the gradient; the penalty adds `2 * beta * theta`.
    AdamW's decoupled decay is the gradient of no energy and has no beta.

    Examples
    --------
    >>> weight_decay(0.05)
    0.1
    """
    return 2.0 * beta


def beta_of(weight_decay: float) -> float:
    """Return the beta of a PyTorch `weight_decay` (coupled, as in SGD and Adam).

    Examples
    --------
    >>> beta_of(0.1)
    0.05
    """
    return 0.5 * weight_decay


@dataclass(frozen=True)
class Penalty:
    """`rho(theta) = sum_i mask_i (theta_i - centre_i)^2`, so that `L = E + beta * rho`.

    Parameters
    ----------
    centre : Tensor, shape (n,), optional
        The point the penalty pulls to. Default: the origin.
    mask : Tensor of bool, shape (n,), optional
        True where a parameter is penalised. Default: everywhere.

    Examples
    --------
    >>> Penalty(mask=torch.tensor([True, False])).norm_squared(torch.tensor([3.0, 4.0]))
    9.0
    """

    centre: Tensor | None = None
    mask: Tensor | None = None

    def offset(self, theta: Tensor) -> Tensor:
        """Return `mask * (theta - centre)`, the shape of theta (leading axes allowed)."""
        shifted = theta if self.centre is None else theta - self.centre
        return shifted if self.mask is None else shifted * self.mask

    def norm_squared(self, theta: Tensor) -> float:
        """Return `rho(theta)`."""
        offset = self.offset(theta)
        return float(offset @ offset)

    def diagonal(self, theta: Tensor) -> Tensor:
        """Return the diagonal of half the penalty's Hessian, `mask` as numbers, shape (n,)."""
        return torch.ones_like(theta) if self.mask is None else self.mask.to(theta)
