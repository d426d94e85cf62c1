"""The L2 probe: the minimiser of `E + beta ||theta - target||^2`, walked up in beta until it is the target."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spinodal.definitions import MACROSCOPIC
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import descended
from spinodal.paths.effort import Effort
from spinodal.paths.jump import Jump

FIRST, LAST = (
    1e-3,
    1e2,
)  # beta times the squared distance, over the barrier of the straight line, at which the walk may begin and end
STEP, LONGEST, SHORTEST = 4.0, 16.0, 1.3  # factors in beta: the first one, the largest, and that of a jump's bracket
FAR, NEAR = 0.2, 0.05  # parts of the distance that a step may go before it is halved, and below which the next one is longer
KEPT = 0.04  # part of the distance after which a fall leaves a point
ITERATIONS, RESIDUAL = 20, 1e-2  # of one minimisation, and relative to the pull of the penalty
ARRIVED = 1e-3  # part of the distance from which on the target is the next point


@dataclass
class Walked:
    """The points of a walk, from its start to its target, and E there.

    Attributes
    ----------
    jumps : list of Jump
    left : float
        The distance from the target at which the walk ended and the target was put down as the next point, over the
        distance of the ends.
    """

    points: list[Tensor]
    errors: list[float]
    jumps: list[Jump] = field(default_factory=list)
    left: float = 1.0


@dataclass(frozen=True)
class _Rest:
    """Where a minimisation at one beta came to rest, and the points that it left on its way there."""

    beta: float
    theta: Tensor
    error: float
    trail: list[tuple[Tensor, float]]


class Walk:
    """One walk from a start to a target.

    Parameters
    ----------
    landscape : Landscape
    start, target : Tensor, shape (n,)
    errors : (float, float)
        E at both.
    height : float
        What E rises by on the straight line: the scale of beta.
    effort : Effort
        What the walk may spend.
    """

    def __init__(
        self, landscape: Landscape, start: Tensor, target: Tensor, *, errors: tuple[float, float], height: float, effort: Effort
    ) -> None:
        self.landscape, self.target, self.effort = landscape, target, effort
        self.penalty, self.distance = Penalty(centre=target), float((start - target).norm())
        self.height, self.unit = height, height / self.distance**2
        self.end_error = errors[1]
        self.walked = Walked([start], [errors[0]])

    def run(self) -> Walked:
        """Walk until the target is near or the effort is spent, and put the target down."""
        here = _Rest(FIRST * self.unit / STEP, self.walked.points[0], self.walked.errors[0], [])
        factor = STEP
        while not self._has_arrived(here) and here.beta < LAST * self.unit and not self.effort.is_spent:
            here, factor = self._step(here, factor)
        self.walked.left = self._away(here.theta)
        self.walked.points.append(self.target)
        self.walked.errors.append(self.end_error)
        return self.walked

    def _step(self, here: _Rest, factor: float) -> tuple[_Rest, float]:
        """Go on by a factor in beta, halved on a log scale while the minimiser goes too far; return the next factor too."""
        there = self._settled(here, here.beta * factor)
        while self._gone(here, there) > FAR and factor > SHORTEST and not self.effort.is_spent:
            factor = math.sqrt(factor)
            there = self._settled(here, here.beta * factor)
        gone = self._gone(here, there)
        if gone > FAR:
            self._jumped(here, there)
        self._keep(there)
        return there, min(factor**2, LONGEST) if gone < NEAR else max(factor, STEP if gone > FAR else SHORTEST)

    def _jumped(self, here: _Rest, there: _Rest) -> None:
        """Go the way that the minimisation fell, and report a jump unless E stays what it is, as along a valley of minima."""
        for theta, error in there.trail:
            self.walked.points.append(theta)
            self.walked.errors.append(error)
        met = [here.error, *(error for _, error in there.trail), there.error]
        if max(met) - min(met) >= MACROSCOPIC * self.height:
            away = self._away(here.theta) * self.distance, self._away(there.theta) * self.distance
            self.walked.jumps.append(Jump((here.beta, there.beta), away, (here.error, there.error), max(met), here.theta))

    def _keep(self, there: _Rest) -> None:
        if not torch.equal(there.theta, self.walked.points[-1]):
            self.walked.points.append(there.theta)
            self.walked.errors.append(there.error)

    def _settled(self, here: _Rest, beta: float) -> _Rest:
        """Minimise L at beta from where the walk is."""
        loss = Regularised(self.landscape, beta, self.penalty)
        trail: list[tuple[Tensor, float]] = []

        def stop(theta: Tensor, value: float, gradient: Tensor) -> str | None:
            last = trail[-1][0] if trail else here.theta
            if float((theta - last).norm()) > KEPT * self.distance:
                trail.append((theta, loss.error(value, theta)))
            rested = float(gradient.norm()) <= RESIDUAL * 2.0 * beta * self._away(theta) * self.distance
            return "rested" if rested or self.effort.is_spent else None

        end = descended(loss.value_and_gradient, here.theta, stop, ITERATIONS)
        return _Rest(beta, end.theta, loss.error(end.value, end.theta), trail)

    def _away(self, theta: Tensor) -> float:
        """Return the distance from the target over that of the ends."""
        return float((theta - self.target).norm()) / self.distance

    def _gone(self, here: _Rest, there: _Rest) -> float:
        return float((there.theta - here.theta).norm()) / self.distance

    def _has_arrived(self, here: _Rest) -> bool:
        return self._away(here.theta) <= ARRIVED
