"""A kept point whose dense Hessian serves its neighbours: as preconditioner, and as the start of their lowest eigenvectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.counts import passes_of
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.margin import Margin, dense_lowest
from spinodal.spectrum.preconditioner import Cholesky

FLOOR = 0.1  # of beta: least curvature that is believed of the neighbourhood, where soft modes stiffen and turn
SOFT = 4  # lowest eigenvectors outside the zero modes that are kept
SPREAD = 0.1  # of the drift of modes since a Hessian: how far those of nearly one curvature come apart (measured: .08)
STEP_BESIDE = 2e-4  # of the norm: a step that no mode softens on
FAR = 0.1  # of the norm: a step in which so many modes may change that a search for one that has fallen does not find it
SHARPEST = 1e-2  # least part of its tolerance to which a search goes on
SERVED = 3.0  # points that a new Hessian is expected to serve
CERTIFIED = 100  # gradients up to which a Hessian is taken at every point: margin, zero modes and tangent come with it


@dataclass(frozen=True, eq=False)
class Landmark:
    """What is kept of the dense Hessian at a minimum of L.

    Attributes
    ----------
    margin : Margin
        Its value, here; the rest of it, and what follows, where the Hessian was taken.
    low : Tensor, shape (k, n)
        Lowest eigenvectors of Hess L, zero modes included.
    curvatures : Tensor, shape (k,)
        Theirs, where the Hessian was taken.
    beyond : float
        The lowest eigenvalue there whose mode is not kept.
    factor : Cholesky
        Of Hess L, shifted by a part of beta.
    price : int
        What another landmark costs in gradients.
    home, seen : Tensor, shape (n,)
        Where the Hessian was taken, and
        where all modes were looked at last: by the Hessian, or by a search for modes that have softened.
    """

    margin: Margin
    low: Tensor
    curvatures: Tensor
    beyond: float
    factor: Cholesky
    price: int
    home: Tensor
    seen: Tensor

    @classmethod
    def at(cls, loss: Regularised, theta: Tensor, hessian: Tensor, *, bend: float = math.inf) -> Landmark | None:
        """Return the landmark of a Hessian, as `Regularised.hessian` has it, at theta, a minimum of L; None if not finite.

        For `bend` see `zero_limit`.
        """
        matrix = loss.shifted(hessian)
        factor = Cholesky.of(matrix, least=FLOOR * loss.unit)
        if factor is None:
            return None
        margin, low, curvatures, beyond = dense_lowest(matrix, factor, keep=SOFT, bend=bend)
        return cls(margin, low, curvatures, beyond, factor, price(loss.landscape), theta, theta)

    def beside(self, theta: Tensor, margin: float) -> Landmark:
        """Return the landmark of a minimum nearby, whose margin is known, and where modes that softened were looked for."""
        seen = self.seen if self.is_beside(theta) else theta
        return replace(self, margin=replace(self.margin, value=margin), seen=seen)

    def is_beside(self, theta: Tensor) -> bool:
        """Tell a theta so near that no mode can have softened unseen."""
        return float((theta - self.seen).norm()) <= STEP_BESIDE * float(self.seen.norm())

    def serves(self, theta: Tensor, gradients: int) -> bool:
        """Tell whether to look from here at a minimum that a search took so many gradients to.

        Not from too far away: among many modes that have changed one may have fallen below all, from high above.
        """
        is_near = float((theta - self.home).norm()) <= FAR * float(self.home.norm())
        return self.price > CERTIFIED and SERVED * gradients <= self.price and is_near

    def hidden(self, value: float, curvatures: Tensor) -> float:
        """Return how far below a margin nearby a mode may lie that is not kept, 0 where none may.

        `curvatures`, shape (k,), are there those of the kept ones: the others may have fallen as far as any of these, or as the
        margin itself, whose mode has turned as well; and in a cluster further by a part, `SPREAD`.
        """
        drifts = curvatures - self.curvatures
        fall = min(float(drifts.min()), value - float(self.curvatures[min(self.margin.zero_modes or 0, len(drifts) - 1)]))
        return max(0.0, value - (self.beyond + fall - SPREAD * max(float(drifts.abs().max()), -fall)))

    @property
    def sharpness(self) -> float:
        """Return how much smaller than elsewhere residuals should be nearby, as the margin here is."""
        return min(1.0, max(SHARPEST, abs(self.margin.value) / self.factor.shift)) if self.factor.shift > 0.0 else 1.0


def price(landscape: Landscape) -> int:
    """Return what a landmark costs in gradients: a dense Hessian and a factorisation."""
    return landscape.hessian_method.passes(landscape) + factorisation_passes(landscape)


def factorisation_passes(landscape: Landscape) -> int:
    """Return what a Cholesky factor costs in gradients."""
    return passes_of(landscape.size**3 / 6.0, parameters=landscape.size, samples=landscape.batches.total)
