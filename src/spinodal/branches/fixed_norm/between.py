"""Places between points of a branch at fixed norm: where beta has a value, and where it turns."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from torch import Tensor

from spinodal.branches.branch import Branch
from spinodal.branches.fixed_norm import curve
from spinodal.branches.fixed_norm.constrained import Constrained
from spinodal.branches.fixed_norm.effort import effort_for
from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import Fold
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory

FINE = 0.25  # times more precise are folds and points at a beta that was asked for
POLISHES = 12  # points in search of one place
EXACT = 1e-12  # relative difference to a beta that was asked for, at which a point computed to rounding is there


class Between:
    """Solves between points that a walk has found.

    Parameters
    ----------
    solve : Constrained
    recent : sequence of StationaryPoint
        The last points of the walk: where tangents are rough, guesses go through their positions.
    """

    def __init__(self, solve: Constrained, recent: Sequence[StationaryPoint] = ()) -> None:
        self.solve, self.effort = solve, solve.effort
        self.recent: deque[StationaryPoint] = deque(recent, maxlen=4)

    @classmethod
    def on(cls, landscape: Landscape, penalty: Penalty, branch: Branch) -> Between:
        """Return what solves between the points of a branch that was walked before."""
        last = branch.points[-4:]
        return cls(Constrained(landscape, penalty, effort_for(landscape), Memory(last[-1].theta)), last)

    def level(self, a: StationaryPoint, b: StationaryPoint, beta: float, care: float = 1.0) -> StationaryPoint:
        """Return the point of the branch between two others at which beta has a value, or the nearest one found.

        `care` is a factor on the tolerance: where L is what is wanted, whose error is of second order, there is no need.
        """
        close = (EXACT if self.effort.second_order else self.effort.tolerance) * beta
        best = min(a, b, key=lambda point: abs(point.beta - beta))
        for _ in range(POLISHES):
            if abs(best.beta - beta) <= close:
                break
            found = self.inside(a, b, curve.where_level(a, b, beta), care)
            if found is None:
                break
            a, b = (a, found) if (a.beta - beta) * (found.beta - beta) <= 0 else (found, b)
            best = min(best, found, key=lambda point: abs(point.beta - beta))
        return best

    def along(self, points: Sequence[StationaryPoint], place: int, beta: float) -> StationaryPoint | None:
        """Return the point at `beta` that lies between the same folds of a branch as its point at a place; None beyond them."""
        for way in (points[place:], points[place::-1]):
            for a, b in pairwise(way):
                if (b.beta - a.beta) * (way[1].beta - way[0].beta) < 0:
                    break  # a fold: beta turns back
                if (a.beta - beta) * (b.beta - beta) <= 0:
                    return self.level(a, b, beta)
        return None

    def fold(self, a: StationaryPoint, b: StationaryPoint) -> Fold:
        """Solve for `d beta / d rho = 0` between two points at which it differs in sign, by real points."""
        before, after, side = a, b, "upper" if a.beta_rate > 0 else "lower"
        best, count = min(a, b, key=steepness), 0
        loose = self.effort.reads_slopes_from_betas  # then the ends are not precise enough to be the fold
        while count < POLISHES and (steepness(best) > self.effort.flat or (loose and count == 0)):
            count += 1
            found = self.inside(a, b, curve.where_flat(a, b), FINE)
            if found is None:
                break
            a, b = (a, found) if a.beta_rate * found.beta_rate <= 0 else (found, b)
            best = found if loose else min(best, found, key=steepness)
        polished = steepness(best) <= self.effort.flat
        return self._record(best, before, after, side, (a, b), polished, count)

    def _record(
        self,
        point: StationaryPoint,
        before: StationaryPoint,
        after: StationaryPoint,
        side: str,
        ends: tuple[StationaryPoint, StationaryPoint],
        polished: bool,
        count: int,
    ) -> Fold:
        penalty = self.solve.penalty
        offset, mode = penalty.offset(point.theta), point.tangent / float(point.tangent.norm())
        product = Regularised(self.solve.landscape, point.beta, penalty).hessian_operator(point.theta)
        beyond = max(abs(curve.beta_velocity(end)) for end in ends) * abs(curve.place(ends[1]) - curve.place(ends[0]))
        width = point.beta * self.effort.flat**2 if polished else beyond
        return Fold(
            point=point,
            null_vector=mode,
            eigenvalue=float(mode @ product(mode)),
            overlap=abs(float(mode @ offset)) / float(offset.norm()),
            side=side,
            index=(before.index, after.index),
            bracket=(point.beta - width, point.beta + width),
            minor=False,
            status="converged" if polished and self.effort.second_order else "bracketed",
            iterations=count,
            place=0,
        )

    def inside(self, a: StationaryPoint, b: StationaryPoint, t: float, care: float) -> StationaryPoint | None:
        """Return the constrained minimum at a place between two points, or None where it is on no branch with them."""
        if t in (curve.place(a), curve.place(b)):
            return None
        guess = curve.theta_between(a, b, t) if self.effort.second_order else self._through_neighbours(a, b, t)
        point = self.solve(
            guess, math.exp(t), 0.5 * (a.beta + b.beta), lambda theta: curve.velocity_between(a, b, t), care=care
        )
        if point is None or self.solve.deviation(a, point) > self.effort.deviation:
            return None
        return sloped((a, b, point)) if self.effort.reads_slopes_from_betas else point

    def _through_neighbours(self, a: StationaryPoint, b: StationaryPoint, t: float) -> Tensor:
        pool = {point.norm_squared: point for point in (*self.recent, a, b)}
        return curve.theta_through(sorted(pool.values(), key=lambda point: abs(curve.place(point) - t))[:3], t)


def sloped(points: Sequence[StationaryPoint]) -> StationaryPoint:
    """Return the last of two or three points with `d beta / d rho` from the parabola through them.

    Where points are loosely minimised, that tells more than the curvature along a loosely known direction.
    """
    rho, beta = (np.array([getattr(point, name) for point in points]) for name in ("norm_squared", "beta"))
    slope = np.polynomial.Polynomial.fit(np.log(rho), beta, len(points) - 1).deriv()(math.log(rho[-1])) / rho[-1]
    return replace(points[-1], beta_rate=points[-1].norm_rate * float(slope))


def steepness(point: StationaryPoint) -> float:
    """Return `|dlog beta / dlog rho|`."""
    return abs(curve.beta_velocity(point)) / point.beta
