"""The fold in which a phase of a large network ends, climbed at fixed norm, where it is the summit of a smooth curve.

A minimum of L near a fold is soft: a search takes the more steps, the closer it is. At fixed `rho = ||theta - centre||^2` the
soft direction is held, and the curve `beta(rho) = -dE/drho` goes through the fold without noticing (see `FixedNorm`). So the
fold is read off a few constrained minima, and one just before it is a minimum of L, to any residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.definitions import BEFORE_SUMMIT, LEAPT
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory

STEP = 0.08  # in log rho
LEAST, SHORTER = 2e-3, 0.35  # the shortest step, and by what a step is shortened where the constrained minimum jumped
CLOSE = 1e-4  # of beta: a place that is as close to the summit below it is next to it
THREE = 3  # places that tell a summit
MOST = 30  # steps
ROUGH, FINE = 3e-4, 3e-5  # residuals of the climb and of the point before the summit, relative to 2 beta r
ITERATIONS = 200  # of one search, after which the climb is given up


@dataclass(frozen=True)
class Place:
    """A constrained minimum: `log rho`, beta and E there, and theta, shape (n,)."""

    height: float
    beta: float
    error: float
    theta: Tensor


@dataclass(frozen=True)
class Summit:
    """A fold, and a minimum of L just before it.

    Attributes
    ----------
    fold : float
        beta of the fold.
    way : tuple of Place
        Minima on the way there, by rising beta; the last is a part `BEFORE_SUMMIT` of beta before the fold.
    """

    fold: float
    way: tuple[Place, ...]


class Climb:
    """Climbs from a minimum to the fold ahead, norm by norm.

    Parameters
    ----------
    landscape : Landscape
    penalty : Penalty
    memory : Memory
        Of L-BFGS, which passes from one sphere to the next.
    """

    def __init__(self, landscape: Landscape, penalty: Penalty, memory: Memory) -> None:
        self.landscape, self.penalty, self.memory = landscape, penalty, memory

    def summit(self, first: Place, along: Callable[[float], Tensor]) -> Summit | None:
        """Return the fold ahead of a minimum; None where a search fails.

        The minimum may be a loose one that lies beyond the fold: at its norm it is none, but leads there as well. `along` gives
        the change of theta for a change of log rho, at the minimum.
        """
        polished = self._solved(first.theta, first.height, first.beta, ROUGH)
        places = [] if polished is None else self._up(polished, along)
        if len(places) < THREE:
            return None
        top, fold, bend = _parabola(places[-3:])
        last = places[-1]
        is_round = bend < 0.0 and abs(fold - last.beta) <= CLOSE * fold
        height = top + math.sqrt(BEFORE_SUMMIT * fold / -bend) if is_round else last.height
        before = self._at(height, places[-3:], FINE)
        if before is None:
            return None
        lower = (place for place in places if place.height > before.height and place.beta < before.beta)
        way = (*sorted(lower, key=lambda place: place.beta), before)
        return Summit(fold if is_round else before.beta * (1.0 + CLOSE), way)

    def _up(self, first: Place, along: Callable[[float], Tensor]) -> list[Place]:
        """Return places up to one next to the summit, or to where the constrained minimum jumps on the shortest steps."""
        places, step = [first], STEP
        for _ in range(MOST):
            ahead = self._step(places, step, along)
            if ahead is None:
                step *= SHORTER
                if len(places) > 1 and abs(step) * _steepness(places) <= CLOSE * first.beta:
                    break
                continue
            places.append(ahead)
            if len(places) < THREE:
                step = -step if ahead.beta <= first.beta else step  # it began at the summit
                places = places[::-1] if ahead.beta <= first.beta else places
                continue
            top, fold, bend = _parabola(places[-3:])
            if bend < 0.0 and abs(fold - ahead.beta) <= CLOSE * fold:
                break
            step = _next_step(ahead.height - top, bend, step)
        return places

    def _step(self, places: list[Place], step: float, along: Callable[[float], Tensor]) -> Place | None:
        """Return the place a step in log rho below the last one; None where the constrained minimum jumps."""
        last = places[-1]
        height = last.height - step
        guess = _through(places[-3:], height) if len(places) > 1 else last.theta + along(-step)
        moved = math.exp(height) - math.exp(last.height)
        slack = LEAPT * last.beta * abs(moved)
        found = self._solved(guess, height, last.beta, ROUGH, floor=last.error - last.beta * moved - 2.0 * slack)
        if found is None:
            return None
        expected = -0.5 * (last.beta + found.beta) * moved
        return None if abs(found.error - last.error - expected) > slack else found

    def _at(self, height: float, places: list[Place], tolerance: float) -> Place | None:
        """Solve at a norm, guessed by the polynomial through places."""
        nearest = min(places, key=lambda place: abs(place.height - height))
        return self._solved(_through(places, height), height, nearest.beta, tolerance)

    def _solved(self, guess: Tensor, height: float, beta: float, tolerance: float, *, floor: float = -math.inf) -> Place | None:
        sphere = Sphere(self.landscape, self.penalty, math.exp(height), beta)
        found = sphere.minimise(
            guess, tolerance=tolerance, second_order=False, memory=self.memory, iterations=ITERATIONS, floor=floor
        )
        if found.stop not in ("converged", "rounding"):
            return None
        return Place(height, sphere.beta_at(found.theta), found.value, sphere.theta(found.theta))


def _next_step(ahead: float, bend: float, last: float) -> float:
    """Return a step in log rho to where the summit is expected, up or down, none much longer than the last one."""
    most = min(2.0 * abs(last), STEP)
    return most if bend >= 0.0 else math.copysign(min(max(abs(ahead), LEAST), most), ahead)


def _steepness(places: list[Place]) -> float:
    """Return `|dbeta / dlog rho|` between the last two places."""
    a, b = places[-2:]
    return abs((b.beta - a.beta) / (b.height - a.height))


def _through(places: list[Place], height: float) -> Tensor:
    """Return theta at a norm on the polynomial through places, shape (n,)."""
    return sum((weight * place.theta for weight, place in _weights(places, height)), 0.0 * places[0].theta)


def _parabola(places: list[Place]) -> tuple[float, float, float]:
    """Return `log rho` and beta of the top of the parabola through three places, and half its second derivative.

    Examples
    --------
    >>> from types import SimpleNamespace as Seen
    >>> places = [Seen(height=x, beta=2.0 - 3.0 * (x - 0.5) ** 2) for x in (0.0, 0.4, 1.0)]
    >>> [round(value, 9) for value in _parabola(places)]
    [0.5, 2.0, -3.0]
    """
    middle = places[1].height
    bend, slope, level = np.polyfit([place.height - middle for place in places], [place.beta for place in places], 2)
    top = -slope / (2.0 * bend)
    return float(middle + top), float(level + 0.5 * slope * top), float(bend)


def _weights(places: list[Place], height: float) -> list[tuple[float, Place]]:
    """Return the weights of places in the polynomial through them, at a norm."""
    heights = [place.height for place in places]
    return [
        (math.prod((height - other) / (own.height - other) for other in heights if other != own.height), own) for own in places
    ]
