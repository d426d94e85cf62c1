"""Points of a walk with their spectrum, and the lengths that steps between them are measured in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.branches.arclength.bordered import Spectrum
from spinodal.branches.point import StationaryPoint
from spinodal.landscape.axis import Axis


@dataclass(frozen=True)
class Node:
    """A point of the walk with its spectrum, which is not kept any longer than needed."""

    point: StationaryPoint
    spectrum: Spectrum
    axis: Axis
    effort: int = 0

    @property
    def rate(self) -> float:
        """Return `dplace/ds` on the axis of beta, `dlog beta/ds` with the L2 penalty."""
        return self.point.beta_rate / self.axis.unit(self.point.beta)

    def reversed(self) -> Node:
        """Return this point walked the other way."""
        return replace(self, point=self.point.reversed())


@dataclass(frozen=True)
class Metric:
    """Lengths `ds^2 = ||dtheta||^2 / size^2 + dplace^2`, independent of the number of parameters.

    The place is that of beta on its axis: log beta with the L2 penalty.
    """

    size: float
    axis: Axis

    @property
    def weight(self) -> float:
        """Return the weight of `||dtheta||^2`."""
        return self.size**-2

    def length(self, theta: Tensor, place: float) -> float:
        """Return the length of a displacement."""
        return math.hypot(float(theta.norm()) / self.size, place)

    def product(self, a: tuple[Tensor, float], b: tuple[Tensor, float]) -> float:
        """Return the inner product of two displacements `(dtheta, dplace)`."""
        return self.weight * float(a[0] @ b[0]) + a[1] * b[1]

    def between(self, a: StationaryPoint, b: StationaryPoint) -> tuple[Tensor, float]:
        """Return the displacement from one point to another."""
        return b.theta - a.theta, self.axis.step(a.beta, b.beta)

    def tangent(self, node: Node) -> tuple[Tensor, float]:
        """Return a point's tangent, as `(dtheta, dplace)` of length one."""
        length = self.length(node.point.tangent, node.rate)
        return node.point.tangent / length, node.rate / length

    def distance(self, a: StationaryPoint, b: StationaryPoint) -> float:
        """Return the length of the chord between two points."""
        return self.length(*self.between(a, b))

    def angle(self, a: Node, b: Node) -> float:
        """Return the angle between the tangents of two points, in radians."""
        return math.acos(min(max(self.product(self.tangent(a), self.tangent(b)), -1.0), 1.0))
