"""L, E and the squared norm between the points of a stretch of minima, and the lowest L over all stretches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spinodal.branches.point import StationaryPoint
from spinodal.sweeps.point import Point

if TYPE_CHECKING:
    import numpy as np

STEEPEST = 3.0  # times the straight line: slopes up to which a cubic is monotonic (Fritsch and Carlson, 1980)


@dataclass(frozen=True)
class Level:
    """L and rho at one beta, and `d rho/d beta` along the branch (not finite where it is not known)."""

    beta: float
    loss: float
    norm_squared: float
    slope: float


def level(point: Point | StationaryPoint) -> Level:
    """Return the level of a point."""
    if isinstance(point, StationaryPoint):
        return Level(point.beta, point.loss, point.norm_squared, point.slope)
    return Level(point.beta, point.minimum.loss, point.norm_squared, point.norm_slope)


class Piece:
    """A stretch of minima over a range of beta.

    L is interpolated by cubics with its exact slope rho, rho likewise, and `E = L - beta rho`. Along minima rho falls;
    close to a fold, where its slope has no bound, cubics are kept from overshooting.

    Parameters
    ----------
    levels : sequence of Level
        By rising beta.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        import numpy as np

        self._beta, self._loss, self._rho, self._slope = np.array(
            [(item.beta, item.loss, item.norm_squared, item.slope) for item in levels]
        ).T

    def __contains__(self, beta: float) -> bool:
        """Tell whether beta lies in the range of the points."""
        return bool(self._beta[0] <= beta <= self._beta[-1])

    def loss(self, beta: Any) -> Any:
        """Return L at betas, NaN outside of the range."""
        return _cubic(beta, self._beta, self._loss, self._rho)

    def values(self, beta: float) -> dict[str, float]:
        """Return E, rho and L at one beta."""
        rho, loss = float(_cubic(beta, self._beta, self._rho, self._slope, steepest=STEEPEST)), float(self.loss(beta))
        return {"error": loss - beta * rho, "norm_squared": rho, "loss": loss}


def lowest_loss(pieces: Iterable[Piece], beta: Any) -> Any:
    """Return the lowest L of all pieces at betas, NaN where there is none."""
    import numpy as np

    lowest = np.full(np.shape(beta), np.nan)
    for piece in pieces:
        lowest = np.fmin(lowest, piece.loss(beta))
    return lowest


def pieces(points: Sequence[Point | StationaryPoint]) -> Iterator[Piece]:
    """Yield the pieces of points along a branch, cut where it turns in beta."""
    levels = [level(point) for point in points]
    distinct = levels[:1] + [b for a, b in pairwise(levels) if a.beta != b.beta]
    last, start = len(distinct) - 1, 0
    for place in range(1, last):
        here = distinct[place].beta
        if (here - distinct[place - 1].beta) * (distinct[place + 1].beta - here) < 0:
            yield _rising(distinct[start : place + 1])
            start = place
    if distinct:
        yield _rising(distinct[start:])


def _rising(levels: Sequence[Level]) -> Piece:
    return Piece(levels if levels[0].beta <= levels[-1].beta else levels[::-1])


def _cubic(beta: Any, x: np.ndarray, y: np.ndarray, slope: np.ndarray, steepest: float = math.inf) -> Any:
    """Return Hermite's cubic through points with slopes, straight at an end whose slope is not known.

    Where `steepest` is finite, slopes are taken from 0 to so many times that of the straight line.
    """
    import numpy as np

    beta = np.asarray(beta, dtype=float)
    if len(x) == 1:
        return np.where(beta == x[0], y[0], np.nan)
    left = np.clip(np.searchsorted(x, beta, side="right") - 1, 0, len(x) - 2)
    width, rise = x[left + 1] - x[left], y[left + 1] - y[left]
    t = (beta - x[left]) / width
    first, then = (_bounded(s * width, rise, steepest) - rise for s in (slope[left], slope[left + 1]))
    cubic = y[left] + t * rise + t * (1 - t) * (first * (1 - t) - then * t)
    return np.where((beta >= x[0]) & (beta <= x[-1]), cubic, np.nan)


def _bounded(change: np.ndarray, rise: np.ndarray, steepest: float) -> np.ndarray:
    """Return what a slope makes of the width of an interval, as many times the rise as is allowed."""
    import numpy as np

    known = np.where(np.isfinite(change), change, rise)
    if math.isinf(steepest):
        return known
    low, high = np.minimum(steepest * rise, 0.0), np.maximum(steepest * rise, 0.0)
    return np.clip(known, low, high)
