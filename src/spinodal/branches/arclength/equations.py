"""The equations of a branch, `F(theta, beta) = grad E + 2 beta (theta - centre) = 0`, with exact derivatives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.branches.arclength.bordered import Spectrum, spectrum_of
from spinodal.branches.point import StationaryPoint
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.spectrum.eigenbasis import eigenbasis


@dataclass(frozen=True)
class Equations:
    """What a branch of one landscape obeys; everything is evaluated through the landscape's counts."""

    landscape: Landscape
    penalty: Penalty

    def value_and_residual(self, theta: Tensor, beta: float) -> tuple[float, Tensor]:
        """Return L and `F = grad L`, shape (n,)."""
        return Regularised(self.landscape, beta, self.penalty).value_and_gradient(theta)

    def column(self, theta: Tensor) -> Tensor:
        """Return `dF/dbeta = 2 (theta - centre)`, shape (n,)."""
        return 2.0 * self.penalty.offset(theta)

    def mask(self, vector: Tensor) -> Tensor:
        """Return the penalised part of a vector, shape (n,)."""
        return self.penalty.diagonal(vector) * vector

    def spectrum(self, theta: Tensor, beta: float) -> Spectrum:
        """Return all eigenpairs of Hess L."""
        loss = Regularised(self.landscape, beta, self.penalty)
        return spectrum_of(eigenbasis(loss.shifted(self.landscape.hessian(theta))), 2.0 * beta)

    def scale(self, theta: Tensor, beta: float) -> float:
        """Return the size that residuals are measured against (see `Regularised.scale`)."""
        return Regularised(self.landscape, beta, self.penalty).scale(theta)

    def size(self, theta: Tensor) -> float:
        """Return `||theta - centre||` over all parameters, penalised or not: the length that steps are measured in."""
        centre = self.penalty.centre
        return float((theta if centre is None else theta - centre.to(theta)).norm())

    def point(
        self, theta: Tensor, beta: float, loss: float, residual: Tensor, spectrum: Spectrum, tangent: Tensor, beta_rate: float
    ) -> StationaryPoint:
        """Return the record of a solved point."""
        offset = self.penalty.offset(theta)
        norm_squared = float(offset @ offset)
        return StationaryPoint(
            theta=theta,
            beta=beta,
            error=loss - beta * norm_squared,
            loss=loss,
            norm_squared=norm_squared,
            residual=float(residual.norm()),
            index=spectrum.index,
            index_is_exact=True,
            margin=spectrum.margin,
            zero_modes=spectrum.zero_modes,
            tangent=tangent,
            beta_rate=beta_rate,
            norm_rate=2.0 * float(offset @ tangent),
        )
