"""Points of a phase or of a branch at another beta without dense Hessians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from spinodal.branches.branch import Branch
from spinodal.branches.fixed_norm.trace import LOOSE_SINGLE, FixedNorm
from spinodal.branches.point import StationaryPoint
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import lbfgs
from spinodal.minima.minimum import CONVERGED

LOOSE_DESCENT = 1e-6  # relative residual of a phase in double precision


class MatrixFree:
    """Solves at another beta: on a known branch at fixed norm, saddles included; elsewhere by minimising.

    Parameters
    ----------
    landscape : Landscape
    penalty : Penalty
    branches : sequence of Branch
        Points that belong to one of these are solved between its points.
    """

    def __init__(self, landscape: Landscape, penalty: Penalty, branches: Sequence[Branch]) -> None:
        self.landscape, self.penalty = landscape, penalty
        self._walks = [FixedNorm.on(landscape, penalty, branch) for branch in branches if branch.method == "fixed norm"]

    @property
    def precision(self) -> float:
        """Return how exact a beta can be that comes from these points, relative.

        Points need not lie at exactly the beta asked for, as `dL/dbeta` is known: the error is of second order.
        """
        return max((0.1 * walk.effort.tolerance for walk in self._walks), default=1e-6)

    def __call__(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the point at `beta`, or None for a saddle of no known branch and a minimum that is lost."""
        for walk in self._walks:
            if any(other is point for other in walk.points):
                return walk.solve(point, beta)
        return self._minimum(point, beta) if point.is_stable else None

    def _minimum(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the minimum of the same phase by descent alone: a certificate at every step would cost more than it."""
        loss = Regularised(self.landscape, beta, self.penalty)
        tolerance = LOOSE_SINGLE if self.landscape.dtype == torch.float32 else LOOSE_DESCENT
        found = lbfgs(loss, point.theta, tolerance=tolerance)
        if found.stop not in CONVERGED:
            return None
        return replace(
            point, theta=found.theta, beta=beta, error=loss.error(found.value, found.theta), loss=found.value,
            residual=float(found.gradient.norm()), norm_squared=self.penalty.norm_squared(found.theta),
            margin=math.nan, beta_rate=0.0, norm_rate=0.0, index_is_exact=False,
        )  # fmt: skip
