"""Continuation at fixed norm: minimise E on the sphere, read beta, change the norm. Matrix-free, for every size."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor

from spinodal.branches.area import discrepancy
from spinodal.branches.branch import Branch
from spinodal.branches.fixed_norm import curve
from spinodal.branches.fixed_norm.slope import Slope, slope
from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.branches.minor import mark_minor
from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import Fold
from spinodal.definitions import ALONG_NEGATIVE
from spinodal.errors import SpinodalError, positive_beta
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory
from spinodal.minima.minimum import CONVERGED
from spinodal.minima.solution import Solution
from spinodal.minima.solver import NEWTON
from spinodal.spectrum.operator import HessianOperator, affords_dense

FIRST = 0.02  # step in log rho
DEVIATION, DEVIATION_LOOSE = 0.05, 0.5  # of beta times the step in rho: what E may deviate before it has jumped
AREA = 1e-10  # of |E| + beta rho: what the area certificate of one step aims to miss
HASTE = 1e-3  # step in log rho below which predictions need not be good: the branch may have a kink in the norm
STRAYED = 0.5  # of a step: how far from its prediction a point may lie
WHOLE = 64  # parameters up to which the whole spectrum is computed
CHEAP = 25  # gradients for one point after which the next step is longer
UNAIDED = 3  # times more products for a slope where no neighbour is known
LOOSE, LOOSE_SINGLE = 1e-4, 0.02  # residuals, relative to 2 beta r, that L-BFGS walks with; soft valleys cost the rest
FINE = 0.25  # times more precise are folds and points at a beta that was asked for
ROUGH = 3  # times less precise is the first point of L-BFGS: those after it, on their way, converge for less
POLISHES = 12  # points in search of one place
FAR = 1e12  # factor in rho

Change = Callable[[Tensor], Tensor]  # d theta / d log rho, given theta


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
    if affords_dense(landscape) or (precise and tolerance is not None and tolerance <= 1e-6):
        return Effort(True, tolerance or NEWTON.tolerance, 1e-8, 2 * landscape.size + 100, 1e-10, 0.4, 1e-7, 200)
    rough = tolerance or (LOOSE if precise else LOOSE_SINGLE)
    return Effort(False, rough, 0.02, 4 if rough < LOOSE_SINGLE else 2, 0.02, 0.25, 1e-4, 150)


class FixedNorm:
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
        self.at = at
        self.landscape, self.penalty, self.to, self.bounds = landscape, penalty, to, bounds
        self.through_folds, self.effort = through_folds, effort_for(landscape, tolerance)
        self.points: list[StationaryPoint] = []
        self.folds: list[Fold] = []
        self.stop, self.step = "", FIRST if self.effort.second_order else 5 * FIRST
        self.jump: tuple[float, float] | None = None
        self._began, self._before = time.perf_counter(), landscape.counts.copy()
        self._memory = Memory(theta)
        self._ready: deque[StationaryPoint] = deque()
        self._begin(theta, beta, down)

    @classmethod
    def on(cls, landscape: Landscape, penalty: Penalty, branch: Branch) -> FixedNorm:
        """Return a walk that stands at the end of a branch, to solve for points between those it has."""
        walk = cls.__new__(cls)
        walk.landscape, walk.penalty, walk.effort = landscape, penalty, effort_for(landscape)
        walk.points, walk._recent = list(branch.points), list(branch.points[-4:])
        walk._memory, walk._ready, walk._sign = Memory(branch.points[-1].theta), deque(), -1.0
        return walk

    def __iter__(self) -> Iterator[StationaryPoint]:
        """Return itself."""
        return self

    def __next__(self) -> StationaryPoint:
        """Return the next point along the branch."""
        while not self._ready:
            if self.stop:
                raise StopIteration
            self._advance()
        self.points.append(self._ready.popleft())
        return self.points[-1]

    def branch(self) -> Branch:
        """Return the branch so far; the walk can go on afterwards."""
        known = {id(point) for point in self.points}
        stop = "points" if self._ready or not self.stop else self.stop
        found = Branch(
            points=tuple(self.points),
            folds=tuple(fold for fold in self.folds if id(fold.point) in known),
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
        self._sign = -1.0
        first = self._solve(theta, rho, beta, None, iterations=20 * self.effort.iterations, care=self._care(ROUGH))
        if first is None:
            raise self._refusal(theta, beta)
        if down is None:
            down = (self.to - first.beta) * curve.beta_velocity(first) <= 0
        self._sign = -1.0 if down else 1.0
        self._last, self._first_norm = first if down else first.reversed(), rho
        self._recent: list[StationaryPoint] = [self._last]
        self._ready.append(self._last)

        low, high = self.bounds
        if not low * (1 - 1e-6) <= first.beta <= high * (1 + 1e-6):
            self.stop = "range"

    def _refusal(self, theta: Tensor, beta: float) -> SpinodalError:
        residual = float(Regularised(self.landscape, beta, self.penalty).value_and_gradient(theta)[1].norm())
        return SpinodalError(
            got=f"a start whose residual ||grad L|| is {residual:.2e}, and no minimum of E was found on its sphere",
            allowed="a start near a stationary point of L is allowed",
            do="start from spinodal.minimise(...)",
        )

    # -- one step ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take one step, halved until it stays on the branch, and keep what lies in it."""
        last, jumped = self._last, False
        t = curve.place(last)
        while self.step >= self.effort.shortest:
            rho = math.exp(t + self._sign * self.step)
            spent = self.landscape.counts.gradient_evaluations
            guess = self._predict(math.log(rho))
            point = self._solve(guess, rho, last.beta, self._change_up_to(math.log(rho)))
            if point is not None:
                strayed = float((point.theta - guess).norm()) / float((point.theta - last.theta).norm() or 1.0)
                jumped = self._deviation(last, point) > self.effort.deviation
                if self._is_close(last, point, strayed) and not jumped:
                    self._grow(last, point, strayed, self.landscape.counts.gradient_evaluations - spent)
                    self._keep(point)
                    return
            self.step *= 0.5
            self._memory = Memory(last.theta)
        self.stop = "jump" if jumped else "stalled"
        self.jump = (last.norm_squared, rho) if jumped else None

    def _predict(self, t: float) -> Tensor:
        """Extrapolate from the last points: by their velocities where these are exact."""
        recent = self._recent
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

    def _deviation(self, a: StationaryPoint, b: StationaryPoint) -> float:
        """Return how far E is from the integral of `-beta drho`, relative to it."""
        noise = 10 * torch.finfo(self.landscape.dtype).eps * (1 + abs(a.error))
        moved = max(a.beta, b.beta) * abs(b.norm_squared - a.norm_squared)
        return max(abs(discrepancy(a, b)) - noise, 0.0) / moved

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
            point = _sloped((*self._recent[-2:], point))
        fold = self._fold(last, point) if last.beta_rate * point.beta_rate < 0 else None
        if fold is not None and not self._is_extreme(fold, last, point):
            fold, point = None, _unturned(last, point)
        path = [last, point] if fold is None else [last, fold.point, point]
        for a, b in pairwise(path):
            level = self._crossed(a, b)
            self._ready.extend(
                self.between(a, b, beta, FINE) for beta in self._asked(a.beta, b.beta if level is None else level)
            )
            if level is not None:
                self._finish(a, b, level)
                return
            if fold is not None and b is fold.point:
                self.folds.append(fold)
                if not self.through_folds:
                    self.stop = "fold"
                    self._ready.append(b)
                    return
            self._ready.append(b)
        self._last = point
        self._recent = [*self._recent[-3:], point]
        if not 1 / FAR < point.norm_squared / self._first_norm < FAR:
            self.stop = "norm"

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

    def _asked(self, a: float, b: float) -> list[float]:
        return sorted((beta for beta in self.at if min(a, b) < beta < max(a, b)), reverse=a > b)

    def _finish(self, a: StationaryPoint, b: StationaryPoint, level: float) -> None:
        """Solve where beta has a value between those of two points, and end there."""
        self._ready.append(self.between(a, b, level))
        self.stop = "reached" if level == self.to else "range"

    def between(self, a: StationaryPoint, b: StationaryPoint, level: float, care: float = 1.0) -> StationaryPoint:
        """Return the point of the branch between two others at which beta has a value, or the nearest one found.

        `care` is a factor on the tolerance: where L is what is wanted, whose error is of second order, there is no need.
        """
        close = (1e-12 if self.effort.second_order else self.effort.tolerance) * level
        best = min(a, b, key=lambda point: abs(point.beta - level))
        for _ in range(POLISHES):
            if abs(best.beta - level) <= close:
                break
            found = self._inside(a, b, curve.where_level(a, b, level), care)
            if found is None:
                break
            a, b = (a, found) if (a.beta - level) * (found.beta - level) <= 0 else (found, b)
            best = min(best, found, key=lambda point: abs(point.beta - level))
        return best

    def solve(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the point of the branch at `beta` that lies between the same folds as a point of it; None beyond them."""
        place = next((k for k, other in enumerate(self.points) if other is point), None)
        if place is None:
            return None
        for way in (self.points[place:], self.points[place::-1]):
            for a, b in pairwise(way):
                if (b.beta - a.beta) * (way[1].beta - way[0].beta) < 0:
                    break  # a fold: beta turns back
                if (a.beta - beta) * (b.beta - beta) <= 0:
                    return self.between(a, b, beta)
        return None

    def _fold(self, a: StationaryPoint, b: StationaryPoint) -> Fold:
        """Solve for `d beta / d rho = 0` between two points at which it differs in sign, by real points."""
        before, after, side = a, b, "upper" if a.beta_rate > 0 else "lower"
        best, count = min(a, b, key=_steepness), 0
        loose = self.effort.reads_slopes_from_betas  # then the ends are not precise enough to be the fold
        while count < POLISHES and (_steepness(best) > self.effort.flat or (loose and count == 0)):
            count += 1
            found = self._inside(a, b, curve.where_flat(a, b), FINE)
            if found is None:
                break
            a, b = (a, found) if a.beta_rate * found.beta_rate <= 0 else (found, b)
            best = found if loose else min(best, found, key=_steepness)
        polished = _steepness(best) <= self.effort.flat
        return self._fold_record(best, before, after, side, (a, b), polished, count)

    def _fold_record(
        self,
        point: StationaryPoint,
        before: StationaryPoint,
        after: StationaryPoint,
        side: str,
        ends: tuple[StationaryPoint, StationaryPoint],
        polished: bool,
        count: int,
    ) -> Fold:
        offset, mode = self.penalty.offset(point.theta), point.tangent / float(point.tangent.norm())
        product = Regularised(self.landscape, point.beta, self.penalty).hessian_operator(point.theta)
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
        )

    def _inside(self, a: StationaryPoint, b: StationaryPoint, t: float, care: float) -> StationaryPoint | None:
        """Return the constrained minimum at a place between two points, or None where it is on no branch with them."""
        if t in (curve.place(a), curve.place(b)):
            return None
        guess = curve.theta_between(a, b, t) if self.effort.second_order else self._through_neighbours(a, b, t)
        point = self._solve(
            guess, math.exp(t), 0.5 * (a.beta + b.beta), lambda theta: curve.velocity_between(a, b, t), care=self._care(care)
        )
        if point is None or self._deviation(a, point) > self.effort.deviation:
            return None
        return _sloped((a, b, point)) if self.effort.reads_slopes_from_betas else point

    def _care(self, factor: float) -> float:
        """Return a factor on the tolerance of L-BFGS; Newton's is always to rounding."""
        return 1.0 if self.effort.second_order else factor

    def _through_neighbours(self, a: StationaryPoint, b: StationaryPoint, t: float) -> Tensor:
        pool = {point.norm_squared: point for point in (*self._recent, a, b)}
        return curve.theta_through(sorted(pool.values(), key=lambda point: abs(curve.place(point) - t))[:3], t)

    def _change_up_to(self, t: float) -> Change:
        """Return how theta changes at t by the difference to the last points."""
        return lambda theta: curve.velocity_through(self._recent[-2:], theta, t)

    # -- one point --------------------------------------------------------------------------

    def _solve(
        self, guess: Tensor, rho: float, beta: float, change: Change | None, iterations: int = 0, care: float = 1.0
    ) -> StationaryPoint | None:
        """Return the constrained minimum near a guess, or None where none was found with beta > 0.

        `care` is a factor on the tolerance.
        """
        sphere = Sphere(self.landscape, self.penalty, rho, beta)
        solution = self._minimised(sphere, guess, iterations or self.effort.iterations, care)
        if solution is None or not sphere.beta_at(solution.theta) > 0:
            return None
        local = self._slope(sphere, solution, change)
        if local.escape is not None and self.effort.second_order:  # a saddle on the sphere: leave it, either way
            pushed = sphere.theta(solution.theta) + 1e-2 * sphere.radius * local.escape / float(local.escape.norm())
            solution = self._minimised(sphere, pushed, iterations or self.effort.iterations, care)
            if solution is None or not sphere.beta_at(solution.theta) > 0:
                return None
            local = self._slope(sphere, solution, change)
        return self._point(sphere, solution, local)

    def _minimised(self, sphere: Sphere, guess: Tensor, iterations: int, care: float) -> Solution | None:
        if not bool(torch.isfinite(guess).all()):
            return None
        solution = sphere.minimise(
            guess,
            tolerance=self.effort.tolerance * care,
            second_order=self.effort.second_order,
            memory=self._memory,
            iterations=iterations,
        )
        return solution if solution.stop in CONVERGED else None

    def _slope(self, sphere: Sphere, solution: Solution, change: Change | None) -> Slope:
        """Return the slope, from scratch where it is to be exact, else by improving what neighbours say."""
        theta, beta = sphere.theta(solution.theta), sphere.beta_at(solution.theta)
        product = Regularised(self.landscape, beta, self.penalty).hessian_operator(theta)
        known = None if change is None or self.effort.second_order else change(theta) / sphere.norm_squared
        most = self.effort.products * (UNAIDED if known is None and not self.effort.second_order else 1)
        offset = self.penalty.offset(theta)
        return slope(product, offset, guess=known, scale=2 * beta, tolerance=self.effort.slope, most=most)

    def _point(self, sphere: Sphere, solution: Solution, local: Slope) -> StationaryPoint:
        p = solution.theta
        theta, beta, (error, gradient) = sphere.theta(p), sphere.beta_at(p), sphere.evaluate(p)
        length = float(local.theta_rate.norm())
        index, exact, margin, zero_modes = self._stability(theta, beta, local)
        return StationaryPoint(
            theta=theta,
            beta=beta,
            error=error,
            loss=error + beta * sphere.norm_squared,
            norm_squared=sphere.norm_squared,
            residual=float((gradient + 2 * beta * self.penalty.offset(theta)).norm()),
            index=index,
            index_is_exact=exact,
            margin=margin,
            zero_modes=zero_modes,
            tangent=local.theta_rate * (self._sign / length),
            beta_rate=local.beta_rate * self._sign / length,
            norm_rate=self._sign / length,
        )

    def _stability(self, theta: Tensor, beta: float, local: Slope) -> tuple[int, bool, float, int | None]:
        """Return index, whether it is exact, margin and zero modes: of the whole spectrum, or seen along the branch alone."""
        curvature = -local.beta_rate / float(local.theta_rate.norm()) ** 2
        negative = int(curvature < -ALONG_NEGATIVE * 2 * beta)
        if self.landscape.size > WHOLE or not self.effort.second_order:
            return negative, False, math.nan, None
        basis = HessianOperator(Regularised(self.landscape, beta, self.penalty), theta).eigenbasis(vectors=False)
        return basis.index, True, basis.margin, basis.zero_modes


def walk_fixed_norm(
    landscape: Landscape,
    theta: Tensor,
    beta: float,
    *,
    to: float,
    through_folds: bool = True,
    penalty: Penalty | None = None,
    bounds: tuple[float, float],
    points: int = 2000,
    tolerance: float | None = None,
    on_point: Callable[[StationaryPoint], None] = lambda point: None,
    down: bool | None = None,
) -> Branch:
    """Walk a branch at fixed norm to its end, or as many points as are asked for.

    Parameters are those of `FixedNorm`, and

    points : int
        Most points. Default 2000.
    on_point : callable, optional
        Told of every point as it is found.

    Examples
    --------
    One parameter, `E = (1 - x^2)^2`, on whose sphere of two points nothing is left to minimise: `beta = 2 (1 - x^2)`
    falls as x grows.

    >>> class One(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.x = torch.nn.Parameter(torch.tensor(0.5))
    >>> E = Landscape(One(), lambda model, batch: (1 - model.x**2) ** 2, None)
    >>> branch = walk_fixed_norm(E, E.initial, 1.5, to=0.5, bounds=(0.5, 1.9))
    >>> round(float(branch.points[-1].theta), 9), branch.stop, branch.folds
    (0.866025404, 'reached', ())
    """
    walk = FixedNorm(
        landscape, landscape.vector(theta), positive_beta(beta), to=to, bounds=bounds, penalty=penalty or Penalty(),
        through_folds=through_folds, tolerance=tolerance, down=down,
    )  # fmt: skip
    for point in islice(walk, points):
        on_point(point)
    return walk.branch()


def _sloped(points: Sequence[StationaryPoint]) -> StationaryPoint:
    """Return the last of two or three points with `d beta / d rho` from the parabola through them.

    Where points are loosely minimised, that tells more than the curvature along a loosely known direction.
    """
    rho, beta = (np.array([getattr(point, name) for point in points]) for name in ("norm_squared", "beta"))
    slope = np.polynomial.Polynomial.fit(np.log(rho), beta, len(points) - 1).deriv()(math.log(rho[-1])) / rho[-1]
    return replace(points[-1], beta_rate=points[-1].norm_rate * float(slope))


def _unturned(a: StationaryPoint, b: StationaryPoint) -> StationaryPoint:
    """Return the second of two points with the slope of beta that lies between them, in place of a rough one."""
    return replace(b, beta_rate=b.norm_rate * (b.beta - a.beta) / (b.norm_squared - a.norm_squared))


def _steepness(point: StationaryPoint) -> float:
    """Return `|dlog beta / dlog rho|`."""
    return abs(curve.beta_velocity(point)) / point.beta


def _bent_twice(a: StationaryPoint, b: StationaryPoint) -> bool:
    """Tell whether beta falls between two points while it rises at both, or the other way: two folds lie between."""
    return a.beta_rate * b.beta_rate > 0 and (b.beta - a.beta) * a.beta_rate < 0
