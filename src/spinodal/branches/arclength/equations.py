"""The equations of a branch, `F(theta, beta) = grad E + beta grad C = 0`, with exact derivatives.

With the L2 penalty, `C = ||theta - centre||^2`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from spinodal.branches.arclength.bordered import Spectrum, spectrum_of
from spinodal.branches.point import StationaryPoint
from spinodal.landscape import Landscape
from spinodal.landscape.axis import Axis
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.eigenbasis import eigenbasis


@dataclass(frozen=True)
class Equations:
    """What a branch of one landscape obeys; everything is evaluated through the landscape's counts."""

    landscape: Landscape
    given: Control
    control: Turned = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the control on the landscape."""
        object.__setattr__(self, "control", self.given.on(self.landscape))

    @property
    def axis(self) -> Axis:
        """Return the axis of beta, whose places are walked together with theta."""
        return self.control.axis

    def loss(self, beta: float) -> Regularised:
        """Return L."""
        return Regularised(self.landscape, beta, self.control)

    def value_and_residual(self, theta: Tensor, beta: float) -> tuple[float, Tensor]:
        """Return L and `F = grad L`, shape (n,)."""
        return self.loss(beta).value_and_gradient(theta)

    def column(self, theta: Tensor) -> Tensor:
        """Return `dF/dbeta = grad C`, shape (n,)."""
        return self.control.force(theta)

    def column_along(self, theta: Tensor, beta: float) -> Tensor:
        """Return `dF` for a step of one on the axis, shape (n,)."""
        return self.axis.unit(beta) * self.column(theta)

    def bent(self, theta: Tensor, vector: Tensor) -> Tensor:
        """Return `Hess C v / 2`, shape (n,): the penalised part of v with the L2 penalty."""
        return 0.5 * self.control.operator(theta)(vector)

    def third_product(self, theta: Tensor, beta: float, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 L [u, v, .]`, shape (n,)."""
        return self.loss(beta).third_product(theta, u, v)

    def spectrum(self, theta: Tensor, beta: float, residual: Tensor | None = None) -> Spectrum:
        """Return all eigenpairs of Hess L; what is left of `F`, where it is known, tells how small those of zero modes are."""
        loss = self.loss(beta)
        bend = math.inf if residual is None else loss.bend(theta, float(residual.norm()))
        return spectrum_of(eigenbasis(loss.shifted(loss.hessian(theta)), bend=bend), self.control.shift(beta))

    def scale(self, theta: Tensor, beta: float) -> float:
        """Return the size that residuals are measured against (see `Regularised.scale`)."""
        return self.loss(beta).scale(theta)

    def size(self, theta: Tensor) -> float:
        """Return `||theta - centre||` over all parameters, penalised or not: the length that steps are measured in."""
        return self.control.distance(theta)

    def point(
        self, theta: Tensor, beta: float, loss: float, residual: Tensor, spectrum: Spectrum, tangent: Tensor, beta_rate: float
    ) -> StationaryPoint:
        """Return the record of a solved point."""
        conjugate, force = self.control.conjugate_and_force(theta)
        return StationaryPoint(
            theta=theta,
            beta=beta,
            error=loss - beta * conjugate,
            loss=loss,
            norm_squared=conjugate,
            residual=float(residual.norm()),
            index=spectrum.index,
            index_is_exact=True,
            margin=spectrum.margin,
            zero_modes=spectrum.zero_modes,
            tangent=tangent,
            beta_rate=beta_rate,
            norm_rate=float(force @ tangent),
        )
