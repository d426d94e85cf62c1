"""A point of a walk: a minimum, what is observed there, and the geometry that leads on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from spinodal.codec import Record
from spinodal.minima.minimise import Minimum
from spinodal.minima.solution import GIVEN_UP, UNDERWAY
from spinodal.observe import Observation
from spinodal.shown import Shown


@dataclass(frozen=True, repr=False)
class Point(Shown, Record):
    """A minimum with what is needed to step on from it and to describe it.

    Attributes
    ----------
    index : int
        Number, in the order in which the walk came to it; `origin` is the number of the point it was followed from (or None).
    minimum : Minimum
    observation : Observation
    tangent : Tensor, shape (n,)
        `dtheta/dbeta = -(Hess L)^+ grad C` along the branch, `-(Hess L)^+ 2 (theta - centre)` with the L2 penalty.
    norm_slope : float
        `dC/dbeta = d2L/dbeta2 <= 0`, `d||theta - centre||^2 / dbeta` with the L2 penalty.
    margin_slope : float
        `d margin / dbeta` along the branch.
    speed : float
        `||dtheta/dbeta||`, the length of the tangent, which a record keeps; NaN where it is not known.
    reference : float
        The value of the control at which L is what jumps are measured in (see `Axis.reference`); 0, and so E, unless the
        control may have either sign.
    key : str
        Of the request that it answers (see `Request`); "" where there was none.
    """

    JSON = "beta minimum observation norm_slope margin_slope speed reference"

    index: int
    origin: int | None
    minimum: Minimum
    observation: Observation
    tangent: Tensor
    norm_slope: float
    margin_slope: float
    speed: float = math.nan
    reference: float = 0.0
    key: str = ""

    @property
    def beta(self) -> float:
        """Return beta; PyTorch's `weight_decay` is twice this."""
        return self.minimum.beta

    @property
    def left(self) -> bool:
        """Tell whether the search for this point was given up because it had left the branch."""
        return self.minimum.stop == "left"

    @property
    def given_up(self) -> bool:
        """Tell whether this is where a search was given up, and no minimum."""
        return self.minimum.stop in GIVEN_UP

    @property
    def is_underway(self) -> bool:
        """Tell whether a search was given up here for one with a Hessian of this place."""
        return self.minimum.stop == UNDERWAY

    @property
    def error(self) -> float:
        """Return E."""
        return self.minimum.error

    @property
    def norm_squared(self) -> float:
        """Return `C = dL/dbeta`: `||theta - centre||^2` over the penalised parameters with the L2 penalty."""
        return self.observation.turned

    @property
    def height(self) -> float:
        """Return `E + reference C`, in which jumps are measured: E with the L2 penalty."""
        return self.error + self.reference * self.norm_squared

    @property
    def tangent_curvature(self) -> float:
        """Return `t . Hess L t / t . t` along the tangent t of the branch, which the smallest eigenvalue cannot exceed.

        At a fold, and at a branch point approached along the branch that ends there, the tangent turns into the
        mode that becomes soft, so both vanish together. Along the trunk of a pitchfork, which goes on, it does not.
        """
        return -self.norm_slope / max(float(self.tangent @ self.tangent), 1e-300)

    @property
    def error_slope(self) -> float:
        """Return the slope of `height`, `dE/dbeta = -beta d||theta - centre||^2 / dbeta` (envelope theorem)."""
        return -self.drive * self.norm_slope

    @property
    def drive(self) -> float:
        """Return `beta - reference`, by which L exceeds `height` for each unit of C."""
        return self.beta - self.reference

    def __str__(self) -> str:
        """Return the point in one line."""
        return f"point {self.index}: {self.minimum}; {self.observation}"
