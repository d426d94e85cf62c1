"""A point on a branch of stationary points of L, stable or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.codec import Record
from spinodal.conventions import weight_decay
from spinodal.minima.minimum import Minimum
from spinodal.minima.point import Stationary

COLUMNS = "beta error loss norm_squared residual margin beta_rate norm_rate index zero_modes"  # of points, for each its own


@dataclass(frozen=True, repr=False)
class StationaryPoint(Stationary, Record):
    """A solution of `grad E + 2 beta (theta - centre) = 0`, with its stability and the way the branch goes on.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    beta : float
        PyTorch's `weight_decay` is `2 * beta`.
    error, loss : float
        E and L at theta.
    norm_squared : float
        `rho = ||theta - centre||^2` over the penalised parameters, which is `dL/dbeta` along the branch.
    residual : float
        `||grad L||`.
    index : int
        Morse index: the number of negative eigenvalues of Hess L outside the zero modes. 0 at a minimum.
    index_is_exact : bool
        Whether the whole spectrum was seen. Otherwise directions of negative curvature were: a lower bound.
    margin : float
        Smallest eigenvalue of Hess L outside the zero modes, negative at a saddle; NaN where it was not computed.
    zero_modes : int or None
        Number of zero modes; None where not counted (matrix-free).
    tangent : Tensor, shape (n,)
        `dtheta/ds` of the branch, in the direction walked.
    beta_rate, norm_rate : float
        `dbeta/ds` and `d rho/ds` for the same s. Their ratio is the slope of the branch: `beta_rate` is 0 at a fold. All
        three are 0 where the way on is not known.
    """

    JSON = f"{COLUMNS} index_is_exact"

    norm_squared: float
    index: int
    index_is_exact: bool
    zero_modes: int | None
    tangent: Tensor
    beta_rate: float
    norm_rate: float

    @classmethod
    def of(
        cls, minimum: Minimum, norm_squared: float, *, tangent: Tensor | None = None, norm_slope: float = 0.0
    ) -> StationaryPoint:
        """Return a minimum as a point of its branch, which goes on as its tangent and slope in beta say; s is beta then."""
        known = tangent is not None
        return cls(
            theta=minimum.theta,
            beta=minimum.beta,
            error=minimum.error,
            loss=minimum.loss,
            norm_squared=norm_squared,
            residual=minimum.residual,
            index=minimum.index,
            index_is_exact=minimum.index_is_exact,
            margin=minimum.margin,
            zero_modes=minimum.zero_modes,
            tangent=tangent if tangent is not None else 0.0 * minimum.theta,
            beta_rate=float(known),
            norm_rate=norm_slope,
        )

    @property
    def is_stable(self) -> bool:
        """Tell a minimum (index 0) from a saddle."""
        return self.index == 0

    @property
    def slope(self) -> float:
        """Return `d rho/d beta = d2L/dbeta2` along the branch; infinite at a fold."""
        return self.norm_rate / self.beta_rate if self.beta_rate else math.copysign(math.inf, self.norm_rate)

    @property
    def index_text(self) -> str:
        """Return the index as words have it: `1`, or `>= 1` for a lower bound."""
        return f"{self.index}" if self.index_is_exact else f">= {self.index}"

    def reversed(self) -> StationaryPoint:
        """Return this point walked the other way."""
        return replace(self, tangent=-self.tangent, beta_rate=-self.beta_rate, norm_rate=-self.norm_rate)

    def coincides(self, other: StationaryPoint) -> bool:
        """Tell whether another point is this one, walked either way: it has the same place, to the last digit."""
        return (self.beta, self.loss, self.norm_squared) == (other.beta, other.loss, other.norm_squared)

    def loss_at(self, beta: float) -> float:
        """Return L of this branch at a beta close by, to first order: `dL/dbeta = rho`."""
        return self.loss + (beta - self.beta) * self.norm_squared

    def __str__(self) -> str:
        """Return the point in one line."""
        return (
            f"beta = {self.beta:.8g} (weight_decay = {weight_decay(self.beta):.8g}): E = {self.error:.6g}, "
            f"L = {self.loss:.6g}, ||theta||^2 = {self.norm_squared:.6g}, index {self.index_text}, residual {self.residual:.1e}"
        )
