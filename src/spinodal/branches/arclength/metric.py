"""Points of a walk with their spectrum, and the lengths that steps between them are measured in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.branches.arclength.bordered import Spectrum
from spinodal.branches.point import StationaryPoint


@dataclass(frozen=True)
class Node:
    """A point of the walk with its spectrum, which is not kept any longer than needed."""

    point: StationaryPoint
    spectrum: Spectrum
    effort: int = 0

    @property
    def log_rate(self) -> float:
        """Return `dlog beta/ds`."""
        return self.point.beta_rate / self.point.beta

    def reversed(self) -> Node:
        """Return this point walked the other way."""
        return replace(self, point=self.point.reversed())


@dataclass(frozen=True)
class Metric:
    """Lengths `ds^2 = ||dtheta||^2 / size^2 + dlog beta^2`, independent of the number of parameters."""

    size: float

    @property
    def weight(self) -> float:
        """Return the weight of `||dtheta||^2`."""
        return self.size**-2

    def length(self, theta: Tensor, log_beta: float) -> float:
        """Return the length of a displacement."""
        return math.hypot(float(theta.norm()) / self.size, log_beta)

    def product(self, a: tuple[Tensor, float], b: tuple[Tensor, float]) -> float:
        """Return the inner product of two displacements `(dtheta, dlog beta)`."""
        return self.weight * float(a[0] @ b[0]) + a[1] * b[1]

    def between(self, a: StationaryPoint, b: StationaryPoint) -> tuple[Tensor, float]:
        """Return the displacement from one point to another."""
        return b.theta - a.theta, math.log(b.beta / a.beta)

    def tangent(self, node: Node) -> tuple[Tensor, float]:
        """Return a point's tangent, as `(dtheta, dlog beta)` of length one."""
        length = self.length(node.point.tangent, node.log_rate)
        return node.point.tangent / length, node.log_rate / length

    def distance(self, a: StationaryPoint, b: StationaryPoint) -> float:
        """Return the length of the chord between two points."""
        return self.length(*self.between(a, b))

    def angle(self, a: Node, b: Node) -> float:
        """Return the angle between the tangents of two points, in radians."""
        return math.acos(min(max(self.product(self.tangent(a), self.tangent(b)), -1.0), 1.0))
