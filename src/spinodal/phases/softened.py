"""How far an energy without kinks is from that of the network as given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spinodal.codec import Record
from spinodal.observe.observation import AS_GIVEN
from spinodal.phases.limit import Limit
from spinodal.sweeps.point import Point


@dataclass(frozen=True)
class Softened(Record):
    """The softening of a map, and its price.

    Attributes
    ----------
    sharpness : float
        See `Softening`.
    difference : float
        `E(as given) - E(softened)` at the point of the map at which it is largest in size, at the same theta.
    beta : float
        Where that is.
    limits : tuple of Limit
        Where its macroscopic transitions go, where that was asked for.
    """

    sharpness: float
    difference: float
    beta: float
    limits: tuple[Limit, ...] = ()

    @classmethod
    def of(cls, sharpness: float, points: Iterable[Point], limits: tuple[Limit, ...] = ()) -> Softened:
        """Compare at the points of a map."""
        gaps = [(point.observation.custom[AS_GIVEN] - point.error, point.beta) for point in points]
        difference, beta = max(gaps, key=lambda pair: abs(pair[0]))
        return cls(sharpness, difference, beta, limits)
