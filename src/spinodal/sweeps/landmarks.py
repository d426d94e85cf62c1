"""What is known of the second order at points of a walk, and serves the searches that begin there: kept, or made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.control import Turned
from spinodal.landscape.objective import Regularised
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.kronecker import Kronecker, kronecker
from spinodal.minima.landmark import Landmark, price
from spinodal.minima.solver import Solver
from spinodal.sweeps.point import Point

OWN_HESSIANS, OWN_PRICE = 800, 400  # parameters, and the gradients that a Hessian costs, up to which no landmark serves
ENOUGH = 5000  # samples that Kronecker factors of a large network are made of
LEAST_KEPT, KEPT_BYTES = 6, 2**29  # landmarks that are kept, and what their factors may take


class Landmarks:
    """Landmarks and Kronecker factors of points.

    Parameters
    ----------
    landscape, control
    solver : Solver
    points : mapping of numbers to Point
        That are known; the walker adds to them.
    """

    def __init__(self, landscape: Landscape, control: Turned, solver: Solver, points: Mapping[int, Point]) -> None:
        self.landscape, self.control, self.solver, self.points = landscape, control, solver, points
        self._kept: dict[int, Landmark | None] = {}
        self._kronecker: dict[int, Kronecker | None] = {}

    def keep(self, index: int, landmark: Landmark) -> None:
        """Keep the landmark of the point of a number."""
        self._kept[index] = landmark

    def lineage(self, point: Point) -> tuple[Point, ...]:
        """Return a point with all that its landmark can be made of again: what another walker has to know to follow it."""
        known = [point]
        while self.are_kept and known[-1].origin is not None:
            known.append(self.points[known[-1].origin])
            if self._has_own_hessian(known[-2]):
                break
        return tuple(known)

    def at(self, point: Point) -> Landmark | None:
        """Return the landmark of a point, made again, uncounted, if it is not kept any more (or after a resume).

        Where Hessians are cheap every point has its own: a search in the coordinates of a neighbour's may leap over a shallow
        minimum when it falls.
        """
        if not self.are_kept:
            return None
        if point.index not in self._kept:
            with self.landscape.uncounted():
                self._kept[point.index] = self._remade(point)
        landmark = self._kept.pop(point.index)
        self._kept[point.index] = landmark  # most recently used last
        most = max(LEAST_KEPT, KEPT_BYTES // (8 * self.landscape.size**2))
        for index in list(self._kept)[:-most]:
            del self._kept[index]
        return landmark

    def factors(self, point: Point) -> Kronecker | None:
        """Return the Kronecker factors at a point, for searches without a dense Hessian: a function of its theta alone."""
        if not self.solver.takes_factors:
            return None
        if point.index not in self._kronecker:
            self._kronecker = {point.index: self.made(point.minimum.theta)}  # large: one is kept
        return self._kronecker[point.index]

    def made(self, theta: Tensor) -> Kronecker | None:
        """Return the Kronecker factors at theta, of large networks from a part of the samples: they are means over them."""
        found = kronecker(self._telling, theta)
        if found is None or self._telling is self.landscape:
            return found
        share = self._telling.batches.total / self.landscape.batches.total
        return replace(found, price=math.ceil(share * found.price))

    @cached_property
    def _telling(self) -> Landscape:
        """Return the landscape of the samples that factors are made of."""
        pieces = self.landscape.batches.total // ENOUGH
        part = self.landscape.part(pieces) if pieces > 1 and affords_glimpses_only(self.landscape) else None
        return part or self.landscape

    def bought(self, point: Point) -> tuple[Kronecker | None, int]:
        """Return the factors at a point, and what is charged where a search from it ends in a point of its own.

        Of large networks many searches begin at one point, and each of those that stay is followed with factors of its own:
        they are charged once for every point, whoever asks in which order.
        """
        factors = self.factors(point)
        if factors is None or not affords_glimpses_only(self.landscape):
            return factors, 0
        return replace(factors, price=0), factors.price

    def _remade(self, point: Point) -> Landmark | None:
        """Return the landmark of a point from what the journal holds: from its theta, and from the landmark of its origin."""
        loss, theta = Regularised(self.landscape, point.beta, self.control), point.minimum.theta
        origin = self._origin(point)
        if self._has_own_hessian(point):
            return Landmark.at(loss, theta, loss.hessian(theta), bend=loss.bend(theta, point.minimum.residual))
        landmark = None if origin is None else self.at(origin)
        return landmark if landmark is None or point.left else landmark.beside(theta, point.minimum.margin)

    @property
    def are_kept(self) -> bool:
        """Tell whether points share Hessians, as one of their own is dear."""
        return self.solver.is_dense and (self.landscape.size > OWN_HESSIANS or price(self.landscape) > OWN_PRICE)

    @property
    def are_few(self) -> bool:
        """Tell whether Hessians are so dear, in a large network, that a walk looks for nothing minor."""
        return self.solver.is_dense and self.landscape.size > OWN_HESSIANS

    def _origin(self, point: Point) -> Point | None:
        return None if point.origin is None else self.points.get(point.origin)

    def _has_own_hessian(self, point: Point) -> bool:
        """Tell whether a Hessian was computed at a point; one was where a search was given up on the way."""
        origin = self._origin(point)
        given = int(origin is not None and origin.is_underway)
        return point.is_underway or point.minimum.stats.hessians > given
