"""E and L at one theta to second order: one gradient, one dense Hessian, one analysis of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.curvature.surface import Surface
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.eigenbasis import Eigenbasis
from spinodal.spectrum.operator import HessianOperator, eigenbases


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """Both surfaces at one theta, and their Hessians in their eigenbases.

    Attributes
    ----------
    error, loss : Surface
    basis_of_error, basis_of_loss : Eigenbasis

    Examples
    --------
    `E = (1 - w1 w2)^2 / 2` at (1, 1): a valley, flat along its floor, which the penalty bends.

    >>> import torch
    >>> from spinodal.landscape import Landscape
    >>> class Pair(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    >>> E = Landscape(Pair(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
    >>> found = SecondOrder.at(Regularised(E, 0.25), E.initial)
    >>> found.basis_of_error.zero_modes, found.basis_of_loss.zero_modes, round(found.basis_of_loss.margin, 12)
    (1, 0, 0.5)
    """

    error: Surface
    loss: Surface
    basis_of_error: Eigenbasis
    basis_of_loss: Eigenbasis

    @classmethod
    def at(cls, loss: Regularised, theta: Tensor, *, vectors: bool = True) -> SecondOrder:
        """Return both surfaces at theta, shape (n,); without eigenvectors where they are not wanted."""
        error = Surface.at(loss.landscape, theta)
        operator = HessianOperator(loss, theta)
        of_error, of_loss = eigenbases((operator.of_error(), operator), error.hessian, error.gradient, vectors=vectors)
        return cls(error, error.lifted(loss, theta), of_error, of_loss)
