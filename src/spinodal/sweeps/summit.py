"""The fold in which a phase of a large network ends, climbed at fixed norm, where it is the summit of a smooth curve.

A minimum of L near a fold is soft: a search takes the more steps, the closer it is. At fixed `rho = ||theta - centre||^2` the
soft direction is held, and the curve `beta(rho) = -dE/drho` goes through the fold without noticing (see `FixedNorm`). So the
fold is read off a few constrained minima, and one just before it is a minimum of L, to any residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.definitions import BEFORE_SUMMIT, LEAPT, PASSED
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import Memory

STEP = 0.08  # in log rho
LEAST, SHORTER = 2e-3, 0.35  # the shortest step, and by what a step is shortened where the constrained minimum jumped
CLOSE = 1e-4  # of beta: a place that is as close to the summit below it is next to it
BESIDE = 4.0 * LEAST  # in log rho: where the parabola around the highest place tells the summit
HALVED = 3  # times that a step is halved in search of a summit within it
APART = 0.1 * LEAST  # in log rho: places nearer to one another tell nothing new
THREE = 3  # places that tell a summit
MOST, REFINED = 40, 6  # steps up, and places next to the summit
ROUGH, FINE = 3e-4, 3e-5  # residuals of the climb and next to the summit, relative to 2 beta r
ITERATIONS = 100  # of one search
BUDGET = 300  # gradients, after which a climb rests at the place that it has reached


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
    fold : float or None
        beta of the fold; None where the climb rests before it.
    way : tuple of Place
        Minima on the way there, by rising beta; the last is a part `BEFORE_SUMMIT` of beta before the fold.
    over : Place or None
        The first place beyond it, a saddle of L; None where the constrained minimum jumps.
    exponent : float or None
        Of the curvature along the branch (see `law_beyond`), where the fold was passed.
    """

    fold: float | None
    way: tuple[Place, ...]
    over: Place | None = None
    exponent: float | None = None


class Climb:
    """Climbs from a minimum to the fold ahead, norm by norm.

    Parameters
    ----------
    landscape : Landscape
    penalty : Penalty
    memory : Memory
        Of L-BFGS, which passes from one sphere to the next.
    tolerance : float
        Residual of a step's end, relative to 2 beta r.
    """

    def __init__(self, landscape: Landscape, penalty: Penalty, memory: Memory, *, tolerance: float = ROUGH) -> None:
        self.landscape, self.penalty, self.memory, self.tolerance = landscape, penalty, memory, tolerance
        self._begun = landscape.counts.gradient_evaluations

    def summit(self, first: Place, along: Callable[[float], Tensor]) -> Summit | None:
        """Return the fold ahead of a minimum; None where a search fails.

        The minimum may be a loose one that lies beyond the fold: at its norm it is none, but leads there as well. `along` gives
        the change of theta for a change of log rho, at the minimum.
        """
        polished = self._solved(first.theta, first.height, first.beta, ROUGH)
        if polished is None:
            return None
        places, over = self._up(polished, along)
        if len(places) < 2:
            return None
        if over is None and self.is_tired:
            return Summit(None, tuple(places))
        around = self._around(places, over)
        if around is None:  # the constrained minimum jumps next to the last place, before a summit
            before = self.at(places[-1].height, places[-1:], FINE)
            return None if before is None else Summit(before.beta * (1.0 + CLOSE), (*places[:-1], before))
        around = self._closer(around)
        before = self._before(around)
        if before is None:
            return None
        lower = sorted(
            (place for place in places if place.height > before.height and place.beta < before.beta),
            key=lambda place: place.beta,
        )
        fold = max(parabola(around)[1], around[1].beta)
        return Summit(fold, (*lower, before), around[-1], self._exponent(lower, before, around))

    @property
    def is_tired(self) -> bool:
        """Tell a climb that has taken as many gradients as it may."""
        return self.landscape.counts.gradient_evaluations - self._begun > BUDGET

    def _around(self, places: list[Place], over: Place | None) -> list[Place] | None:
        """Return three places around the summit, by falling norm, the middle one the highest; None where none was passed.

        Where the constrained minimum jumps, the summit may lie between the last two places: the last is a saddle then.
        """
        if over is not None:
            return [*places[-2:], over]
        behind, last = places[-2:]
        for _ in range(HALVED):
            middle = self.at(0.5 * (behind.height + last.height), [behind, last], ROUGH)
            if middle is None:
                return None
            if middle.beta > last.beta:
                return [behind, middle, last]
            behind = middle
        return None

    def _before(self, around: list[Place]) -> Place | None:
        """Return a place a little before the summit: of a larger norm than the highest place, and lower."""
        top, fold, bend = parabola(around)
        highest = around[1]
        away = math.sqrt(BEFORE_SUMMIT * fold / -bend) if bend < 0.0 else LEAST
        height = max(top, highest.height) + away
        for _ in range(HALVED):
            before = self.at(height, around, FINE)
            if before is None or before.beta < highest.beta:
                return before
            highest, height = before, height + 2.0 * away
        return None

    def _exponent(self, lower: Sequence[Place], before: Place, around: list[Place]) -> float | None:
        """Return the exponent of the curvature along the branch, where it is followed as far beyond the fold as before it."""
        top, fold, _ = parabola(around)
        beyond = self.at(2.0 * top - before.height, around, FINE) if lower else None
        if beyond is None or self.jumped(around[1], beyond) or beyond.beta > fold * (1.0 - PASSED * BEFORE_SUMMIT):
            return None
        law = law_beyond(lower[-1], before, [before, around[1], beyond])
        return None if law is None else law[0]

    def _up(self, first: Place, along: Callable[[float], Tensor]) -> tuple[list[Place], Place | None]:
        """Return places by rising beta, at least two where one lies beyond them, and the first beyond the summit.

        None lies beyond where the constrained minimum jumps on the shortest steps.
        """
        places, step = [first], STEP
        for _ in range(MOST):
            if self.is_tired:
                break
            ahead = self.step(places, step, along)
            if ahead is None:
                step *= SHORTER
                if step < LEAST or (len(places) > 1 and step * _steepness(places) <= CLOSE * first.beta):
                    break
                continue
            if ahead.beta <= places[-1].beta:
                if len(places) > 1:
                    return places, ahead
                behind = self.step([ahead, first], -STEP, along)  # it began at the summit
                return ([behind, first], ahead) if behind is not None and behind.beta < first.beta else (places, None)
            places.append(ahead)
            step = min(2.0 * step, STEP, _expected(places, step))
        return places, None

    def behind(self, highest: Place, over: Place, to: float) -> list[Place]:
        """Return places beyond the summit, saddles of L, from `over` on to a beta or to where the constrained minimum jumps."""
        places, step = [highest, over], STEP
        for _ in range(MOST):
            if places[-1].beta <= to:
                break
            ahead = self.step(places, step, lambda change: 0.0 * over.theta)
            if ahead is not None and ahead.beta < places[-1].beta:
                places.append(ahead)
                step = min(2.0 * step, STEP)
            elif (step := SHORTER * step) < LEAST:
                break
        return places[1:]

    def _closer(self, around: list[Place]) -> list[Place]:
        """Return three places around the summit, by falling norm, of which the parabola through them is the curve there."""
        for _ in range(REFINED):
            top, fold, bend = parabola(around)
            highest = around[1]
            if bend >= 0.0:
                break
            apart = highest.height - top
            if abs(apart) < LEAST:
                top = highest.height - math.copysign(LEAST, apart)
            if any(abs(place.height - top) < APART for place in around):
                break  # this side of the summit is known
            found = self.at(top, around, FINE)
            if found is None:
                break
            known = sorted([*around, found], key=lambda place: -place.height)
            middle = max(range(1, THREE), key=lambda k: known[k].beta)
            around = known[middle - 1 : middle + 2]
            if abs(fold - found.beta) <= CLOSE * fold and abs(apart) < BESIDE:
                break
        return around

    def step(self, places: list[Place], step: float, along: Callable[[float], Tensor]) -> Place | None:
        """Return the place a step in log rho below the last one; None where the constrained minimum jumps."""
        last = places[-1]
        height = last.height - step
        guess = _through(places[-3:], height) if len(places) > 1 else last.theta + along(-step)
        moved = math.exp(height) - math.exp(last.height)
        slack = LEAPT * last.beta * abs(moved)
        floor = last.error - last.beta * moved - 4.0 * slack if step > 0.0 else -math.inf
        found = self._solved(guess, height, last.beta, self.tolerance, floor=floor)
        return None if found is None or self.jumped(last, found) else found

    def jumped(self, last: Place, found: Place) -> bool:
        """Tell two places between which E did not follow the integral of beta."""
        moved = math.exp(found.height) - math.exp(last.height)
        slack = LEAPT * last.beta * abs(moved) + 0.25 * abs((found.beta - last.beta) * moved)
        return abs(found.error - last.error + 0.5 * (last.beta + found.beta) * moved) > slack

    def at(self, height: float, places: list[Place], tolerance: float) -> Place | None:
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


def law_beyond(far: Place, half: Place, around: Sequence[Place], sign: float = 1.0) -> tuple[float, float] | None:
    """Return the exponent of the curvature along a branch, and how far ahead its fold lies; None where they do not fit.

    `rho - rho* ~ (beta* - beta)^p` between two places before the fold, `half` the nearer one; the curvature has the exponent
    `1 - p`, 1/2 at a fold. The fold itself is that of the parabola through three places `around` it, of which one of the two
    is none. `sign` is 1 where beta rises to the fold, -1 where it falls.
    """
    top, fold, _ = parabola(around)
    (reach, height), (nearer, lower) = ((sign * (fold - place.beta), abs(place.height - top)) for place in (far, half))
    if not (reach > nearer > 0.0 and height > lower > 0.0):
        return None
    return 1.0 - math.log(height / lower) / math.log(reach / nearer), reach


def _expected(places: list[Place], step: float) -> float:
    """Return a step in log rho to just beyond where the last three places let the summit be expected."""
    if len(places) < THREE:
        return math.inf
    top, _, bend = parabola(places[-3:])
    ahead = places[-1].height - top
    return max(1.2 * ahead, 0.1 * step, LEAST) if bend < 0.0 and ahead > 0.0 else math.inf


def _steepness(places: list[Place]) -> float:
    """Return `|dbeta / dlog rho|` between the last two places."""
    a, b = places[-2:]
    return abs((b.beta - a.beta) / (b.height - a.height))


def _through(places: list[Place], height: float) -> Tensor:
    """Return theta at a norm on the polynomial through places, shape (n,)."""
    return sum((weight * place.theta for weight, place in _weights(places, height)), 0.0 * places[0].theta)


def parabola(places: Sequence[Place]) -> tuple[float, float, float]:
    """Return `log rho` and beta of the top of the parabola through three places, and half its second derivative.

    Examples
    --------
    >>> from types import SimpleNamespace as Seen
    >>> places = [Seen(height=x, beta=2.0 - 3.0 * (x - 0.5) ** 2) for x in (0.0, 0.4, 1.0)]
    >>> [round(value, 9) for value in parabola(places)]
    [0.5, 2.0, -3.0]
    """
    a, b, c = places
    first, second = ((q.beta - p.beta) / (q.height - p.height) for p, q in ((a, b), (b, c)))
    bend = (second - first) / (c.height - a.height)
    slope = second + bend * (c.height - b.height)  # at c
    if bend == 0.0:
        return c.height, c.beta, bend
    return c.height - slope / (2.0 * bend), c.beta - slope**2 / (4.0 * bend), bend


def _weights(places: list[Place], height: float) -> list[tuple[float, Place]]:
    """Return the weights of places in the polynomial through them, at a norm."""
    heights = [place.height for place in places]
    return [
        (math.prod((height - other) / (own.height - other) for other in heights if other != own.height), own) for own in places
    ]
