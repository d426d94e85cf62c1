"""A stationary point at exactly one beta, reached along its branch from a known one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch

from spinodal.branches.arclength.bordered import Bordered, Spectrum
from spinodal.branches.arclength.corrector import correct
from spinodal.branches.arclength.equations import Equations
from spinodal.branches.arclength.metric import Metric, Node
from spinodal.branches.point import StationaryPoint
from spinodal.landscape.axis import LOG, Axis

KEPT = 8  # points whose spectra are kept
TRIES = 60  # steps in beta, refused ones included
STRAYED = 0.3  # most that the corrector may move, of ||theta|| and more than a tenth of it only over a long step


def nearest(points: Sequence[StationaryPoint], beta: float, axis: Axis = LOG) -> StationaryPoint:
    """Return the point whose beta is nearest on its axis, folds left out where there are others."""
    regular = [point for point in points if point.beta_rate] or list(points)
    return min(regular, key=lambda point: axis.apart(beta, point.beta))


class Exact:
    """Solves for the point of the same branch and index at another beta, by Newton's steps in beta.

    The spectra of the last few points it returned are kept, so that going on from them costs no Hessian.

    Parameters
    ----------
    equations : Equations
    """

    def __init__(self, equations: Equations) -> None:
        self.equations, self.axis = equations, equations.axis
        self._known: deque[Node] = deque(maxlen=KEPT)

    def __call__(self, point: StationaryPoint, beta: float) -> StationaryPoint | None:
        """Return the point at `beta`, or None where the steps do not lead there."""
        first = self._node(point)
        axis = self.equations.axis
        step = axis.step(point.beta, beta)
        if first is None:
            return None
        node = first
        for _ in range(TRIES):
            rest = axis.step(node.point.beta, beta)
            if rest == 0.0:
                self._known.append(node)
                return node.point
            step = rest if abs(rest) <= abs(step) else step
            ahead = _stepped(self.equations, node, beta if step == rest else axis.moved(node.point.beta, step))
            if ahead is None:
                step *= 0.5
            else:
                node, step = ahead, 2.0 * step
        return None

    def _node(self, point: StationaryPoint) -> Node | None:
        """Return a point with its spectrum, and its tangent the way of rising beta."""
        for known in self._known:
            if known.point.coincides(point):
                return known
        found = node_at(self.equations, point.theta, point.beta, self.equations.spectrum(point.theta, point.beta))
        if found is not None:
            self._known.append(replace(found, point=point) if point.beta_rate > 0 else found)
        return found


def _stepped(equations: Equations, node: Node, beta: float) -> Node | None:
    """Return the point at another beta if it lies near the tangent and has the same index."""
    along = (beta - node.point.beta) / node.point.beta_rate if node.point.beta_rate else 0.0
    theta = node.point.theta + along * node.point.tangent
    found = node_at(equations, theta, beta, node.spectrum)
    if found is None or found.point.index != node.point.index:
        return None
    moved = float((theta - node.point.theta).norm())
    strayed = float((found.point.theta - theta).norm())
    return found if strayed <= STRAYED * moved + 1e-6 * (1.0 + equations.size(theta)) else None


def node_at(equations: Equations, theta: torch.Tensor, beta: float, spectrum: Spectrum) -> Node | None:
    """Solve `F = 0` at fixed beta from nearby; the tangent has rising beta. None if that does not converge."""
    nothing = torch.zeros_like(theta)
    axis = equations.axis
    metric = Metric(equations.size(theta) or 1.0, axis)
    column = equations.column_along(theta, beta)
    found = correct(equations, theta, axis.place(beta), Bordered(spectrum, column, nothing, 1.0, metric.weight))
    if not found.converged:
        return None
    spectrum = equations.spectrum(found.theta, beta, found.gradient)
    column = equations.column_along(found.theta, beta)
    tangent, rate = Bordered(spectrum, column, nothing, 1.0, metric.weight).solve(nothing, 1.0)
    length = metric.length(tangent, rate)
    beta_rate = axis.unit(beta) * rate / length
    point = equations.point(found.theta, beta, found.value, found.gradient, spectrum, tangent / length, beta_rate)
    return Node(point, spectrum, axis)
