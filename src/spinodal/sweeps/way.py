"""One direction of a walk: how points are made along it, and whether one continues another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.definitions import CLOSER, FOLLOWED, MACROSCOPIC, STRAYED, STRAYED_LEAST, UNBLURRED
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.solution import Departure
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.gap import gap
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.singularity import distance_to_singularity
from spinodal.sweeps.walk import Walker


@dataclass(frozen=True)
class Way:
    """What every step of a walk in one direction needs.

    Attributes
    ----------
    walker : makes the points
    criteria : judges what lies between them
    resolution : Resolution
    sign : float
        1 upwards in beta, -1 downwards.
    """

    walker: Walker
    criteria: Criteria
    resolution: Resolution
    sign: float

    def follow(
        self, point: Point, earlier: Point | None, beta: float, *, travelling: bool = False, change: Tensor | None = None
    ) -> Point:
        """Make the point at `beta`, predicted along the tangent, or along a square root near a singularity.

        A `change` of theta that is known otherwise takes the place of the prediction.
        """
        width = abs(beta - point.beta)
        ahead = distance_to_singularity(point, earlier, self.sign)
        stretch = width
        if ahead is not None:
            distance, _ = ahead
            left = max(distance - width, 0.0)
            stretch = min(2.0 * distance * (1.0 - math.sqrt(left / distance)), 2.0 * width)
        ahead_of = self.sign * stretch * point.tangent if change is None else change
        has_left = self._departure(point, beta, ahead_of, travelling=travelling)
        return self.walker.follow(point, beta, ahead_of, has_left, travelling=travelling)

    def _departure(self, point: Point, beta: float, ahead_of: Tensor, *, travelling: bool) -> Departure:
        """Return what tells a search from `point` that it has left: E and L, and its way where a Hessian there is dear."""
        smooth = abs(beta - point.beta) * abs(point.error_slope)
        followed = 1.0 + self.walker.control.axis.apart(point.beta, beta) if self.criteria.sparing else FOLLOWED
        most = MACROSCOPIC * self.criteria.error_range + followed * smooth
        is_error = self.criteria.reference == 0.0  # only then is what jumps are measured in what a search knows
        falls = self.criteria.trusts_loss or (self.criteria.sparing and not travelling)
        departure = Departure(point.error, most if is_error else math.inf, self.floor(point, beta) if falls else -math.inf)
        if self.criteria.sparing or not self.walker.landmarks.are_kept:
            return departure
        reach = STRAYED * float(ahead_of.norm()) + STRAYED_LEAST * point.observation.norm
        return replace(departure, expected=point.minimum.theta + ahead_of, reach=reach)

    @property
    def is_blurred(self) -> bool:
        """Tell whether only the residual at the end of a branch tells how well its place is known (see `blur`)."""
        return affords_glimpses_only(self.walker.landscape)

    @property
    def is_sparing(self) -> bool:
        """Tell whether searches are so dear that brackets are closed by what the slopes of several points foretell."""
        return self.is_blurred or self.criteria.sparing

    @property
    def bracket(self) -> float:
        """Return the relative width to which searches close in: less than was asked for where they blur it (see `blur`).

        And where minor folds may lie beside a transition: its own soft mode has the lowest margin only close to it.
        """
        part = UNBLURRED if self.is_blurred else CLOSER if self.criteria.sparing else 1.0
        return part * self.resolution.bracket

    def floor(self, point: Point, beta: float) -> float:
        """Return what L is nowhere less than on the branch of a point: by its slope, and twice its curvature, less a fall."""
        width = beta - point.beta
        least = point.minimum.loss + width * point.norm_squared + width**2 * point.norm_slope
        return least - self.criteria.smallest_fall

    def unit(self, point: Point) -> float:
        """Return what widths are relative to at a point: beta itself on a log axis."""
        return self.walker.control.axis.unit(point.beta)

    def behind(self, point: Point, distance: float) -> Point:
        """Make the point of the same branch a distance in beta behind one that is not far from a singularity."""
        back = -self.sign * distance
        return self.walker.follow(point, point.beta + back, back * point.tangent)

    def continues(self, near: Point, earlier: Point | None, point: Point) -> bool:
        """Tell whether a point continues the branch of `near`, with nothing macroscopic between the two."""
        if point.left or self.criteria.is_kink(near, earlier, point):
            return False
        return self.criteria.is_certain(gap(near, point))

    def distance_ahead(self, near: Point, earlier: Point | None, far: Point) -> float | None:
        """Return the distance in beta at which the branch should end: where slopes meet, or the margin vanishes."""
        if self.criteria.is_kink(near, earlier, far):
            return self.criteria.kink_position(near, far)
        ahead = distance_to_singularity(near, earlier, self.sign)
        return ahead[0] if ahead else None
