"""A control: what is turned along a walk, and what L is a function of beside theta."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.definitions import SHORTEST
from spinodal.errors import SpinodalError
from spinodal.landscape.axis import LOG, Axis

if TYPE_CHECKING:
    from spinodal.landscape.landscape import Landscape


class Control(ABC):
    """What is turned: `L(theta; value) = E(theta) + value * C(theta)`.

    C is the conjugate of the value, `C = dL/dvalue`, which by the envelope theorem is the slope of L along a branch. Along
    minima it falls as the value rises, smoothly but for transitions: it jumps where they are of first order.

    Attributes
    ----------
    name : str
        Of the value: "beta" for the L2 penalty, which is the control unless another one is given.
    axis : Axis
        Which values are allowed, and what a step is.
    """

    name: str = "beta"
    axis: Axis = LOG

    @property
    @abstractmethod
    def convention(self) -> str:
        """Return L in one line."""

    @abstractmethod
    def on(self, landscape: Landscape) -> Turned:
        """Return the control with C as a function of this landscape's theta, or refuse it where it does not fit."""

    def over(self, low: float, high: float) -> Control:
        """Return the control with its axis for a walk between two values."""
        return self


class Turned(Control):
    """A control on one landscape: C, its derivatives, and what follows from them.

    Attributes
    ----------
    is_quadratic : bool
        Whether the Hessian of C is the same everywhere, so that one dense Hessian of E serves every value.
    """

    is_quadratic: bool = False

    @property
    def given(self) -> Control:
        """Return the control as it was given, which knows no landscape."""
        return self

    @abstractmethod
    def conjugate(self, theta: Tensor) -> float:
        """Return `C(theta)`."""

    @abstractmethod
    def conjugate_and_force(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return `C(theta)` and `grad C(theta) = d grad L/dvalue`, shape (n,)."""

    @abstractmethod
    def operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> Hess C(theta) v`, for one vector (n,) or rows (k, n)."""

    @abstractmethod
    def hessian(self, theta: Tensor) -> Tensor:
        """Return `Hess C(theta)`, shape (n, n)."""

    @abstractmethod
    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 C(theta)[u, v, .]`, shape (n,)."""

    def force(self, theta: Tensor) -> Tensor:
        """Return `grad C`, shape (n,)."""
        return self.conjugate_and_force(theta)[1]

    def conjugates_and_forces(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return C, shape (k,), and its gradients, shape (k, n), at k points."""
        values, forces = zip(*(self.conjugate_and_force(theta) for theta in thetas), strict=True)
        return thetas.new_tensor(values), torch.stack(forces)

    # -- the model that is left -----------------------------------------------------------------

    def trivial(self, theta: Tensor) -> Tensor | None:
        """Return the model that a large value leaves, shape (n,); None where that is not known beforehand."""
        return None

    @property
    def has_centre(self) -> bool:
        """Tell how the trivial phase is known: by outputs equal to those of `trivial`, or else by constant ones."""
        return False

    # -- what a quadratic C adds ----------------------------------------------------------------

    def stiffen(self, matrix: Tensor, value: float) -> None:
        """Add `value * Hess C` to a matrix, shape (n, n), in place, if that is the same everywhere; else nothing."""

    @property
    def only_shifts(self) -> bool:
        """Tell whether Hess C is a multiple of the identity."""
        return False

    def shift(self, value: float) -> float:
        """Return the eigenvalue that a quadratic C adds to those of Hess E; 0 for another one."""
        return 0.0

    # -- sizes ----------------------------------------------------------------------------------

    def length(self, theta: Tensor) -> float:
        """Return half the norm of the force: with the L2 penalty, the distance from the centre."""
        return 0.5 * float(self.force(theta).norm())

    def distance(self, theta: Tensor) -> float:
        """Return the length that steps of theta are measured in."""
        return float(theta.norm())

    def scale(self, theta: Tensor, value: float) -> float:
        """Return the size that residuals are measured against, `unit * max(||force||, 2e-3)`."""
        return 2 * self.axis.unit(value) * max(self.length(theta), SHORTEST)


def checked_control(control: object) -> Control:
    """Return a control, or refuse what is none."""
    if not isinstance(control, Control):
        raise SpinodalError(
            got=f"penalty = {control!r}",
            allowed="a spinodal.Penalty is allowed",
            do="give Penalty(centre=..., mask=...), or another spinodal.Control",
        )
    return control


def one_control(penalty: Control | None, control: Control | None) -> Control | None:
    """Return the one of two names that was given; None for neither, and both are refused."""
    if penalty is not None and control is not None:
        raise SpinodalError(
            got="both penalty and control",
            allowed="one of the two is allowed: a penalty is the control of L = E + beta ||theta - centre||^2",
            do="leave one of them out",
        )
    return penalty if control is None else control
