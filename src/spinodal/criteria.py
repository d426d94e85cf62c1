"""What counts as smooth, as a jump, and as a kink, relative to the ranges of E and of the squared norm."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spinodal.transitions import MACROSCOPIC, Gap, Transition, expected_slope, kink_position, margin_vanishes_between
from spinodal.walk import Point

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
    """

    error_range: float
    norm_range: float
    rough: bool

    def widened(self, found: Transition) -> Criteria:
        """Return the criteria for the walk behind a transition, whose jump may exceed the range known before."""
        error = abs(found.after.error - found.before.error)
        norm_squared = abs(found.after.norm_squared - found.before.norm_squared)
        if error <= self.error_range:
            return self
        return replace(self, error_range=error, norm_range=max(self.norm_range, norm_squared))

    def is_smooth(self, found: Gap) -> bool:
        """Tell a gap that a continuous branch may leave."""
        if self.rough:
            return self._rough_gap(found) < 1.0
        negligible = found.error < NEGLIGIBLE * self.error_range and found.norm_squared < NEGLIGIBLE * self.norm_range
        small = found.error < 0.2 * MACROSCOPIC * self.error_range
        return negligible or self._is_quiet(found) or (found.relative < 0.25 and small)

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
        return min(found.change, max(found.error, found.loss / FALL)) / most

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
        bend = abs(b.norm_slope - expected_slope(a, earlier, b.beta))
        threshold = 0.04 if earlier is not None else 0.3
        large = bend > threshold * max(abs(a.norm_slope), abs(b.norm_slope))
        large = large and a.beta * bend >= MACROSCOPIC * self.norm_range
        if not large or self.kink_position(a, b) is None:
            return False
        return abs(b.norm_slope) < abs(a.norm_slope) or margin_vanishes_between(a, b)

    def is_macroscopic_kink(self, a: Point, b: Point) -> bool:
        """Tell a kink that matters over the whole range from a detail of a fold.

        `||theta||^2` must change its slope by 1 % of its range per beta, and neither slope may be so
        steep that it would cross that range, half as much again, within one beta.
        """
        steepest = max(abs(a.norm_slope), abs(b.norm_slope))
        bend = abs(a.norm_slope - b.norm_slope)
        return a.beta * bend >= MACROSCOPIC * self.norm_range and a.beta * steepest <= 1.5 * self.norm_range

    def kink_position(self, a: Point, b: Point) -> float | None:
        """Return how far from `a` a kink between two points lies (see `transitions.kink_position`)."""
        return kink_position(a, b, slack=0.1 * NEGLIGIBLE * self.norm_range)

    def jump(self, found: Gap) -> float:
        """Return the jump of E across a narrow bracket: all of the change where slopes are too rough to take part of it."""
        return found.change if self.rough else found.error
