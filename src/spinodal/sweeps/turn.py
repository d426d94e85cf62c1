"""The fold at the end of a bracket, passed at fixed norm: along the branch beta rises to there, and falls behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from spinodal.definitions import PASSED
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.landmark import Landmark
from spinodal.minima.lbfgs import Memory, Preconditioned
from spinodal.spectrum.preconditioner import Preconditioner
from spinodal.sweeps.point import Point
from spinodal.sweeps.summit import SHORTER, STEP, THREE, Climb, Place, law_beyond, parabola
from spinodal.sweeps.way import Way

ACCURATE, ROUGHEST = 1e-3, 1e-5  # residual of a place, relative to 2 beta r: a part of the bracket's width, and at most
STEPS = 12  # most steps to beyond the fold, each twice as long as the one before, or shorter where the branch was lost
REACH = 0.05  # of the norm: longest step of a search
BESIDE = 0.5  # of the way from the near end to the fold: how far from it, on both sides, the curve is looked at


@dataclass(frozen=True)
class Turn:
    """Passes the fold ahead of the near end of a bracket, where the margin tells no law.

    A fold's own soft mode has the lowest margin only close by, where others are as soft, as those of unused units, and the
    modes of two may mix. But at fixed `rho = ||theta - centre||^2` that mode is held, and the curve `beta(rho)` goes through
    the fold without noticing (see `Climb`): behind it beta falls, which proves it.

    Parameters
    ----------
    way : Way
    near : Point
        The last minimum before the end of its branch.
    width : float
        Of the bracket, in beta.
    """

    way: Way
    near: Point
    width: float

    @property
    def tolerance(self) -> float:
        """Return the residual of a place, relative to 2 beta r."""
        return min(ACCURATE * self.width / self.way.unit(self.near), ROUGHEST)

    def law(self) -> tuple[float, float] | None:
        """Return the exponent of the curvature along the branch, and how far ahead the fold lies; None where none was passed.

        It is told by the near end and a place half as far from the fold, which is read off places on both sides (see
        `law_beyond`).
        """
        told = self.way.walker.noted(f"turn beyond {self.near.key} within {self.width!r}", self._made)
        return None if told["exponent"] is None else (told["exponent"], told["ahead"])

    def _made(self) -> dict[str, Any]:
        exponent, ahead = self._passed() or (None, None)
        return {"exponent": exponent, "ahead": ahead}

    def _passed(self) -> tuple[float, float] | None:
        near, climb = self.near, self._climb()
        if climb is None:
            return None
        first: Place | None = Place(math.log(near.norm_squared), near.beta, near.error, near.minimum.theta)
        if self.way.criteria.rough and first is not None:
            first = climb.at(first.height, [first], self.tolerance)
        around = None if first is None else self._around(climb, first)
        if first is None or around is None:
            return None
        apart = BESIDE * (first.height - parabola(around)[0])
        beside = [climb.at(first.height + (shift - 1.0 / BESIDE) * apart, around, self.tolerance) for shift in (1.0, 0.0, -1.0)]
        known = [place for place in beside if place is not None]
        if len(known) < len(beside) or any(climb.jumped(*pair) for pair in pairwise(known)):
            return None
        fold, (half, _, behind) = parabola(known)[1], known
        falls = [self.way.sign * (fold - place.beta) for place in (half, behind)]
        return law_beyond(first, half, known, self.way.sign) if falls[1] >= PASSED * falls[0] else None

    def _around(self, climb: Climb, first: Place) -> list[Place] | None:
        """Return places by height of which the last lies beyond the fold; None where none does, or the branch is lost."""
        rate = self.near.tangent * (self.near.norm_squared / self.near.norm_slope)  # d theta / d log rho
        step = self.way.sign * min(self.width * abs(self.near.norm_slope) / self.near.norm_squared, STEP)
        places = [first]
        for _ in range(STEPS):
            ahead = climb.step(places, step, lambda change: change * rate)
            if climb.is_tired:
                return None
            if ahead is None:
                step *= SHORTER
                continue
            places.append(ahead)
            if self.way.sign * (ahead.beta - places[-2].beta) < 0.0:
                break
            step *= 2.0
        else:
            return None
        if len(places) < THREE:
            middle = climb.at(0.5 * (first.height + places[-1].height), places, self.tolerance)
            return None if middle is None else [first, middle, places[-1]]
        return places[-THREE:]

    def _climb(self) -> Climb | None:
        """Return what climbs from the near end; None where rho is not turned, or does not tell."""
        near, walker = self.near, self.way.walker
        if not isinstance(walker.control, Penalty) or near.norm_squared <= 0.0 or near.norm_slope >= 0.0:
            return None
        return Climb(walker.landscape, walker.control, self._memory(), tolerance=self.tolerance)

    def _memory(self) -> Memory:
        """Return what L-BFGS begins with: the coordinates of a Hessian or of Kronecker factors, where the solver takes them."""
        theta, walker = self.near.minimum.theta, self.way.walker
        loss = Regularised(walker.landscape, self.near.beta, walker.control)
        known: Preconditioner | None = None
        if walker.solver.is_dense:
            landmark = walker.landmarks.at(self.near) or Landmark.at(loss, theta, loss.hessian(theta))
            known = None if landmark is None else landmark.factor
        elif (factors := walker.landmarks.factors(self.near)) is not None:
            walker.landscape.ledger.charge(passes=factors.price)
            known = factors.at_beta(loss.unit)
        return Memory(theta) if known is None else Preconditioned(theta, known, REACH * math.sqrt(self.near.norm_squared))
