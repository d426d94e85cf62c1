"""Continuation at fixed norm: minimise E on the sphere, read beta, change the norm. Matrix-free, for every size."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise

from torch import Tensor

from spinodal.branches.area import discrepancy
from spinodal.branches.branch import Branch
from spinodal.branches.fixed_norm import curve
from spinodal.branches.fixed_norm.between import FINE, Between, sloped
from spinodal.branches.fixed_norm.constrained import Change, Constrained
from spinodal.branches.fixed_norm.effort import effort_for
from spinodal.branches.minor import mark_minor
from spinodal.branches.point import StationaryPoint
from spinodal.branches.point_by_point import PointByPoint
from spinodal.branches.special import Fold
from spinodal.definitions import NEAR_BETA
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory

FIRST = 0.02  # step in log rho
AREA = 1e-10  # of |E| + beta rho: what the area certificate of one step aims to miss
HASTE = 1e-3  # step in log rho below which predictions need not be good: the branch may have a kink in the norm
STRAYED = 0.5  # of a step: how far from its prediction a point may lie
CHEAP = 25  # gradients for one point after which the next step is longer
ROUGH = 3  # times less precise is the first point of L-BFGS: those after it, on their way, converge for less
FAR = 1e12  # factor in rho


class FixedNorm(PointByPoint):
    """Walks `rho = ||theta - centre||^2`, point by point; iterate over it, stop whenever, go on later.

    Each point is a minimum of E on its sphere (see `Sphere`), predicted from those before, with
    `beta = -(theta - centre) . grad E / (2 rho) = -dE/drho`. Folds in beta are ordinary points here; they are located by
    the slope `d beta / d rho` of real points, never interpolated. A step is refused, and halved, where E does not
    follow the integral of beta: then the constrained minimum has jumped.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,)
        Minimised on its own sphere first.
    beta : float
        Roughly that of theta.
    to : float
        beta at which the walk has "reached" its end. Which way the norm changes follows from it.
    penalty : Penalty
    bounds : (low, high) in beta
        Where the walk ends as well.
    through_folds : bool
    tolerance : float, optional
        The residual relative to `2 beta ||theta - centre||`. See `effort_for`.
    down : bool, optional
        Whether the norm falls, instead of by `to`.
    at : values of beta
        Where points are wanted, as exactly as the tolerance allows.

    Attributes
    ----------
    points, folds : list
        What was found so far.
    stop : str
        "" while the walk can go on, else a key of `STATUSES` of branches.
    jump : (from, to) in rho, or None
        Where the constrained minimum was seen to jump: the last norm reached, and the one that could not be.

    Examples
    --------
    One parameter, `E = (1 - x^2)^2`, on whose sphere of two points nothing is left to minimise: `beta = 2 (1 - x^2)`
    falls as x grows.

    >>> import torch
    >>> class One(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.x = torch.nn.Parameter(torch.tensor(0.5))
    >>> E = Landscape(One(), lambda model, batch: (1 - model.x**2) ** 2, None)
    >>> walk = FixedNorm(E, E.initial, 1.5, to=0.5, bounds=(0.5, 1.9))
    >>> round(float(list(walk)[-1].theta), 9), walk.stop, walk.folds
    (0.866025404, 'reached', [])
    """

    def __init__(
        self,
        landscape: Landscape,
        theta: Tensor,
        beta: float,
        *,
        to: float,
        bounds: tuple[float, float],
        penalty: Penalty = Penalty(),
        through_folds: bool = True,
        tolerance: float | None = None,
        down: bool | None = None,
        at: tuple[float, ...] = (),
    ) -> None:
        super().__init__(at)
        self.landscape, self.penalty, self.to, self.bounds = landscape, penalty, to, bounds
        self.through_folds, self.effort = through_folds, effort_for(landscape, tolerance)
        self.points: list[StationaryPoint] = []
        self.step = FIRST if self.effort.second_order else 5 * FIRST
        self.jump: tuple[float, float] | None = None
        self._began, self._before = time.perf_counter(), landscape.counts.copy()
        self._solve = Constrained(landscape, penalty, self.effort, Memory(theta))
        self._between = Between(self._solve)
        self._begin(theta, beta, down)

    def __next__(self) -> StationaryPoint:
        """Return the next point along the branch."""
        self.points.append(super().__next__())
        return self.points[-1]

    def branch(self) -> Branch:
        """Return the branch so far; the walk can go on afterwards."""
        stop = "points" if self._ready or not self.stop else self.stop
        found = Branch(
            points=tuple(self.points),
            folds=tuple(fold for fold in self.folds if fold.place < len(self.points)),
            branch_points=(),
            method="fixed norm",
            stop=stop,
            spent=self.landscape.counts - self._before,
            seconds=time.perf_counter() - self._began,
        )
        return mark_minor(found, 0.0)

    # -- the start --------------------------------------------------------------------------

    def _begin(self, theta: Tensor, beta: float, down: bool | None) -> None:
        """Solve the first point, on the sphere of theta."""
        rho = self.penalty.norm_squared(theta)
        if not rho > 0:
            raise SpinodalError(
                got="a start at the centre of the penalty",
                allowed="a start with ||theta - centre|| > 0 is allowed, as the norm is what changes",
                do='use method="arclength"',
            )
        first = self._solve(theta, rho, beta, None, iterations=20 * self.effort.iterations, care=ROUGH)
        if first is None:
            raise self._refusal(theta, beta)
        if down is None:
            down = (self.to - first.beta) * curve.beta_velocity(first) <= 0
        self._solve.sign = -1.0 if down else 1.0
        self._last, self._first_norm = first if down else first.reversed(), rho
        self._between.recent.append(self._last)
        self._emit(self._last)

        low, high = self.bounds
        if not low * (1 - NEAR_BETA) <= first.beta <= high * (1 + NEAR_BETA):
            doubt = self._residual(theta, beta) / math.sqrt(rho)  # beta of a sphere is that of a start to half of this
            if not low - doubt <= first.beta <= high + doubt:
                self.stop = "range"
            self.bounds = min(low, first.beta), max(high, first.beta)

    def _residual(self, theta: Tensor, beta: float) -> float:
        return float(Regularised(self.landscape, beta, self.penalty).value_and_gradient(theta)[1].norm())

    def _refusal(self, theta: Tensor, beta: float) -> SpinodalError:
        return SpinodalError(
            got=f"a start whose residual ||grad L|| is {self._residual(theta, beta):.2e}, and no minimum of E was found on its "
            "sphere",
            allowed="a start near a stationary point of L is allowed",
            do="start from spinodal.minimise(...)",
        )

    # -- one step ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take one step, halved until it stays on the branch, and keep what lies in it."""
        last, jumped = self._last, False
        t = curve.place(last)
        while self.step >= self.effort.shortest:
            rho = math.exp(t + self._solve.sign * self.step)
            spent = self.landscape.counts.gradient_evaluations
            guess = self._predict(math.log(rho))
            point = self._solve(guess, rho, last.beta, self._change_up_to(math.log(rho)))
            if point is not None:
                strayed = float((point.theta - guess).norm()) / float((point.theta - last.theta).norm() or 1.0)
                jumped = self._solve.deviation(last, point) > self.effort.deviation
                if self._is_close(last, point, strayed) and not jumped:
                    self._grow(last, point, strayed, self.landscape.counts.gradient_evaluations - spent)
                    self._keep(point)
                    return
            self.step *= 0.5
            self._solve.memory = Memory(last.theta)
        self.stop = "jump" if jumped else "stalled"
        self.jump = (last.norm_squared, rho) if jumped else None

    def _predict(self, t: float) -> Tensor:
        """Extrapolate from the last points: by their velocities where these are exact."""
        recent = list(self._between.recent)
        if not self.effort.second_order and len(recent) > 1:
            return curve.theta_through(recent[-3:], t)
        return curve.theta_beyond(recent[-2:], t)

    def _is_close(self, a: StationaryPoint, b: StationaryPoint, strayed: float) -> bool:
        """Tell whether a step was short enough for its predictions to hold, where these are precise."""
        if not self.effort.second_order or self.step < HASTE:
            return True
        return not _bent_twice(a, b) and strayed <= STRAYED and abs(discrepancy(a, b)) <= 30 * self._aim(b)

    def _aim(self, point: StationaryPoint) -> float:
        return AREA * (abs(point.error) + point.beta * point.norm_squared)

    def _grow(self, a: StationaryPoint, b: StationaryPoint, strayed: float, gradients: int) -> None:
        """Choose the next step: by the area this one missed, or by what it cost."""
        if self.effort.second_order:
            factor = min(0.9 * (self._aim(b) / (abs(discrepancy(a, b)) + 1e-30)) ** 0.2, 0.5 * STRAYED / (strayed + 1e-30))
        else:
            factor = 1.4 if gradients <= CHEAP else 1.0
        self.step = min(min(max(factor, 0.3), 2.0) * self.step, self.effort.longest)

    def _keep(self, point: StationaryPoint) -> None:
        """Take a point, after the fold that lies before it; end at a bound."""
        last = self._last
        if self.effort.reads_slopes_from_betas:
            point = sloped((*list(self._between.recent)[-2:], point))
        fold = self._between.fold(last, point) if last.beta_rate * point.beta_rate < 0 else None
        if fold is not None and not self._is_extreme(fold, last, point):
            fold, point = None, _unturned(last, point)
        if fold is not None and fold.point.coincides(last):
            self._turn(fold, self._found - 1)
            fold = None
        inside = fold is not None and not fold.point.coincides(point)
        for a, b in pairwise([last, fold.point, point] if fold is not None and inside else [last, point]):
            if self.stop or self._pass(a, b):
                return
            if fold is not None and b.coincides(fold.point):
                self._turn(fold, self._found - 1)
        if self.stop:
            return
        self._last = point
        self._between.recent.append(point)
        if not 1 / FAR < point.norm_squared / self._first_norm < FAR:
            self.stop = "norm"

    def _pass(self, a: StationaryPoint, b: StationaryPoint) -> bool:
        """Go on to the next point, by way of the values of beta that were asked for; tell whether the walk ends before it."""
        level = self._crossed(a, b)
        for beta in self._asked(a.beta, b.beta if level is None else level):
            self._emit(self._between.level(a, b, beta, FINE))
        if level is not None:
            self._finish(a, b, level)
        else:
            self._emit(b)
        return level is not None

    def _turn(self, fold: Fold, place: int) -> None:
        """Keep a fold, whose point has been handed out."""
        self.folds.append(replace(fold, place=place))
        if not self.through_folds:
            self.stop = "fold"

    def _is_extreme(self, fold: Fold, a: StationaryPoint, b: StationaryPoint) -> bool:
        """Tell a fold from a slope whose sign is wrong, as rough ones may be: beta must lie beyond both neighbours."""
        if self.effort.second_order:
            return True
        sign, slack = (1.0 if fold.side == "upper" else -1.0), 1.0 - self.effort.tolerance
        solved = fold.iterations > 0 or not self.effort.reads_slopes_from_betas
        return solved and fold.beta**sign >= slack * max(a.beta**sign, b.beta**sign)

    # -- places between points --------------------------------------------------------------

    def _crossed(self, a: StationaryPoint, b: StationaryPoint) -> float | None:
        """Return the end of the walk, in beta, that lies between two points, the nearest to the first."""
        close = self.effort.tolerance
        ends = [
            beta
            for beta in {self.to, *self.bounds}
            if (a.beta - beta) * (b.beta - beta) <= 0
            and (abs(a.beta - beta) > close * beta or a.norm_squared != self._first_norm)  # a walk may begin at its bound
        ]
        return min(ends, key=lambda beta: abs(beta - a.beta), default=None)

    def _finish(self, a: StationaryPoint, b: StationaryPoint, level: float) -> None:
        """Solve where beta has a value between those of two points, and end there."""
        self._emit(self._between.level(a, b, level))
        self.stop = "reached" if level == self.to else "range"

    def _change_up_to(self, t: float) -> Change:
        """Return how theta changes at t by the difference to the last points."""
        last = list(self._between.recent)[-2:]
        return lambda theta: curve.velocity_through(last, theta, t)


def _unturned(a: StationaryPoint, b: StationaryPoint) -> StationaryPoint:
    """Return the second of two points with the slope of beta that lies between them, in place of a rough one."""
    return replace(b, beta_rate=b.norm_rate * (b.beta - a.beta) / (b.norm_squared - a.norm_squared))


def _bent_twice(a: StationaryPoint, b: StationaryPoint) -> bool:
    """Tell whether beta falls between two points while it rises at both, or the other way: two folds lie between."""
    return a.beta_rate * b.beta_rate > 0 and (b.beta - a.beta) * a.beta_rate < 0
