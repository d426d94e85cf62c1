"""A kept point whose dense Hessian serves its neighbours: as preconditioner, and as the start of their lowest eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.counts import passes_of
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.margin import Margin, dense_lowest
from spinodal.spectrum.preconditioner import Cholesky

FLOOR = 0.1  # of beta: least curvature that is believed of the neighbourhood, where soft modes stiffen and turn
SHARPEST = 1e-2  # least part of its tolerance to which a search goes on
SERVED = 4.0  # points that a new Hessian is expected to serve
CERTIFIED = 100  # gradients up to which a Hessian is taken at every point: margin, zero modes and tangent come with it


@dataclass(frozen=True, eq=False)
class Landmark:
    """What is kept of the dense Hessian at a minimum of L.

    Attributes
    ----------
    margin : Margin
    low : Tensor, shape (k, n)
        Lowest eigenvectors of Hess L, zero modes included.
    factor : Cholesky
        Of Hess L, shifted by a part of beta.
    price : int
        What another landmark costs in gradients.
    """

    margin: Margin
    low: Tensor
    factor: Cholesky
    price: int

    @classmethod
    def at(cls, loss: Regularised, hessian: Tensor) -> Landmark | None:
        """Return the landmark of a Hessian, as `Regularised.hessian` has it, at a minimum of L; None where it is not finite."""
        matrix = loss.shifted(hessian)
        factor = Cholesky.of(matrix, least=FLOOR * loss.unit)
        if factor is None:
            return None
        return cls(*dense_lowest(matrix, factor), factor, price(loss.landscape))

    @property
    def sharpness(self) -> float:
        """Return how much smaller than elsewhere residuals should be nearby, as the margin here is."""
        return min(1.0, max(SHARPEST, abs(self.margin.value) / self.factor.shift)) if self.factor.shift > 0.0 else 1.0

    def pays(self, gradients: int) -> bool:
        """Tell whether it still pays to look from here, where a search took so many gradients."""
        return self.price > CERTIFIED and SERVED * gradients <= self.price


def price(landscape: Landscape) -> int:
    """Return what a landmark costs in gradients: a dense Hessian and a factorisation."""
    return landscape.hessian_method.passes(landscape) + factorisation_passes(landscape)


def factorisation_passes(landscape: Landscape) -> int:
    """Return what a Cholesky factor costs in gradients."""
    return passes_of(landscape.size**3 / 6.0, parameters=landscape.size, samples=landscape.batches.total)
