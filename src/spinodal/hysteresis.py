"""Hysteresis: a walk in beta and the way back, and the area between the two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from spinodal.continuation.area import area
from spinodal.walk import Point

if TYPE_CHECKING:
    from spinodal.sweep import Sweep


@dataclass(frozen=True)
class Loop:
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

        It is the L that was lost in the falls of one cycle: 0 if every transition is of second order. NaN
        unless both ways are complete. The integral takes exact slopes (see `spinodal.continuation.area`).
        """
        if self.up.status != "complete" or self.down.status != "complete":
            return math.nan
        return integral_of_norm(self.up) + integral_of_norm(self.down)

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
        return area(a, b)
    return (jump - a.beta) * a.norm_squared + (b.beta - jump) * b.norm_squared
