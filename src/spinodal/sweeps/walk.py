"""Makes points on a branch of minima, each from an earlier one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import BRIEF, CAREFUL, LOOSE_SHARED, PATIENT, SHARED
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.landmark import price
from spinodal.minima.minimise import Local, Minimum, solve
from spinodal.minima.solution import Departure
from spinodal.minima.solver import Solver, solver_named
from spinodal.observe import Observation
from spinodal.sweeps.landmarks import Landmarks
from spinodal.sweeps.point import Point
from spinodal.sweeps.recorder import Forgetful, Recorder
from spinodal.sweeps.request import Request

__all__ = ["Forgetful", "Point", "Recorder", "Walker"]

TURNS = 4  # most searches on the way that are given up, one after the other
LOOSE = 30.0  # how much more loosely first-order solvers minimise between transitions
LOOSE_SINGLE = 2.0  # the same of large networks in single precision


class Walker:
    """Computes points; every point it makes goes through the recorder, known by its request.

    What a request gives depends only on the request, which names the point that it starts from and the part of the work
    that asks. A walk whose recorder knows some of the answers, from a run that was killed or from workers that went ahead,
    is the undisturbed walk.

    Parameters
    ----------
    landscape, control
    observe : callable theta -> Observation
    solver : str or Solver
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
        solver: str | Solver,
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
        self.landmarks = Landmarks(landscape, self.control, self.solver, self.points)

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
            factors = self.landmarks.made(theta) if affords_glimpses_only(self.landscape) else None
            few = self.landmarks.are_few
            tolerance = self._looseness(travelling=True) * self.accuracy if few else self.tolerance
            minimum, local = solve(
                self._loss(beta),
                theta,
                solver=self.solver,
                tolerance=tolerance,
                factors=factors,
                patience=BRIEF if few else math.inf,
            )
            return minimum.charged(counts), local

        found = self._point("find", beta, None, make)
        return self.finish(found, travelling=True) if found.is_underway else found

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
        solvers minimise more loosely while `travelling`, between transitions; where Hessians are shared, a search that goes
        far is given up then, for one that begins there.
        """
        tolerance = self._looseness(travelling) * self.accuracy
        reach = float(displacement.norm())
        radius = max(2.0 * reach, 1e-4 * (1.0 + point.observation.norm))

        def make() -> tuple[Minimum, Local | None]:
            factors, price = self.landmarks.bought(point)
            minimum, local = solve(
                self._loss(beta),
                point.minimum.theta + displacement,
                solver=self.solver,
                tolerance=tolerance,
                radius=radius,
                landmark=self.landmarks.at(point),
                factors=factors,
                has_left=has_left,
                hints=[point.tangent],
                on_the_way=travelling,
                patience=BRIEF if travelling and self.landmarks.are_few else math.inf,
            )
            return minimum.charged(Counts(passes=price if local else 0)), local

        found = self._point("follow", beta, point, make)
        return self.finish(found, travelling=travelling) if found.is_underway else found

    def reach(self, point: Point, beta: float, start: Callable[[], Tensor], *, careful: bool = True) -> Point:
        """Minimise at another beta from a start that is known to lie near, if asked as carefully as at the end of a branch.

        `start` is only called when the point is not recorded.
        """
        looseness = self._looseness(travelling=False) if careful else 1.0
        tolerance = looseness * self.accuracy

        def make() -> tuple[Minimum, Local | None]:
            theta = start()
            factors = self.landmarks.made(theta)
            return solve(
                self._loss(beta), theta, solver=self.solver.name, tolerance=tolerance, factors=factors, on_the_way=not careful
            )

        return self._point("reach", beta, point, make)

    def finish(self, point: Point, *, travelling: bool = False) -> Point:
        """Return the minimum that a search given up would have reached; `travelling`, as loosely minimised as on the way."""
        for turn in count():
            if not point.given_up:
                break
            patience = (PATIENT if point.is_underway else BRIEF) if travelling and turn < TURNS else math.inf
            point = self._finished(point, travelling, patience)
        return point

    def _finished(self, point: Point, travelling: bool, patience: float) -> Point:
        """Return where a search from one given up leads, which may be given up again."""
        spent = Counts(parameters=self.landscape.size)
        if self.solver.is_dense and (point.is_underway or not self.landmarks.are_kept):
            spent.hessians, spent.passes = 1, price(self.landscape)  # of the landmark there, see `_remade`

        def make() -> tuple[Minimum, Local | None]:
            minimum, local = solve(
                self._loss(point.beta),
                point.minimum.theta,
                solver=self.solver,
                tolerance=self._looseness(travelling=travelling) * self.accuracy if self.landmarks.are_few else self.tolerance,
                radius=0.1,
                landmark=self.landmarks.at(point),
                factors=self.landmarks.factors(point),
                patience=patience,
            )
            return minimum.charged(spent), local

        return self._point("finish", point.beta, point, make)

    def noted(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a note, made and recorded if it is not there yet, with what it cost added to what was spent."""

        def counted() -> dict[str, Any]:
            with self.landscape.counting() as spent:
                made = make()
            return made | {"counts": vars(spent)}

        note = self.recorder.note(name, counted)
        self.spent = self.spent + Counts(**note["counts"])
        return note

    @property
    def accuracy(self) -> float:
        """Return the relative residual that points are minimised to: the one asked for, or what the solver and the size say."""
        least = SHARED if self.tolerance is None and self.landmarks.are_few else 0.0
        return max(self.solver.tolerance_in(self.landscape.dtype, self.tolerance), least)

    def _looseness(self, travelling: bool) -> float:
        """Return a factor on the tolerance: between transitions less will do; at one, of large networks more is needed."""
        if self.solver.sees_kinks:
            return LOOSE_SHARED if travelling and self.tolerance is None and self.landmarks.are_few else 1.0
        if affords_glimpses_only(self.landscape):
            return LOOSE_SINGLE if travelling else CAREFUL
        return LOOSE if travelling and self.landscape.dtype == torch.float64 else 1.0

    def lineage(self, point: Point) -> tuple[Point, ...]:
        """Return a point with all that its landmark can be made of again: what another walker has to know to follow it."""
        return self.landmarks.lineage(point)

    def _loss(self, beta: float) -> Regularised:
        return Regularised(self.landscape, beta, self.control)

    def _point(self, verb: str, beta: float, origin: Point | None, make: Callable[[], tuple[Minimum, Local | None]]) -> Point:
        index, request = self._next, self._request(verb, beta, origin)
        point = self.recorder.recall(request, index)
        if point is None:
            minimum, local = make()
            point = self._described(request, index, origin, minimum, local)
            if local is not None and local.landmark is not None:
                self.landmarks.keep(index, local.landmark)
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
            tangent = torch.zeros_like(force) if local is None else local.tangent
            margin_slope = local.margin_slope(tangent) if local is not None and self.solver.sees_kinks else 0.0
        return Point(
            index=index,
            origin=None if origin is None else origin.index,
            minimum=minimum.charged(spent),
            observation=self.observe(minimum.theta),
            tangent=tangent,
            norm_slope=float(force @ tangent),
            margin_slope=margin_slope,
            speed=float(tangent.norm()),
            reference=self.control.axis.reference,
            key=request.key,
        )
