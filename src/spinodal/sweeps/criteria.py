"""What counts as smooth, as a jump, and as a kink, relative to the ranges of E and of the squared norm."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spinodal.sweeps.gap import Gap, gap, slope_error
from spinodal.sweeps.singularity import expected_slope, kink_position, margin_vanishes_between
from spinodal.sweeps.transition import MACROSCOPIC
from spinodal.sweeps.walk import Point

NEGLIGIBLE = 1e-4  # gaps below this fraction of the ranges of E and of the squared norm are not pursued
ROUNDING = 1e-9  # gaps below this fraction of the ranges are rounding
FALL = 0.2  # a fall lowers L by about this fraction of the jump of E; used where slopes are rough
JUMP = 0.8 * MACROSCOPIC  # from which a gap in E over a coarse step may turn out macroscopic


@dataclass(frozen=True)
class Criteria:
    """Judges the gap between two points of a walk.

    Attributes
    ----------
    error_range, norm_range : float
        `E(trivial) - E(deepest)` and the same of the squared norm: what "macroscopic" refers to.
    rough : bool
        Whether slopes are not exact (first-order solvers).
    lowest : float
        The lowest beta of the range that both refer to.
    trusts_loss : bool
        Whether a fall of L is a jump although E hardly changes: searches of rough solvers may also just be loose.
    """

    error_range: float
    norm_range: float
    rough: bool
    lowest: float = 0.0
    trusts_loss: bool = False

    def widened(self, a: Point, b: Point) -> Criteria:
        """Return the criteria once both points were met on one walk, which may exceed the range known before."""
        error, norm_squared = abs(b.error - a.error), abs(b.norm_squared - a.norm_squared)
        if error <= self.error_range:
            return self
        return replace(self, error_range=error, norm_range=max(self.norm_range, norm_squared))

    def norm_range_at(self, beta: float) -> float:
        """Return what a jump of the squared norm is compared with: its range, or that of E over beta where that is less."""
        return min(self.norm_range, self.error_range / beta)

    def is_smooth(self, found: Gap) -> bool:
        """Tell a gap that a continuous branch may leave."""
        if self.rough:
            return self._rough_gap(found) < 1.0
        negligible = found.error < NEGLIGIBLE * self.error_range and found.norm_squared < NEGLIGIBLE * self.norm_range
        small = found.error < 0.2 * MACROSCOPIC * self.error_range
        return negligible or self._is_quiet(found) or (found.relative < 0.25 and small)

    def is_certain(self, found: Gap) -> bool:
        """Tell a gap that a continuous branch may leave and in which no macroscopic jump can hide."""
        return self.is_smooth(found) and not self.may_hide_a_jump(found)

    def may_hide_a_jump(self, found: Gap) -> bool:
        """Tell a gap in which a jump may hide that could turn out macroscopic (see `Gap.hidden`); rough slopes cannot tell."""
        return not self.rough and found.hidden >= JUMP * self.error_range

    def longest_certain(self, point: Point, earlier: Point) -> float:
        """Return how far in beta a step may go on in which, as slopes change from `earlier` to `point`, nothing hides.

        A step h hides `beta h^2 |d2 rho/d beta2| / 2`.
        """
        bend = abs((point.norm_slope - earlier.norm_slope) / (point.beta - earlier.beta))
        allowed = 0.35 * JUMP * self.error_range
        return math.inf if self.rough or bend == 0.0 else math.sqrt(2.0 * allowed / (point.beta * bend))

    def is_easy(self, found: Gap) -> bool:
        """Tell a step that could have been longer."""
        if self.rough:
            return self._rough_gap(found) < 0.3
        return found.relative < 0.1 or self._is_quiet(found) or self._is_rounding(found)

    def _is_rounding(self, found: Gap) -> bool:
        """Tell a gap between two points that are the same to rounding, whatever part of their change it is."""
        return found.error < ROUNDING * self.error_range and found.norm_squared < ROUNDING * self.norm_range

    def _rough_gap(self, found: Gap) -> float:
        """Return the gap over the smallest that may turn out macroscopic, where slopes are rough.

        They come from a few conjugate gradients there, so a jump must show in L as well, unless E hardly changes.
        """
        most = JUMP * self.error_range
        seen = min(found.change, max(found.error, found.hidden, found.loss / FALL))
        return max(seen, found.loss / FALL if self.trusts_loss else 0.0) / most

    @property
    def smallest_fall(self) -> float:
        """Return the fall of L from which it is a jump."""
        return FALL * JUMP * self.error_range

    def _is_quiet(self, found: Gap) -> bool:
        """Tell a change that is not a jump and too small in E to spend steps on."""
        return found.relative < 0.8 and found.error < 5.0 * NEGLIGIBLE * self.error_range

    def may_have_jumped(self, found: Gap, *, believe_loss: bool) -> bool:
        """Tell a gap that may turn out macroscopic; a fall that only L shows is believed at the smallest step."""
        fell = self.rough and believe_loss and self._rough_gap(found) >= 1.0
        return fell or found.error >= JUMP * self.error_range

    def is_kink(self, a: Point, earlier: Point | None, b: Point) -> bool:
        """Tell a continuous `||theta||^2` whose slope does not go on from `a` to `b` as it came to `a`.

        A slope that grows is how a fold announces itself; it is a kink only if a margin vanishes between.
        Rough slopes cannot tell.
        """
        if self.rough or b.left:
            return False
        threshold = 0.04 if earlier is not None else 0.3
        if earlier is not None and _is_doubtful(a):  # so close to a singularity that its slope may be that of either side
            a, earlier, threshold = earlier, None, 0.1
        bend = abs(b.norm_slope - expected_slope(a, earlier, b.beta)) - slope_error(a) - slope_error(b)
        large = bend > threshold * max(abs(a.norm_slope), abs(b.norm_slope))
        large = large and a.beta * bend >= MACROSCOPIC * self.norm_range
        if not large or self.kink_position(a, b) is None:
            return False
        return abs(b.norm_slope) < abs(a.norm_slope) or margin_vanishes_between(a, b)

    def is_macroscopic_kink(self, a: Point, b: Point) -> bool:
        """Tell a kink that matters over the whole range from a detail of a fold.

        `||theta||^2` must change its slope by 1 % of its range per beta, and neither slope may be so
        steep that it would cross that range, half as much again, on the way from the lowest beta.
        """
        steepest = max(abs(a.norm_slope), abs(b.norm_slope))
        bend = abs(a.norm_slope - b.norm_slope)
        return a.beta * bend >= MACROSCOPIC * self.norm_range and (a.beta - self.lowest) * steepest <= 1.5 * self.norm_range

    def kink_position(self, a: Point, b: Point) -> float | None:
        """Return how far from `a` a kink between two points lies (see `singularity.kink_position`)."""
        return kink_position(a, b, slack=0.1 * NEGLIGIBLE * self.norm_range)

    def jump(self, found: Gap) -> float:
        """Return the jump of E across a narrow bracket: all of the change where slopes are too rough to take part of it."""
        return found.change if self.rough else found.error

    def is_small(self, near: Point, far: Point) -> bool:
        """Tell a gap that holds nothing macroscopic, however much closer one would look."""
        found = gap(near, far)
        return not far.left and max(self.jump(found), 0.0 if self.rough else found.hidden) < MACROSCOPIC * self.error_range

    def shortest_reach(self, near: Point, ahead: float) -> float:
        """Return the part of the distance `ahead` to a fold that a step towards it must leave, so that no jump can hide.

        Along the square root `E = E* - 2 A (beta* - beta)^(1/2)` a step that leaves the part s of the distance d hides
        `A d^(1/2) (1 - s^(1/2))^2`, where `A d^(1/2) = d dE/dbeta`.
        """
        height = ahead * abs(near.error_slope)
        allowed = 0.5 * JUMP * self.error_range
        return (1.0 - math.sqrt(allowed / height)) ** 2 if height > allowed else 0.0


def _is_doubtful(point: Point) -> bool:
    """Tell a slope that is not known well enough to tell kinks."""
    return slope_error(point) > 0.1 * abs(point.norm_slope)
