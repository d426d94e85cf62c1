"""Crosses the end of a phase of a large network: to a minimum just before the fold, and to one just behind it that is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from spinodal.definitions import BEYOND_SUMMIT, SMALL_GAP
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Preconditioned
from spinodal.sweeps.bracket import Closed
from spinodal.sweeps.order import Law
from spinodal.sweeps.point import Point
from spinodal.sweeps.summit import Climb, Place, Summit
from spinodal.sweeps.way import Way

APART = 5e-3  # of beta: least distance between points on the way
AGAIN = 3  # brackets beyond the fold in which the branch is looked for, if it goes on there


class Crossing:
    """Closes in on the fold ahead of a point by a climb at fixed norm (see `Climb`).

    Parameters
    ----------
    way : Way
    points : sequence of Point
        Of the branch, in the order walked; the last ones may lie beyond its end, as searches on the way are loose.
    """

    def __init__(self, way: Way, points: Sequence[Point]) -> None:
        self.way, self.points, self.point, self.walker = way, points, points[-1], way.walker
        self._summit: Summit | None = None

    def closed(self) -> Closed | None:
        """Return the ends of the bracket around the fold, or how far on the branch goes; None where that is not known."""
        note = self._noted()
        path = self._path(note["way"], note["errors"], careful=note["fold"] is not None)
        if not path:
            return None
        if note["fold"] is None:
            return Closed(path[-1], None, None, path=tuple(path))
        near, beta = path[-1], note["fold"] * (1.0 + BEYOND_SUMMIT)
        for _ in range(AGAIN):
            far = self.way.follow(near, None, beta)
            if not self.way.continues(near, None, far):
                return Closed(near, None, far, path=tuple(path), law=self._law(note, near))
            near, beta = far, far.beta * (1.0 + self.way.bracket)
            path.append(near)
        return Closed(near, None, None, path=tuple(path))

    def _law(self, note: dict[str, Any], near: Point) -> Law | None:
        """Return how the branch ends if it was followed through the fold, and not found to go on beyond it."""
        is_passed = note.get("exponent") is not None and note["fold"] > near.beta
        return Law(note["exponent"], note["fold"] - near.beta, turned=True) if is_passed else None

    def _path(self, betas: Sequence[float], errors: Sequence[float], *, careful: bool) -> list[Point]:
        """Return the minima on the way as points of the walk, not too close to one another; none if the last is no minimum.

        E follows the integral of beta from each to the next, so nothing jumps between them.
        """
        last = next((point for point in reversed(self.points) if betas and point.beta < betas[-1]), None)
        path = [] if last is None else [last]
        for number, beta in enumerate(betas if path else ()):
            is_near = number == len(betas) - 1
            if is_near or path[-1].beta * (1.0 + APART) < beta < betas[-1] / (1.0 + APART):
                point = self.walker.reach(path[-1], beta, partial(self._theta, number), careful=is_near and careful)
                moved = abs(point.error - errors[number]) > self._most
                if point.minimum.converged and not moved and not point.minimum.margin < 0.0:
                    path.append(point)
                elif is_near:
                    return []
        return path[1:]

    @property
    def _most(self) -> float:
        """Return by how much E may change as a place becomes a minimum of L."""
        return SMALL_GAP * self.way.criteria.error_range

    def _noted(self) -> dict[str, Any]:
        """Return where the fold is and which minima lead there, as recorded, with what that cost added to what was spent."""
        return self.walker.noted(f"fold beyond {self.point.key}", self._made)

    def _made(self) -> dict[str, Any]:
        self._summit = found = self._climbed()
        way = () if found is None else found.way
        return {
            "fold": found and found.fold,
            "exponent": found and found.exponent,
            "way": [place.beta for place in way],
            "errors": [place.error for place in way],
        }

    def _theta(self, number: int) -> Tensor:
        """Return theta of a minimum on the way, climbed to again, uncounted, where the climb was recorded only."""
        if self._summit is None:
            with self.walker.landscape.uncounted():
                self._summit = self._climbed()
        way = () if self._summit is None else self._summit.way
        return way[number].theta if number < len(way) else self.point.minimum.theta

    def _climbed(self) -> Summit | None:
        point, control = self.point, self.walker.control
        factors, price = self.walker.landmarks.bought(point)
        if not isinstance(control, Penalty) or factors is None or point.norm_squared <= 0.0 or point.norm_slope >= 0.0:
            return None
        self.walker.landscape.ledger.charge(passes=price)
        theta, rho = point.minimum.theta, point.norm_squared
        memory = Preconditioned(theta, factors.at_beta(point.beta), 0.3 * (1.0 + float(theta.norm())))
        first = Place(math.log(rho), point.beta, point.error, theta)
        rate = point.tangent * (rho / point.norm_slope)  # d theta / d log rho
        return Climb(self.walker.landscape, control, memory).summit(first, lambda change: change * rate)
