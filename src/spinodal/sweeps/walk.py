"""Points on a branch of minima, each found from an earlier one, and the geometry that leads on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.kronecker import Kronecker, kronecker
from spinodal.minima.landmark import Landmark, price
from spinodal.minima.local import near
from spinodal.minima.minimise import SECOND_ORDER, Local, Minimum, solve, tolerance_of
from spinodal.minima.solution import Departure
from spinodal.observe import Observation

OWN_HESSIANS = 800  # parameters up to which no landmark serves
LEAST_KEPT, KEPT_BYTES = 6, 2**29  # landmarks that are kept, and what their factors may take
LOOSE = 30.0  # how much more loosely first-order solvers minimise between transitions
LOOSE_SINGLE = 2.0  # the same of large networks in single precision
CAREFUL = 0.1  # the same at the end of a branch, beyond which a search may stop where there is no minimum


@dataclass(frozen=True)
class Point:
    """A minimum with what is needed to step on from it and to describe it.

    Attributes
    ----------
    index : int
        Place in the journal; `origin` is the index of the point it was followed from (or None).
    minimum : Minimum
    observation : Observation
    tangent : Tensor, shape (n,)
        `dtheta/dbeta = -(Hess L)^+ 2 (theta - centre)` along the branch.
    norm_slope : float
        `d||theta - centre||^2 / dbeta = d2L/dbeta2 <= 0`.
    margin_slope : float
        `d margin / dbeta` along the branch.
    speed : float
        `||dtheta/dbeta||`, the length of the tangent, which a record keeps; NaN where it is not known.
    """

    index: int
    origin: int | None
    minimum: Minimum
    observation: Observation
    tangent: Tensor
    norm_slope: float
    margin_slope: float
    speed: float = math.nan

    @property
    def beta(self) -> float:
        """Return beta; PyTorch's `weight_decay` is twice this."""
        return self.minimum.beta

    @property
    def left(self) -> bool:
        """Tell whether the search for this point was given up because it had left the branch."""
        return self.minimum.stop == "left"

    @property
    def error(self) -> float:
        """Return E."""
        return self.minimum.error

    @property
    def norm_squared(self) -> float:
        """Return `||theta - centre||^2` over the penalised parameters."""
        return self.observation.distance**2

    @property
    def beta_rate(self) -> float:
        """Return `dbeta/ds`: a walk is described by beta itself."""
        return 1.0

    @property
    def norm_rate(self) -> float:
        """Return `d||theta - centre||^2/ds`."""
        return self.norm_slope

    @property
    def tangent_curvature(self) -> float:
        """Return `t . Hess L t / t . t` along the tangent t of the branch, which the smallest eigenvalue cannot exceed.

        At a fold, and at a branch point approached along the branch that ends there, the tangent turns into the
        mode that becomes soft, so both vanish together. Along the trunk of a pitchfork, which goes on, it does not.
        """
        return -self.norm_slope / max(float(self.tangent @ self.tangent), 1e-300)

    @property
    def error_slope(self) -> float:
        """Return `dE/dbeta = -beta d||theta - centre||^2 / dbeta` (envelope theorem)."""
        return -self.beta * self.norm_slope


class Recorder(Protocol):
    """Where points are kept, and recalled from when an interrupted computation is repeated."""

    def recall(self, index: int, beta: float, origin: int | None) -> Point | None:
        """Return the recorded point of this request, or None if it was not computed yet."""
        ...

    def keep(self, point: Point) -> None:
        """Record a point before the next one is started."""
        ...

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        ...

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, `now` of them in this process."""
        ...


class Forgetful:
    """A recorder that keeps nothing."""

    def recall(self, index: int, beta: float, origin: int | None) -> Point | None:
        """Return None: nothing was recorded."""
        return None

    def keep(self, point: Point) -> None:
        """Do nothing."""

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make the fact."""
        return make()

    def seconds(self, now: float) -> float:
        """Return the seconds of this process."""
        return now


class Walker:
    """Computes points one after the other; every point it makes goes through the recorder.

    The result of a request depends only on the request and on the points before it, so repeating a
    walk with a recorder that recalls its first part gives the same points as an undisturbed walk.
    """

    def __init__(
        self,
        landscape: Landscape,
        penalty: Penalty,
        observe: Callable[[Tensor], Observation],
        *,
        solver: str,
        tolerance: float | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.landscape, self.penalty, self.observe = landscape, penalty, observe
        self.solver, self.tolerance = solver, tolerance
        self.recorder: Recorder = recorder or Forgetful()
        self.points: list[Point] = []
        self.spent = Counts(parameters=landscape.size)
        self._landmarks: dict[int, Landmark | None] = {}
        self._kronecker: dict[int, Kronecker | None] = {}
        self._followed: int | None = None  # origin of the latest point: its factors are at hand

    def find(self, beta: float, start: Callable[[], tuple[Tensor, Counts]]) -> Point:
        """Minimise from a fresh start; `start` is only called when the point is not recorded."""

        def make() -> tuple[Minimum, Local | None]:
            theta, counts = start()
            factors = kronecker(self.landscape, theta) if affords_glimpses_only(self.landscape) else None
            minimum, local = solve(self._loss(beta), theta, solver=self.solver, tolerance=self.tolerance, factors=factors)
            return _charge(minimum, counts), local

        return self._point(beta, None, make)

    def follow(
        self,
        point: Point,
        beta: float,
        displacement: Tensor,
        has_left: Departure | None = None,
        *,
        travelling: bool = False,
    ) -> Point:
        """Minimise at another beta from `point.theta + displacement`, staying near if that is possible.

        Where `has_left` tells that it is not, the search may be given up; see `finish`. First-order
        solvers minimise more loosely while `travelling`, between transitions.
        """
        tolerance = self._looseness(travelling) * tolerance_of(self.solver, self.landscape.dtype, self.tolerance)
        reach = float(displacement.norm())
        radius = max(2.0 * reach, 1e-4 * (1.0 + point.observation.norm))

        def make() -> tuple[Minimum, Local | None]:
            return solve(
                self._loss(beta),
                point.minimum.theta + displacement,
                solver=self.solver,
                tolerance=tolerance,
                radius=radius,
                landmark=self._landmark(point),
                factors=self._factors(point),
                has_left=has_left,
                hints=[point.tangent],
                on_the_way=travelling,
            )

        return self._point(beta, point.index, make)

    def finish(self, point: Point) -> Point:
        """Return the minimum that a search given up would have reached."""
        if not point.left:
            return point
        spent = Counts(parameters=self.landscape.size)
        if self.solver == "newton":
            spent.hessians, spent.passes = 1, price(self.landscape)  # of the landmark there, see `_remade`

        def make() -> tuple[Minimum, Local | None]:
            minimum, local = solve(
                self._loss(point.beta),
                point.minimum.theta,
                solver=self.solver,
                tolerance=self.tolerance,
                radius=0.1,
                landmark=self._landmark(point),
                factors=self._factors(point),
            )
            return _charge(minimum, spent), local

        return self._point(point.beta, point.index, make)

    def _looseness(self, travelling: bool) -> float:
        """Return a factor on the tolerance: between transitions less will do; at one, of large networks more is needed."""
        if self.solver in SECOND_ORDER:
            return 1.0
        if affords_glimpses_only(self.landscape):
            return LOOSE_SINGLE if travelling else CAREFUL
        return LOOSE if travelling and self.landscape.dtype == torch.float64 else 1.0

    def _loss(self, beta: float) -> Regularised:
        return Regularised(self.landscape, beta, self.penalty)

    def _point(self, beta: float, origin: int | None, make: Callable[[], tuple[Minimum, Local | None]]) -> Point:
        index = len(self.points)
        point = self.recorder.recall(index, beta, origin)
        if point is None:
            minimum, local = make()
            point = self._describe(index, origin, minimum, local)
            if local is not None and local.landmark is not None:
                self._landmarks[index] = local.landmark
            self.recorder.keep(point)
        else:
            point = self._moved(point)
        self.points.append(point)
        self._followed = origin
        self.spent = self.spent + point.minimum.stats
        return point

    def _moved(self, point: Point) -> Point:
        """Return a recalled point with its tensors where the landscape computes."""
        theta = point.minimum.theta.to(self.landscape.device)
        return replace(point, minimum=replace(point.minimum, theta=theta), tangent=point.tangent.to(theta.device))

    def _describe(self, index: int, origin: int | None, minimum: Minimum, local: Local | None) -> Point:
        """Compute tangent and slopes at a minimum, and observe the model there."""
        before = self.landscape.counts.copy()
        offset = self.penalty.offset(minimum.theta)
        tangent, margin_slope = torch.zeros_like(offset), 0.0
        if local is not None:
            tangent = local.tangent
            if self.solver in SECOND_ORDER:
                margin_slope = self._margin_slope(minimum.theta, tangent, local.margin.mode)
        return Point(
            index=index,
            origin=origin,
            minimum=_charge(minimum, self.landscape.counts - before),
            observation=self.observe(minimum.theta),
            tangent=tangent,
            norm_slope=2.0 * float(offset @ tangent),
            margin_slope=margin_slope,
            speed=float(tangent.norm()),
        )

    def _margin_slope(self, theta: Tensor, tangent: Tensor, mode: Tensor) -> float:
        """Return `2 |mode|^2 + D^3 E [mode, mode, tangent]` by a central difference of Hessian products."""
        speed = float(tangent.norm())
        penalised = 2.0 * float(mode @ (self.penalty.diagonal(mode) * mode))
        if speed == 0.0 or not math.isfinite(speed):
            return penalised
        width = 1e-4 * (1.0 + float(theta.norm()))
        ahead = self.landscape.hessian_product(theta + (width / speed) * tangent, mode)
        behind = self.landscape.hessian_product(theta - (width / speed) * tangent, mode)
        return penalised + float(mode @ (ahead - behind)) * speed / (2.0 * width)

    def _landmark(self, point: Point) -> Landmark | None:
        """Return the landmark of a point, made again, uncounted, if it is not kept any more (or after a resume).

        Small networks have a Hessian of their own at every point: a search in the coordinates of a neighbour's may leap over
        a shallow minimum when it falls.
        """
        if self.solver != "newton" or self.landscape.size <= OWN_HESSIANS:
            return None
        if point.index not in self._landmarks:
            counts = self.landscape.counts.copy()
            self._landmarks[point.index] = self._remade(point)
            self.landscape.counts = counts
        landmark = self._landmarks.pop(point.index)
        self._landmarks[point.index] = landmark  # most recently used last
        most = max(LEAST_KEPT, KEPT_BYTES // (8 * self.landscape.size**2))
        for index in list(self._landmarks)[:-most]:
            del self._landmarks[index]
        return landmark

    def _factors(self, point: Point) -> Kronecker | None:
        """Return the Kronecker factors at a point, for searches without a dense Hessian: a function of its theta alone."""
        if self.solver != "lbfgs":
            return None
        if point.index not in self._kronecker:
            self._kronecker = {point.index: kronecker(self.landscape, point.minimum.theta)}  # large: one is kept
        found = self._kronecker[point.index]
        is_paid = self._followed == point.index and affords_glimpses_only(self.landscape)
        return replace(found, price=0) if found is not None and is_paid else found

    def _remade(self, point: Point) -> Landmark | None:
        """Return the landmark of a point from what the journal holds: from its theta, and from the landmark of its origin."""
        loss, theta = self._loss(point.beta), point.minimum.theta
        origin = None if point.origin is None else self.points[point.origin]
        given = int(origin is not None and origin.left)  # the Hessian at a search that had left, on whose way this was found
        if point.left or point.minimum.stats.hessians > given:
            return Landmark.at(loss, self.landscape.hessian(theta))
        if origin is None:
            return None
        landmark = self._landmark(origin)
        found = None if landmark is None else near(loss, theta, landmark, [origin.tangent])
        return found.landmark if found else landmark


def _charge(minimum: Minimum, counts: Counts) -> Minimum:
    return replace(minimum, stats=minimum.stats + counts)
