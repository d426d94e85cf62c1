"""Where two phases are equally deep, both minimised by the walker on the way there."""

from __future__ import annotations

import math

from spinodal.branches.maxwell import Difference, meeting
from spinodal.definitions import EQUAL_DEPTH_WALKED, NORM_RISES
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.known_phase import KnownPhase
from spinodal.sweeps.moved import moved
from spinodal.sweeps.walk import Walker

STEPS = 8  # of Newton's method towards equal depth
BY_WALKS = "found by walks: both phases were minimised at this beta; a saddle is interpolated on the branch"


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
