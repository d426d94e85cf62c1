"""What becomes of the deepest phase as beta goes to 0: a finite minimiser of E, or a norm that grows for ever."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.codec import Record
from spinodal.definitions import DECADE, GROWING, SLOWING
from spinodal.minima.solver import sees_kinks
from spinodal.sweeps.walk import Point

FINITE, ENDLESS, UNKNOWN = "finite minimiser", "no finite minimiser", "not known"


@dataclass(frozen=True)
class LowEnd(Record):
    """The growth of the norm at the lowest beta of a map.

    With `q = -d log(||theta||^2) / d log(beta)`: where theta goes to a finite minimiser of E, q falls with beta as a power of
    it; where a channel leads to infinity (`E ~ 1 / ||theta||^k`) it goes to a constant, and where data can be separated
    (cross-entropy, `||theta|| ~ log(1 / beta)`) to zero so slowly that a decade hardly shows it.

    Attributes
    ----------
    status : {"finite minimiser", "no finite minimiser", "not known"}
        By q at the lowest beta and a decade above, in one phase. It is evidence of the range that was walked and proves nothing
        beyond it.
    growth : float or None
        q at the lowest beta.
    """

    status: str
    growth: float | None

    @classmethod
    def of(cls, phase: Sequence[Point]) -> LowEnd:
        """Return what the points of the lowest phase, by rising beta, tell."""
        low, high = phase[0], next((point for point in phase if point.beta >= DECADE * phase[0].beta), None)
        if high is None or not all(_is_known(point) for point in (low, high)):
            return cls(UNKNOWN, None)
        growth, above = _growth(low), _growth(high)
        slower = growth < GROWING or growth <= above * (low.beta / high.beta) ** SLOWING
        return cls(FINITE if slower else ENDLESS, growth)


def _growth(point: Point) -> float:
    return -point.beta * point.norm_slope / point.norm_squared


def _is_known(point: Point) -> bool:
    """Tell whether a point is a minimum whose slopes are exact."""
    accurate = sees_kinks(point.minimum.solver) and point.minimum.converged and point.minimum.of is None
    return accurate and point.norm_squared > 0.0 and math.isfinite(point.norm_slope)
