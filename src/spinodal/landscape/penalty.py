"""The L2 penalty `beta * ||theta - centre||^2`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.conventions import CENTRED, CONVENTION
from spinodal.definitions import SHORTEST
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control, Turned, checked_control

if TYPE_CHECKING:
    from spinodal.landscape.landscape import Landscape


@dataclass(frozen=True, repr=False)
class Penalty(Turned):
    """The L2 penalty, the control unless another is given: `L = E + beta rho`, `rho = sum_i mask_i (theta_i - centre_i)^2`.

    Parameters
    ----------
    centre : Tensor of finite numbers, shape (n,), optional
        The point the penalty pulls to. Default: the origin.
    mask : Tensor of bool (or of zeros and ones), shape (n,), optional
        True where a parameter is penalised. Default: everywhere.
    source : str, optional
        Where the centre comes from, in words, for the record of a run.

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
    source: str | None = None
    name = "beta"
    is_quadratic = True

    def __repr__(self) -> str:
        """Return what is pulled where, without the numbers."""
        free = "" if self.mask is None else f", {int((self.mask == 0).sum())} of {self.mask.numel()} parameters free"
        return f"<Penalty: L = {self.convention}{free}>"

    @property
    def convention(self) -> str:
        """Return L in one line, and what its beta is as a weight_decay."""
        return CENTRED if self.has_centre else CONVENTION

    def on(self, landscape: Landscape) -> Penalty:
        """Return the penalty itself, or refuse it where it does not fit."""
        self.check(landscape.initial)
        return self

    def to(self, device: torch.device) -> Penalty:
        """Return the penalty with its vectors on a device."""
        centre, mask = (None if value is None else value.to(device) for value in (self.centre, self.mask))
        return replace(self, centre=centre, mask=mask)

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

    def conjugate(self, theta: Tensor) -> float:
        """Return `rho(theta)`."""
        return self.norm_squared(theta)

    def force(self, theta: Tensor) -> Tensor:
        """Return `2 mask (theta - centre)`, shape (n,)."""
        return 2 * self.offset(theta)

    def conjugate_and_force(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return both."""
        return self.norm_squared(theta), self.force(theta)

    def conjugates_and_forces(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return rho, shape (k,), and its gradients, shape (k, n)."""
        offsets = self.offset(thetas)
        return offsets.square().sum(1), 2 * offsets

    def operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> 2 mask v`."""
        twice = 2 * self.diagonal(theta)
        return lambda vectors: twice * vectors

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the diagonal matrix `2 mask`, shape (n, n)."""
        return torch.diag(2 * self.diagonal(theta))

    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return 0, shape (n,)."""
        return torch.zeros_like(theta)

    def trivial(self, theta: Tensor) -> Tensor:
        """Return theta with its penalised parameters at the centre, shape (n,)."""
        return theta - self.offset(theta)

    @property
    def has_centre(self) -> bool:
        """Tell whether the centre is another one than the origin."""
        return self.centre is not None and bool(self.centre.any())

    def stiffen(self, matrix: Tensor, value: float) -> None:
        """Add `2 beta mask` to the diagonal of a matrix, shape (n, n), in place."""
        matrix.diagonal().add_(self.diagonal(matrix.diagonal()), alpha=2 * value)

    @property
    def only_shifts(self) -> bool:
        """Tell whether all parameters are penalised."""
        return self.mask is None

    def shift(self, value: float) -> float:
        """Return `2 beta`."""
        return 2.0 * value

    def length(self, theta: Tensor) -> float:
        """Return the distance from the centre over the penalised parameters."""
        return float(self.offset(theta).norm())

    def distance(self, theta: Tensor) -> float:
        """Return the distance from the centre over all parameters, penalised or not."""
        return float((theta if self.centre is None else theta - self.centre.to(theta)).norm())

    def scale(self, theta: Tensor, value: float) -> float:
        """Return the size that residuals are measured against, `2 beta max(||theta - centre||, 1e-3)`."""
        return 2 * value * max(self.length(theta), SHORTEST)

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


def l2(control: Control, what: str, do: str = "give a Penalty, or leave the control out") -> Penalty:
    """Return a control that is the L2 penalty, or refuse another one for what is of that alone.

    Examples
    --------
    >>> l2(Penalty(), "a walk at fixed norm").mask is None
    True
    """
    control = checked_control(control)
    if isinstance(control, Penalty):
        return control
    raise SpinodalError(
        got=f"{what} with the control {control.name}, {control.convention}",
        allowed="the L2 penalty, E + beta ||theta - centre||^2, is allowed: this is defined by its norm",
        do=do,
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
