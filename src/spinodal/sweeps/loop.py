"""Hysteresis: a walk in beta and the way back, and the area between the two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from spinodal.branches.area import area
from spinodal.branches.point import StationaryPoint
from spinodal.shown import Drawn
from spinodal.sweeps.point import Point

if TYPE_CHECKING:
    from spinodal.sweeps.sweep import Sweep


@dataclass(frozen=True, repr=False)
class Loop(Drawn):
    """A walk up and a walk down over the same range of beta, one from the end of the other.

    Attributes
    ----------
    up, down : Sweep
    """

    up: Sweep
    down: Sweep

    @property
    def area(self) -> float:
        """Return the loop area, `integral of ||theta - centre||^2 dbeta` on the way up minus that on the way down.

        0 if every transition is of second order; NaN unless both ways are complete. The trapezoidal rule takes exact
        slopes (see `spinodal.branches.area`).
        """
        return integral_of_norm(self.up) + integral_of_norm(self.down) if self._is_complete() else math.nan

    def _is_complete(self) -> bool:
        return self.up.status == self.down.status == "complete"

    @property
    def betas(self) -> tuple[float, float]:
        """Return the lowest and the highest beta."""
        return self.up.points[0].beta, self.up.points[-1].beta

    def __str__(self) -> str:
        """Return the loop and the macroscopic transitions of both ways, one per line."""
        low, high = self.betas
        head = f"loop from beta = {low:.6g} to {high:.6g} and back: area {self.area:.6g}"
        found = [item for way in (self.up, self.down) for item in way.transitions if not item.minor]
        return "\n".join([head, *(f"{item.direction}: {item}" for item in found)])


def integral_of_norm(way: Sweep) -> float:
    """Return `integral of ||theta - centre||^2 dbeta` along a walk, negative on the way down.

    Within the bracket of a transition the norm is taken to jump at the transition's beta.
    """
    jumps = {(item.before.index, item.after.index): item.beta for item in way.transitions}
    return sum(_part(a, b, jumps.get((a.index, b.index))) for a, b in pairwise(way.points))


def _part(a: Point, b: Point, jump: float | None) -> float:
    if jump is None:
        return area(_on_branch(a), _on_branch(b))
    return (jump - a.beta) * a.norm_squared + (b.beta - jump) * b.norm_squared


def _on_branch(point: Point) -> StationaryPoint:
    return StationaryPoint.of(point.minimum, point.norm_squared, tangent=point.tangent, norm_slope=point.norm_slope)
