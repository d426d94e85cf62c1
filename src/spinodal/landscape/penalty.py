"""The L2 penalty `beta * ||theta - centre||^2`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.errors import SpinodalError


@dataclass(frozen=True)
class Penalty:
    """`rho(theta) = sum_i mask_i (theta_i - centre_i)^2`, so that `L = E + beta * rho`.

    Parameters
    ----------
    centre : Tensor of finite numbers, shape (n,), optional
        The point the penalty pulls to. Default: the origin.
    mask : Tensor of bool (or of zeros and ones), shape (n,), optional
        True where a parameter is penalised. Default: everywhere.

    Raises
    ------
    SpinodalError
        Where it first meets a landscape (`check`), as n is not known before.

    Examples
    --------
    >>> Penalty(mask=torch.tensor([True, False])).norm_squared(torch.tensor([3.0, 4.0]))
    9.0
    """

    centre: Tensor | None = None
    mask: Tensor | None = None

    def offset(self, theta: Tensor) -> Tensor:
        """Return `mask * (theta - centre)`, the shape of theta (leading axes allowed)."""
        shifted = theta if self.centre is None else theta - self.centre.to(theta)
        return shifted if self.mask is None else shifted * self.mask.to(theta)

    def norm_squared(self, theta: Tensor) -> float:
        """Return `rho(theta)`."""
        offset = self.offset(theta)
        return float(offset @ offset)

    def diagonal(self, theta: Tensor) -> Tensor:
        """Return the diagonal of half the penalty's Hessian, `mask` as numbers, shape (n,)."""
        return torch.ones_like(theta) if self.mask is None else self.mask.to(theta)

    def check(self, theta: Tensor) -> None:
        """Refuse a centre or a mask that does not fit theta, shape (n,)."""
        if self.centre is not None:
            _check_vector("centre", self.centre, theta, "a point of the landscape, such as landscape.vector(module)")
            if not bool(torch.isfinite(self.centre).all()):
                raise SpinodalError(
                    got="the penalty's centre is not finite",
                    allowed="finite numbers are allowed",
                    do="give a point at which the model can be evaluated",
                )
        if self.mask is not None:
            _check_vector("mask", self.mask, theta, "True where a parameter is penalised and False elsewhere")
            if not bool(((self.mask == 0) | (self.mask == 1)).all()):
                raise SpinodalError(
                    got="the penalty's mask holds numbers other than 0 and 1",
                    allowed="True or 1 where a parameter is penalised and False or 0 elsewhere is allowed",
                    do="scale the strength with beta, which is one for all parameters",
                )


def _check_vector(name: str, value: object, theta: Tensor, meaning: str) -> None:
    """Refuse what is not a real vector of the shape and on the device of theta."""
    real = isinstance(value, Tensor) and not value.is_complex() and (name == "mask" or value.dtype != torch.bool)
    if isinstance(value, Tensor) and real and value.shape == theta.shape and value.device.type == theta.device.type:
        return
    if isinstance(value, Tensor):
        got = f"of shape {tuple(value.shape)} and {value.dtype} on {value.device}"
    else:
        got = f"a {type(value).__name__}"
    raise SpinodalError(
        got=f"the penalty's {name} is {got}",
        allowed=f"a real tensor of shape {tuple(theta.shape)} on {theta.device} is allowed",
        do=f"give {meaning}",
    )
