"""By how much the tolerance of a minimiser blurs the place of a transition."""

from __future__ import annotations

from spinodal.definitions import BLUR, SHORTEST
from spinodal.sweeps.point import Point


def blur(point: Point, tolerance: float, unit: float) -> float:
    """Return the uncertainty in beta that a search to a relative residual leaves at the end of a branch.

    A shift of beta changes the gradient of L along the unit tangent t of the branch by `2 t . (theta - centre)` per
    unit, and at a fold t is the soft mode, along which nothing else holds the search: where that change is below the
    residual at which a search stops, it cannot tell a minimum from a slope. Both ends of a bracket stop so; hence

        `2 r / |2 t . (theta - centre)| = 2 r ||dtheta/dbeta|| / |d||theta - centre||^2/dbeta|`,  `r = tolerance * scale`.

    Parameters
    ----------
    point : Point
        The last one on the branch.
    tolerance : float
        Of the residual, relative to `2 beta max(||theta - centre||, 1e-3)`.
    unit : float
        What widths are relative to there: beta itself on a log axis.
    """
    if point.norm_slope == 0.0:
        return 0.0
    residual = tolerance * 2.0 * unit * max(point.observation.distance, SHORTEST)
    shift = 2.0 * residual * float(point.tangent.norm()) / abs(point.norm_slope)
    return min(shift, BLUR * unit)
