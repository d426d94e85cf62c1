"""The same branch at another beta: the one door to a point whose neighbour is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from spinodal.branches.arclength.equations import Equations
from spinodal.branches.arclength.exact import Exact
from spinodal.branches.branch import Branch
from spinodal.branches.fixed_norm.between import Between
from spinodal.branches.fixed_norm.effort import LOOSE_SINGLE
from spinodal.branches.point import StationaryPoint
from spinodal.definitions import EQUAL_DEPTH, FLAT
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import l2
from spinodal.minima.lbfgs import lbfgs
from spinodal.minima.minimise import solve
from spinodal.minima.minimum import CONVERGED
from spinodal.spectrum.operator import affords_dense

LOOSE = 1e-6  # relative residual of a minimum that is found by plain descent in double precision
ALIKE = 0.1  # of that of its points: how exact a beta can be, as `dL/dbeta` is known and its error is of second order

Move = Callable[[StationaryPoint, float], StationaryPoint | None]


class Mover:
    """Solves for the point of the same branch at another beta.

    With dense Hessians where these are affordable; else between the points of a known branch at fixed norm, saddles
    included, and by descent for the minima of others.

    Parameters
    ----------
    landscape : Landscape
    control : Control
        Without dense Hessians the L2 penalty.
    branches : sequence of Branch
    solver : str, optional
        Of a descent, which then certifies what it finds (see `solver_for`). Default: a plain descent, as a certificate at
        every step would cost more than it.
    dense : bool, optional
        Whether to take dense Hessians. Default: where they are affordable and no branch was walked without.

    Attributes
    ----------
    axis : Axis
        Of beta.
    precision : float
        How exact a beta can be that comes from these points, relative.
    """

    def __init__(
        self,
        landscape: Landscape,
        control: Control,
        branches: Sequence[Branch] = (),
        *,
        solver: str | None = None,
        dense: bool | None = None,
    ) -> None:
        self.landscape, self.control, self.solver = landscape, control.on(landscape), solver
        self.axis = control.axis
        plain = solver is None
        if dense is None:
            dense = plain and affords_dense(landscape) and all(branch.method == "arclength" for branch in branches)
        self._exact = Exact(Equations(landscape, control)) if dense else None
        self._known: list[tuple[tuple[StationaryPoint, ...], Between]] = []
        if plain and not dense:
            penalty = l2(control, "equal depth without dense Hessians", "give solve=...")
            walked = [branch for branch in branches if branch.method == "fixed norm"]
            self._known = [(branch.points, Between.on(landscape, penalty, branch)) for branch in walked]
        rough = max((ALIKE * between.effort.tolerance for _, between in self._known), default=LOOSE)
        self.precision = rough if plain and not dense else EQUAL_DEPTH

    def __call__(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the point at `beta`, or None for a saddle of no known branch and a point that is lost."""
        if self._exact is not None:
            return self._exact(point, beta)
        for points, between in self._known:
            place = next((k for k, other in enumerate(points) if other.coincides(point)), None)
            if place is not None:
                return between.along(points, place, beta)
        if not point.is_stable:
            return None
        return self._descended(point, beta) if self.solver is None else self._certified(point, beta, self.solver)

    def _descended(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the minimum of the same phase by descent alone."""
        loss = Regularised(self.landscape, beta, self.control)
        tolerance = LOOSE_SINGLE if self.landscape.dtype == torch.float32 else LOOSE
        found = lbfgs(loss, point.theta, tolerance=tolerance)
        if found.stop not in CONVERGED:
            return None
        return replace(
            point, theta=found.theta, beta=beta, error=loss.error(found.value, found.theta), loss=found.value,
            residual=float(found.gradient.norm()), norm_squared=self.control.conjugate(found.theta),
            margin=math.nan, beta_rate=0.0, norm_rate=0.0, index_is_exact=False,
        )  # fmt: skip

    def _certified(self, point: StationaryPoint, beta: float, solver: str) -> StationaryPoint | None:
        """Return the minimum of the same phase with its margin; a negative one that is as good as none is a symmetry's."""
        minimum, _ = solve(Regularised(self.landscape, beta, self.control), point.theta, solver=solver)
        flat = minimum.stop == "saddle" and minimum.margin > -FLAT * 2.0 * beta
        if not (minimum.converged or flat):
            return None
        found = StationaryPoint.of(minimum, self.control.conjugate(minimum.theta))
        return replace(found, index=0, index_is_exact=False) if flat else found
