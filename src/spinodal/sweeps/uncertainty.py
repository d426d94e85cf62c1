"""How far the numbers of a point may be from those of the minimum it stands for.

A residual r = grad L leaves theta at `H^-1 r` from the minimum, H = Hess L. With the tangent of the branch,
`t = dtheta/dbeta = -2 H^-1 (theta - centre)`, and `grad E = r - 2 beta (theta - centre)`, that moves E and the squared
norm rho, to first order, by `beta t . r` and `-t . r`: no eigenvalue of H is needed. The length of t follows from
`drho/dbeta = 2 t . (theta - centre)` and the angle between the two, whose cosine is some .4 to 1 on branches of minima.
"""

from __future__ import annotations

from spinodal.definitions import COSINE, DEPTH_KNOWN, HIGHER_ORDERS, ROUNDED_DOUBLE, ROUNDED_SINGLE, SHORTEST
from spinodal.minima.solver import is_dense
from spinodal.sweeps.point import Point


def of_error(point: Point) -> float:
    """Return the error of E."""
    size = max(abs(point.error), abs(point.minimum.loss))
    return _rounding(point) * size + point.beta * _shift(point)


def of_norm(point: Point) -> float:
    """Return the error of `||theta||`."""
    return _rounding(point) * point.observation.norm + 0.5 * _shift(point) / max(point.observation.distance, SHORTEST)


def of_margin(point: Point) -> float | None:
    """Return the error of the margin, the residual of its eigenpair; None where it is not known."""
    return point.minimum.margin_error if point.minimum.margin_error > 0.0 else None


def of_equal_depth(beta: float, like: Point, *, loss: float, latent_heat: float, routes: float | None) -> float:
    """Return the error of the beta of equal depth: of rounding, and of the search unless a second route tells.

    `routes` is by how much the two routes to it differ, relative to beta; None where one was gone.
    """
    rounding = _rounding(like) * abs(loss) / max(latent_heat, 1e-300)
    return max(rounding, beta * (DEPTH_KNOWN if routes is None else abs(routes)))


def _rounding(point: Point) -> float:
    return ROUNDED_DOUBLE if is_dense(point.minimum.solver) else ROUNDED_SINGLE


def _shift(point: Point) -> float:
    """Return the bound `||t|| ||r||` of `t . r`, with what higher orders may add."""
    length = 0.5 * abs(point.norm_slope) / (COSINE * max(point.observation.distance, SHORTEST))
    return HIGHER_ORDERS * point.minimum.residual * length
