"""A stationary point at exactly one beta, reached along its branch from a known one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from spinodal.continuation.corrector import correct
from spinodal.continuation.equations import Equations
from spinodal.continuation.metric import Metric, Node
from spinodal.continuation.point import StationaryPoint
from spinodal.continuation.spectrum import Bordered, Spectrum

TRIES = 60  # steps in beta, refused ones included
STRAYED = 0.3  # most that the corrector may move, of ||theta|| and more than a tenth of it only over a long step


def nearest(points: Sequence[StationaryPoint], beta: float) -> StationaryPoint:
    """Return the point whose beta is nearest on a log scale, folds left out where there are others."""
    regular = [point for point in points if point.beta_rate] or list(points)
    return min(regular, key=lambda point: abs(math.log(point.beta / beta)))


def solve_at(equations: Equations, point: StationaryPoint, beta: float) -> StationaryPoint | None:
    """Return the point of the same branch and index at `beta`, or None where Newton's steps in beta do not lead there."""
    node = node_at(equations, point.theta, point.beta, equations.spectrum(point.theta, point.beta))
    step = math.log(beta / point.beta)
    for _ in range(TRIES):
        if node is None:
            return None
        rest = math.log(beta / node.point.beta)
        if rest == 0.0:
            return node.point
        step = rest if abs(rest) <= abs(step) else step
        target = beta if step == rest else node.point.beta * math.exp(step)
        ahead = _stepped(equations, node, target)
        node, step = (node, 0.5 * step) if ahead is None else (ahead, 2.0 * step)
    return None


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
    metric = Metric(equations.size(theta) or 1.0)
    column = beta * equations.column(theta)
    found = correct(equations, theta, math.log(beta), Bordered(spectrum, column, nothing, 1.0, metric.weight))
    if not found.converged:
        return None
    spectrum = equations.spectrum(found.theta, beta)
    column = beta * equations.column(found.theta)
    tangent, log_rate = Bordered(spectrum, column, nothing, 1.0, metric.weight).solve(nothing, 1.0)
    length = metric.length(tangent, log_rate)
    point = equations.point(found.theta, beta, found.loss, found.residual, spectrum, tangent / length, beta * log_rate / length)
    return Node(point, spectrum)
