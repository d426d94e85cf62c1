"""What counts as smooth, as a jump, and as a kink, relative to the ranges of E and of the squared norm."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spinodal.definitions import (
    COARSE,
    DOUBTFUL_SLOPE,
    EASY,
    FALL,
    HIDING_REACH,
    HIDING_STEP,
    KINK,
    KINK_ALONE,
    KINK_BEHIND_DOUBT,
    KINK_SLACK,
    KINK_STEEPEST,
    MACROSCOPIC,
    MAY_BE_MACROSCOPIC,
    NEGLIGIBLE,
    QUIET,
    ROUGH_EASY,
    ROUNDING,
    SMALL_GAP,
    SMOOTH,
    SPARING_STEP,
    TURNED,
)
from spinodal.landscape.axis import LOG, Axis
from spinodal.sweeps.foresight import longest_hiding
from spinodal.sweeps.gap import Gap, gap, slope_error
from spinodal.sweeps.point import Point
from spinodal.sweeps.singularity import expected_slope, kink_position, margin_vanishes_between


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
    axis : Axis
        Of the control.
    trusts_loss : bool
        Whether a fall of L is a jump although E hardly changes: searches of rough solvers may also just be loose.
    sparing : bool
        Whether steps that hold nothing macroscopic are taken as they are, although they may hold minor transitions: where
        a Hessian is dear.
    """

    error_range: float
    norm_range: float
    rough: bool
    lowest: float = 0.0
    axis: Axis = LOG
    trusts_loss: bool = False
    sparing: bool = False

    @property
    def reference(self) -> float:
        """Return the value of the control at which L is what jumps are measured in."""
        return self.axis.reference

    def widened(self, a: Point, b: Point) -> Criteria:
        """Return the criteria once both points were met on one walk, which may exceed the range known before."""
        error, norm_squared = abs(b.height - a.height), abs(b.norm_squared - a.norm_squared)
        if error <= self.error_range:
            return self
        return replace(self, error_range=error, norm_range=max(self.norm_range, norm_squared))

    def norm_range_at(self, beta: float) -> float:
        """Return what a jump of the squared norm is compared with: its range, or that of E over beta where that is less."""
        return min(self.norm_range, self.error_range / max(beta - self.reference, 1e-300))

    def is_smooth(self, found: Gap) -> bool:
        """Tell a gap that a continuous branch may leave."""
        if self.rough:
            return self._rough_gap(found) < 1.0
        return (self.sparing and self._holds_nothing(found)) or self.is_continuous(found)

    def is_continuous(self, found: Gap) -> bool:
        """Tell a gap that the slopes at both ends explain, so that not even a minor jump lies in it."""
        if self.rough:
            return self._rough_gap(found) < 1.0
        negligible = found.error < NEGLIGIBLE * self.error_range and found.norm_squared < NEGLIGIBLE * self.norm_range
        small = found.error < SMALL_GAP * self.error_range
        return negligible or self._is_quiet(found) or (found.relative < SMOOTH and small)

    def is_certain(self, found: Gap) -> bool:
        """Tell a gap that a continuous branch may leave and in which no macroscopic jump can hide."""
        return self.is_smooth(found) and not self.may_hide_a_jump(found)

    def may_hide_a_jump(self, found: Gap) -> bool:
        """Tell a gap in which a jump may hide that could turn out macroscopic (see `Gap.hidden`); rough slopes cannot tell."""
        return not self.rough and found.hidden >= MAY_BE_MACROSCOPIC * self.error_range

    def longest_certain(self, point: Point, earlier: Point) -> float:
        """Return how far in beta a step may go on in which, as slopes change from `earlier` to `point`, nothing hides.

        A step h hides `beta h^2 |d2 rho/d beta2| / 2`, or less.
        """
        if self.sparing:
            allowed = SPARING_STEP * MAY_BE_MACROSCOPIC * self.error_range
            return longest_hiding(allowed, point, earlier, self.axis) * self.axis.unit(point.beta)
        bend = abs((point.norm_slope - earlier.norm_slope) / (point.beta - earlier.beta))
        allowed = HIDING_STEP * MAY_BE_MACROSCOPIC * self.error_range
        return math.inf if self.rough or not point.drive * bend > 0.0 else math.sqrt(2.0 * allowed / (point.drive * bend))

    def growth(self, found: Gap) -> float:
        """Return the factor by which the next step may be longer than one that left a gap."""
        if self.sparing:  # what a step hides goes with its square
            part = max(found.error, found.hidden) / (SPARING_STEP * MAY_BE_MACROSCOPIC * self.error_range)
            return min(1.0 / math.sqrt(part), 2.0) if part > 0.0 else 2.0
        return 2.0 if self.is_easy(found) else 1.2

    def is_easy(self, found: Gap) -> bool:
        """Tell a step that could have been longer."""
        if self.rough:
            return self._rough_gap(found) < ROUGH_EASY
        return found.relative < EASY or self._is_quiet(found) or self._is_rounding(found)

    def _is_rounding(self, found: Gap) -> bool:
        """Tell a gap between two points that are the same to rounding, whatever part of their change it is."""
        return found.error < ROUNDING * self.error_range and found.norm_squared < ROUNDING * self.norm_range

    def _rough_gap(self, found: Gap) -> float:
        """Return the gap over the smallest that may turn out macroscopic, where slopes are rough.

        They come from a few conjugate gradients there, so a jump must show in L as well, unless E hardly changes.
        """
        most = MAY_BE_MACROSCOPIC * self.error_range
        seen = min(found.change, max(found.error, found.hidden, found.loss / FALL))
        return max(seen, found.loss / FALL if self.trusts_loss else 0.0) / most

    @property
    def smallest_fall(self) -> float:
        """Return the fall of L from which it is a jump."""
        return FALL * MAY_BE_MACROSCOPIC * self.error_range

    def _holds_nothing(self, found: Gap) -> bool:
        return max(found.error, found.hidden) < MAY_BE_MACROSCOPIC * self.error_range

    def _is_quiet(self, found: Gap) -> bool:
        """Tell a change that is not a jump and too small in E to spend steps on."""
        return found.relative < TURNED and self.is_quiet_change(found.error)

    def is_quiet_change(self, change: float) -> bool:
        """Tell a change of E that is too small to spend steps on."""
        return change < QUIET * self.error_range

    def may_have_jumped(self, found: Gap, *, believe_loss: bool) -> bool:
        """Tell a gap that may turn out macroscopic; a fall that only L shows is believed at the smallest step."""
        fell = self.rough and believe_loss and self._rough_gap(found) >= 1.0
        return fell or found.error >= MAY_BE_MACROSCOPIC * self.error_range

    def is_kink(self, a: Point, earlier: Point | None, b: Point) -> bool:
        """Tell a continuous `||theta||^2` whose slope does not go on from `a` to `b` as it came to `a`.

        A slope that grows is how a fold announces itself; it is a kink only if a margin vanishes between, and none where
        minor folds may be stepped over, whose margins vanish: there two points behind a short step must tell how the slope
        goes. Rough slopes cannot tell.
        """
        if self.rough or b.left:
            return False
        if self.sparing and (earlier is None or self.axis.apart(a.beta, b.beta) > COARSE):
            return False
        threshold = KINK_ALONE if earlier is None else KINK_BEHIND_DOUBT if self.sparing else KINK
        if earlier is not None and is_doubtful(a):  # so close to a singularity that its slope may be that of either side
            a, earlier, threshold = earlier, None, KINK_BEHIND_DOUBT
        bend = abs(b.norm_slope - expected_slope(a, earlier, b.beta, self.axis)) - slope_error(a) - slope_error(b)
        large = bend > threshold * max(abs(a.norm_slope), abs(b.norm_slope))
        large = large and self.axis.unit(a.beta) * bend >= MACROSCOPIC * self.norm_range
        if not large or self.kink_position(a, b) is None:
            return False
        return abs(b.norm_slope) < abs(a.norm_slope) or (not self.sparing and margin_vanishes_between(a, b))

    def is_macroscopic_kink(self, a: Point, b: Point) -> bool:
        """Tell a kink that matters over the whole range from a detail of a fold.

        `||theta||^2` must change its slope by 1 % of its range per beta, and neither slope may be so
        steep that it would cross that range, half as much again, on the way from the lowest beta.
        """
        steepest = max(abs(a.norm_slope), abs(b.norm_slope))
        bend = abs(a.norm_slope - b.norm_slope)
        return (
            self.axis.unit(a.beta) * bend >= MACROSCOPIC * self.norm_range
            and (a.beta - self.lowest) * steepest <= KINK_STEEPEST * self.norm_range
        )

    def kink_position(self, a: Point, b: Point) -> float | None:
        """Return how far from `a` a kink between two points lies (see `singularity.kink_position`)."""
        return kink_position(a, b, slack=KINK_SLACK * self.norm_range)

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
        allowed = HIDING_REACH * MAY_BE_MACROSCOPIC * self.error_range
        return (1.0 - math.sqrt(allowed / height)) ** 2 if height > allowed else 0.0


def is_doubtful(point: Point) -> bool:
    """Tell a slope that is not known well enough to tell kinks."""
    return slope_error(point) > DOUBTFUL_SLOPE * abs(point.norm_slope)
