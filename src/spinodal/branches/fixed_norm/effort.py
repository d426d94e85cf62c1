"""How precisely a walk at fixed norm computes its points, and how long its steps may be."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spinodal.landscape import Landscape
from spinodal.minima.solver import NEWTON
from spinodal.spectrum.operator import affords_dense

DEVIATION, DEVIATION_LOOSE = 0.05, 0.5  # of beta times the step in rho: what E may deviate before it has jumped
LOOSE, LOOSE_SINGLE = 1e-4, 0.02  # residuals, relative to 2 beta r, that L-BFGS walks with; soft valleys cost the rest
PRECISE = 1e-6  # a residual that is asked for and no larger is one for Newton's method


@dataclass(frozen=True)
class Effort:
    """How precisely the points of a walk are computed, and how long its steps may be.

    Attributes
    ----------
    second_order : bool
        Newton and exact slopes, or L-BFGS and slopes from differences, improved by a few products.
    tolerance : float
        The residual relative to `2 beta ||theta - centre||`.
    slope, products : float, int
        Relative residual and most Hessian products of a slope.
    flat : float
        `|dlog beta / dlog rho|` from which a fold is polished.
    longest, shortest : float
        Steps in log rho.
    iterations : int
        Of one minimisation.
    """

    second_order: bool
    tolerance: float
    slope: float
    products: int
    flat: float
    longest: float
    shortest: float
    iterations: int

    @property
    def deviation(self) -> float:
        """Return how far E may be from the integral of beta; loosely minimised points lie above the branch."""
        return DEVIATION_LOOSE if self.reads_slopes_from_betas else DEVIATION

    @property
    def reads_slopes_from_betas(self) -> bool:
        """Tell whether points are so loose that their betas say more about the slope than products at them."""
        return not self.second_order and self.tolerance >= LOOSE_SINGLE


def effort_for(landscape: Landscape, tolerance: float | None = None) -> Effort:
    """Return how precisely to walk: to rounding where that is affordable (see `affords_dense`) or asked for, else by L-BFGS."""
    precise = landscape.dtype == torch.float64
    if affords_dense(landscape) or (precise and tolerance is not None and tolerance <= PRECISE):
        return Effort(True, tolerance or NEWTON.tolerance, 1e-8, 2 * landscape.size + 100, 1e-10, 0.4, 1e-7, 200)
    rough = tolerance or (LOOSE if precise else LOOSE_SINGLE)
    return Effort(False, rough, 0.02, 4 if rough < LOOSE_SINGLE else 2, 0.02, 0.25, 1e-4, 150)
