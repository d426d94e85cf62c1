"""Where two phases are equally deep, minimised by the walker on the way there."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from spinodal.branches.maxwell import Difference, meeting
from spinodal.definitions import EQUAL_DEPTH_ROUNDING, EQUAL_DEPTH_STEP, EQUAL_DEPTH_WALKED, NORM_RISES
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.known_phase import KnownPhase
from spinodal.phases.loss_curve import LossCurve
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.gap import gap
from spinodal.sweeps.moved import moved
from spinodal.sweeps.point import Point
from spinodal.sweeps.walk import Walker

STEPS = 8  # of Newton's method towards equal depth
FURTHEST = 40  # most steps down
BY_WALKS = "found by walks: both phases were minimised at this beta; a saddle is interpolated on the branch"
BY_CURVE = "found by walks; L between minima is the cubic through them, whose slopes are exact"


def equally_deep(
    walker: Walker, first: KnownPhase, second: KnownPhase, beta: float, *, error_range: float, norm_range: float
) -> PhaseCoexistence | None:
    """Return where two phases have equal L, from near a beta; None where one ends before, or the norms hardly differ."""
    at = [first.nearest(beta), second.nearest(beta)]

    def compare(beta: float) -> Difference | None:
        if min(first.depth(beta), second.depth(beta)) <= 0.0:
            return None
        at[:] = [moved(walker, point, beta) for point in at]
        heat = at[0].norm_squared - at[1].norm_squared
        return Difference(at[0].minimum.loss - at[1].minimum.loss, heat) if heat > NORM_RISES * norm_range else None

    def is_equal(_: float, found: Difference) -> bool:
        return abs(found.loss) <= EQUAL_DEPTH_WALKED * error_range

    found = meeting(compare, beta, bounds=(0.0, math.inf), is_equal=is_equal, most=STEPS)
    if found.stop != "equal":
        return None
    a, b = at
    heat = a.norm_squared - b.norm_squared
    return PhaseCoexistence(found.beta, (first.id, second.id), a.minimum.loss, heat, None, None, None, BY_WALKS)


def equally_deep_below(
    walker: Walker, first: LossCurve, second: int, after: Point, *, criteria: Criteria
) -> tuple[PhaseCoexistence, Point, Point] | None:
    """Return where the phase that the walk left is as deep as the one that it fell into, which is followed down to there.

    The first is known by its curve, and followed further down where that begins too high. With it come the minima of both that
    are known next to it. None where one of them ends on the way, or the norms hardly differ.

    Parameters
    ----------
    walker : Walker
    first : LossCurve
        Of the phase that was left.
    second : int
        The id of the phase behind.
    after : Point
        The minimum behind the transition.
    criteria : Criteria
        What a jump is: a phase that falls on the way down ends there.
    """
    led = Led(walker, criteria, first), Led(walker, criteria, LossCurve(second, (after,)))
    rounding = EQUAL_DEPTH_ROUNDING * torch.finfo(walker.landscape.dtype).eps * (1.0 + abs(after.minimum.loss))

    def compare(beta: float) -> Difference | None:
        a, b = (side.at(beta) for side in led)
        if a is None or b is None or not a.slope - b.slope > NORM_RISES * criteria.norm_range:
            return None
        return Difference(a.loss - b.loss, a.slope - b.slope)

    beta = start = min(after.beta, first.betas[-1])
    for _ in range(FURTHEST):
        here = compare(beta)
        if here is None or here.loss <= 0.0:
            break
        beta *= math.exp(-EQUAL_DEPTH_STEP)
    found = meeting(compare, beta, bounds=(beta, start), is_equal=lambda _, here: abs(here.loss) <= rounding)
    if found.stop != "equal":
        return None
    a, b = (side.curve for side in led)
    heat = a.slope(found.beta) - b.slope(found.beta)
    met = PhaseCoexistence(found.beta, (first.phase, second), a.loss(found.beta), heat, None, None, None, BY_CURVE)
    return met, a.nearest(found.beta), b.nearest(found.beta)


class Depth(NamedTuple):
    """L of a phase at one beta, and its slope `||theta - centre||^2`."""

    loss: float
    slope: float


class Led:
    """A phase that is known by a curve, and led on by the walker where the curve does not reach.

    Parameters
    ----------
    walker : Walker
    criteria : Criteria
    curve : LossCurve
    """

    def __init__(self, walker: Walker, criteria: Criteria, curve: LossCurve) -> None:
        self.walker, self.criteria, self.curve = walker, criteria, curve

    def at(self, beta: float) -> Depth | None:
        """Return the depth at a beta, None where the phase ends on the way there."""
        while not self.curve.covers(beta):
            found = self._next(self.curve.nearest(beta), beta)
            if found is None:
                return None
            self.curve = LossCurve.through(self.curve.phase, (*self.curve.points, found))
        return Depth(self.curve.loss(beta), self.curve.slope(beta))

    def _next(self, point: Point, beta: float) -> Point | None:
        """Return the minimum a step towards a beta; None where it is not of the same branch."""
        way = math.log(beta / point.beta)
        to = beta if abs(way) <= EQUAL_DEPTH_STEP else point.beta * math.exp(math.copysign(EQUAL_DEPTH_STEP, way))
        found = self.walker.follow(point, to, (to - point.beta) * point.tangent, travelling=True)
        found = self.walker.finish(found, travelling=True)
        fell = self.criteria.may_have_jumped(gap(point, found), believe_loss=True)
        return None if fell or not found.minimum.converged else found
