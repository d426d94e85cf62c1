"""Points on a branch of minima, each found from an earlier one, and the geometry that leads on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.kronecker import Kronecker, kronecker
from spinodal.minima.landmark import Landmark, price
from spinodal.minima.local import near
from spinodal.minima.minimise import Local, Minimum, solve
from spinodal.minima.solution import Departure
from spinodal.minima.solver import solver_named
from spinodal.observe import Observation
from spinodal.sweeps.request import Request

OWN_HESSIANS = 800  # parameters up to which no landmark serves
LEAST_KEPT, KEPT_BYTES = 6, 2**29  # landmarks that are kept, and what their factors may take
LOOSE = 30.0  # how much more loosely first-order solvers minimise between transitions
LOOSE_SINGLE = 2.0  # the same of large networks in single precision
CAREFUL = 0.03  # the same at the end of a branch, beyond which a search may stop where there is no minimum


@dataclass(frozen=True)
class Point:
    """A minimum with what is needed to step on from it and to describe it.

    Attributes
    ----------
    index : int
        Number, in the order in which the walk came to it; `origin` is the number of the point it was followed from (or None).
    minimum : Minimum
    observation : Observation
    tangent : Tensor, shape (n,)
        `dtheta/dbeta = -(Hess L)^+ grad C` along the branch, `-(Hess L)^+ 2 (theta - centre)` with the L2 penalty.
    norm_slope : float
        `dC/dbeta = d2L/dbeta2 <= 0`, `d||theta - centre||^2 / dbeta` with the L2 penalty.
    margin_slope : float
        `d margin / dbeta` along the branch.
    speed : float
        `||dtheta/dbeta||`, the length of the tangent, which a record keeps; NaN where it is not known.
    reference : float
        The value of the control at which L is what jumps are measured in (see `Axis.reference`); 0, and so E, unless the
        control may have either sign.
    key : str
        Of the request that it answers (see `Request`); "" where there was none.
    """

    index: int
    origin: int | None
    minimum: Minimum
    observation: Observation
    tangent: Tensor
    norm_slope: float
    margin_slope: float
    speed: float = math.nan
    reference: float = 0.0
    key: str = ""

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
        """Return `C = dL/dbeta`: `||theta - centre||^2` over the penalised parameters with the L2 penalty."""
        return self.observation.turned

    @property
    def height(self) -> float:
        """Return `E + reference C`, in which jumps are measured: E with the L2 penalty."""
        return self.error + self.reference * self.norm_squared

    @property
    def tangent_curvature(self) -> float:
        """Return `t . Hess L t / t . t` along the tangent t of the branch, which the smallest eigenvalue cannot exceed.

        At a fold, and at a branch point approached along the branch that ends there, the tangent turns into the
        mode that becomes soft, so both vanish together. Along the trunk of a pitchfork, which goes on, it does not.
        """
        return -self.norm_slope / max(float(self.tangent @ self.tangent), 1e-300)

    @property
    def error_slope(self) -> float:
        """Return the slope of `height`, `dE/dbeta = -beta d||theta - centre||^2 / dbeta` (envelope theorem)."""
        return -self.drive * self.norm_slope

    @property
    def drive(self) -> float:
        """Return `beta - reference`, by which L exceeds `height` for each unit of C."""
        return self.beta - self.reference


class Recorder(Protocol):
    """Where points are kept, and recalled from when an interrupted computation is repeated, or one that went ahead is met."""

    def recall(self, request: Request, index: int) -> Point | None:
        """Return the recorded point of a request under this number, or None if it was not computed yet."""
        ...

    def keep(self, request: Request, point: Point) -> None:
        """Record a point before what builds on it is started."""
        ...

    def take(self, request: Request, point: Point) -> None:
        """Record a point that was computed ahead, if it is not known; it has its number once the walk comes to it."""
        ...

    def knows(self, name: str) -> bool:
        """Tell whether a fact is recorded."""
        ...

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        ...

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, `now` of them in this process."""
        ...


class Forgetful:
    """A recorder that keeps nothing."""

    def recall(self, request: Request, index: int) -> Point | None:
        """Return None: nothing was recorded."""
        return None

    def keep(self, request: Request, point: Point) -> None:
        """Do nothing."""

    def take(self, request: Request, point: Point) -> None:
        """Do nothing."""

    def knows(self, name: str) -> bool:
        """Return False: nothing was recorded."""
        return False

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make the fact."""
        return make()

    def seconds(self, now: float) -> float:
        """Return the seconds of this process."""
        return now


class Walker:
    """Computes points; every point it makes goes through the recorder, known by its request.

    What a request gives depends only on the request, which names the point that it starts from and the part of the work
    that asks. A walk whose recorder knows some of the answers, from a run that was killed or from workers that went ahead,
    is the undisturbed walk.

    Parameters
    ----------
    landscape, control
    observe : callable theta -> Observation
    solver : str
    tolerance : float, optional
    recorder : Recorder, optional
        Default: one that keeps nothing.
    known : sequence of Point
        Points of another walker, with their numbers, that this one is to follow.
    part : str
        The part of the work that asks (see `within`).
    """

    def __init__(
        self,
        landscape: Landscape,
        control: Control,
        observe: Callable[[Tensor], Observation],
        *,
        solver: str,
        tolerance: float | None = None,
        recorder: Recorder | None = None,
        known: Sequence[Point] = (),
        part: str = "walk",
    ) -> None:
        self.landscape, self.control, self.observe = landscape, control.on(landscape), observe
        self.solver, self.tolerance = solver_named(solver), tolerance
        self.recorder: Recorder = recorder or Forgetful()
        self.points = {point.index: point for point in known}
        self._next = max(self.points, default=-1) + 1
        self.spent = Counts(parameters=landscape.size)
        self._part, self._asked = part, Counter[Request]()
        self._landmarks: dict[int, Landmark | None] = {}
        self._kronecker: dict[int, Kronecker | None] = {}

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Ask for points as a part of the work of its own, which does not depend on what other parts asked before."""
        outer, self._part = self._part, part
        try:
            yield
        finally:
            self._part = outer

    def find(self, beta: float, start: Callable[[], tuple[Tensor, Counts]]) -> Point:
        """Minimise from a fresh start; `start` is only called when the point is not recorded."""

        def make() -> tuple[Minimum, Local | None]:
            theta, counts = start()
            factors = kronecker(self.landscape, theta) if affords_glimpses_only(self.landscape) else None
            minimum, local = solve(self._loss(beta), theta, solver=self.solver.name, tolerance=self.tolerance, factors=factors)
            return _charge(minimum, counts), local

        return self._point("find", beta, None, make)

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
        tolerance = self._looseness(travelling) * self.solver.tolerance_in(self.landscape.dtype, self.tolerance)
        reach = float(displacement.norm())
        radius = max(2.0 * reach, 1e-4 * (1.0 + point.observation.norm))

        def make() -> tuple[Minimum, Local | None]:
            factors, price = self._bought(point)
            minimum, local = solve(
                self._loss(beta),
                point.minimum.theta + displacement,
                solver=self.solver.name,
                tolerance=tolerance,
                radius=radius,
                landmark=self._landmark(point),
                factors=factors,
                has_left=has_left,
                hints=[point.tangent],
                on_the_way=travelling,
            )
            return _charge(minimum, Counts(passes=price if local else 0)), local

        return self._point("follow", beta, point, make)

    def finish(self, point: Point) -> Point:
        """Return the minimum that a search given up would have reached."""
        if not point.left:
            return point
        spent = Counts(parameters=self.landscape.size)
        if self.solver.is_dense:
            spent.hessians, spent.passes = 1, price(self.landscape)  # of the landmark there, see `_remade`

        def make() -> tuple[Minimum, Local | None]:
            minimum, local = solve(
                self._loss(point.beta),
                point.minimum.theta,
                solver=self.solver.name,
                tolerance=self.tolerance,
                radius=0.1,
                landmark=self._landmark(point),
                factors=self._factors(point),
            )
            return _charge(minimum, spent), local

        return self._point("finish", point.beta, point, make)

    def _looseness(self, travelling: bool) -> float:
        """Return a factor on the tolerance: between transitions less will do; at one, of large networks more is needed."""
        if self.solver.sees_kinks:
            return 1.0
        if affords_glimpses_only(self.landscape):
            return LOOSE_SINGLE if travelling else CAREFUL
        return LOOSE if travelling and self.landscape.dtype == torch.float64 else 1.0

    def lineage(self, point: Point) -> tuple[Point, ...]:
        """Return a point with all that its landmark can be made of again: what another walker has to know to follow it."""
        known = [point]
        while self._has_landmarks and known[-1].origin is not None:
            known.append(self.points[known[-1].origin])
            if self._has_own_hessian(known[-2]):
                break
        return tuple(known)

    def _loss(self, beta: float) -> Regularised:
        return Regularised(self.landscape, beta, self.control)

    def _point(self, verb: str, beta: float, origin: Point | None, make: Callable[[], tuple[Minimum, Local | None]]) -> Point:
        index, request = self._next, self._request(verb, beta, origin)
        point = self.recorder.recall(request, index)
        if point is None:
            minimum, local = make()
            point = self._described(request, index, origin, minimum, local)
            if local is not None and local.landmark is not None:
                self._landmarks[index] = local.landmark
            self.recorder.keep(request, point)
        else:
            point = self._moved(point, request, index, origin)
        self.points[index], self._next = point, index + 1
        self.spent = self.spent + point.minimum.stats
        return point

    def _request(self, verb: str, beta: float, origin: Point | None) -> Request:
        """Return what is asked for, told from the same that this part asked before."""
        first = Request(verb, beta, None if origin is None else origin.key, self._part)
        self._asked[first] += 1
        return replace(first, turn=self._asked[first] - 1)

    def _moved(self, point: Point, request: Request, index: int, origin: Point | None) -> Point:
        """Return a recalled point under the numbers of this walk, with its tensors where the landscape computes."""
        theta = point.minimum.theta.to(self.landscape.device)
        return replace(
            point,
            index=index,
            origin=None if origin is None else origin.index,
            minimum=replace(point.minimum, theta=theta),
            tangent=point.tangent.to(theta.device),
            reference=self.control.axis.reference,
            key=request.key,
        )

    def _described(self, request: Request, index: int, origin: Point | None, minimum: Minimum, local: Local | None) -> Point:
        """Compute tangent and slopes at a minimum, and observe the model there."""
        with self.landscape.counting() as spent:
            force = self.control.force(minimum.theta)
            tangent, margin_slope = torch.zeros_like(force), 0.0
            if local is not None:
                tangent = local.tangent
                if self.solver.sees_kinks:
                    margin_slope = self._margin_slope(minimum, tangent, local.margin.mode)
        return Point(
            index=index,
            origin=None if origin is None else origin.index,
            minimum=_charge(minimum, spent),
            observation=self.observe(minimum.theta),
            tangent=tangent,
            norm_slope=float(force @ tangent),
            margin_slope=margin_slope,
            speed=float(tangent.norm()),
            reference=self.control.axis.reference,
            key=request.key,
        )

    def _margin_slope(self, minimum: Minimum, tangent: Tensor, mode: Tensor) -> float:
        """Return `mode . Hess C mode + D^3 L [mode, mode, tangent]` by a central difference of Hessian products."""
        loss, theta = self._loss(minimum.beta), minimum.theta
        speed, stiffening = float(tangent.norm()), loss.stiffening(theta, mode)
        if speed == 0.0 or not math.isfinite(speed):
            return stiffening
        width = 1e-4 * (1.0 + float(theta.norm()))
        ahead = loss.bent_product(theta + (width / speed) * tangent, mode)
        behind = loss.bent_product(theta - (width / speed) * tangent, mode)
        return stiffening + float(mode @ (ahead - behind)) * speed / (2.0 * width)

    def _landmark(self, point: Point) -> Landmark | None:
        """Return the landmark of a point, made again, uncounted, if it is not kept any more (or after a resume).

        Small networks have a Hessian of their own at every point: a search in the coordinates of a neighbour's may leap over
        a shallow minimum when it falls.
        """
        if not self._has_landmarks:
            return None
        if point.index not in self._landmarks:
            with self.landscape.uncounted():
                self._landmarks[point.index] = self._remade(point)
        landmark = self._landmarks.pop(point.index)
        self._landmarks[point.index] = landmark  # most recently used last
        most = max(LEAST_KEPT, KEPT_BYTES // (8 * self.landscape.size**2))
        for index in list(self._landmarks)[:-most]:
            del self._landmarks[index]
        return landmark

    def _factors(self, point: Point) -> Kronecker | None:
        """Return the Kronecker factors at a point, for searches without a dense Hessian: a function of its theta alone."""
        if not self.solver.takes_factors:
            return None
        if point.index not in self._kronecker:
            self._kronecker = {point.index: kronecker(self.landscape, point.minimum.theta)}  # large: one is kept
        return self._kronecker[point.index]

    def _bought(self, point: Point) -> tuple[Kronecker | None, int]:
        """Return the factors at a point, and what is charged where a search from it ends in a point of its own.

        Of large networks many searches begin at one point, and each of those that stay is followed with factors of its own:
        they are charged once for every point, whoever asks in which order.
        """
        factors = self._factors(point)
        if factors is None or not affords_glimpses_only(self.landscape):
            return factors, 0
        return replace(factors, price=0), factors.price

    def _remade(self, point: Point) -> Landmark | None:
        """Return the landmark of a point from what the journal holds: from its theta, and from the landmark of its origin."""
        loss, theta = self._loss(point.beta), point.minimum.theta
        origin = self._origin(point)
        if self._has_own_hessian(point):
            return Landmark.at(loss, loss.hessian(theta))
        if origin is None:
            return None
        landmark = self._landmark(origin)
        found = None if landmark is None else near(loss, theta, landmark, [origin.tangent])
        return found.landmark if found else landmark

    @property
    def _has_landmarks(self) -> bool:
        return self.solver.is_dense and self.landscape.size > OWN_HESSIANS

    def _origin(self, point: Point) -> Point | None:
        return None if point.origin is None else self.points.get(point.origin)

    def _has_own_hessian(self, point: Point) -> bool:
        """Tell whether a Hessian was computed at a point; one was at a search that had left, on whose way it was found."""
        origin = self._origin(point)
        given = int(origin is not None and origin.left)
        return point.left or point.minimum.stats.hessians > given


def _charge(minimum: Minimum, counts: Counts) -> Minimum:
    return replace(minimum, stats=minimum.stats + counts)
