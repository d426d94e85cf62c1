"""Pseudo-arclength continuation with dense Hessians: through folds, along saddles, past branch points."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from spinodal.branches.arclength.bordered import Bordered
from spinodal.branches.arclength.corrector import Corrected, correct
from spinodal.branches.arclength.encounter import (
    Encounter,
    branch_point_record,
    crossing_mode,
    explains,
    fold_record,
    kind_between,
    zero_between,
)
from spinodal.branches.arclength.equations import Equations
from spinodal.branches.arclength.metric import Metric, Node
from spinodal.branches.arclength.singular import Singular, polish_branch_point, polish_fold
from spinodal.branches.area import discrepancy
from spinodal.branches.point import StationaryPoint
from spinodal.branches.point_by_point import PointByPoint
from spinodal.branches.special import BranchPoint

FIRST, LARGEST, SMALLEST = 0.02, 0.3, 1e-9  # steps of arclength, in which ||theta|| and log beta have length one
ANGLE, TURN = 0.4, 0.2  # radians between tangents: the most that is accepted, and what the step aims at
EFFORT = 8  # gradients for one point that the step aims at
STEPS = 100.0  # of a branch, among which what its area certificate may miss is shared out
ROUNDING = 1e-14  # of L: what no area certificate can see
CLOSE = 0.05  # of a step: how far beside it a point may lie that it passes
FLOOR = 1e-2  # of the largest ||theta - centre|| met: the least length that steps are measured in
HALVINGS = 12  # of a step in search of the special point in it


class Arclength(PointByPoint):
    """Walks a branch, point by point; iterate over it, stop whenever, go on later.

    Each step predicts along the tangent and its change (second order), corrects in the plane across it by
    quasi-Newton steps that cost a gradient each, and computes one Hessian, of which index, zero modes and the
    next tangent are read. A step is refused where the tangent turns by more than `ANGLE` or where the area
    certificate shows that the point lies on another branch. Every change of the index and every turning
    point in between is located, polished, and becomes a record.

    Parameters
    ----------
    equations : Equations
    start : Node
        Solved, with a tangent in the direction to walk.
    bounds : (low, high) in beta
    to : float
        The bound at which the branch has "reached" its end.
    through_folds : bool
    area : float
        What the area certificate of the branch may miss.
    at : exact values of beta at which points are wanted
    """

    def __init__(
        self,
        equations: Equations,
        start: Node,
        *,
        bounds: tuple[float, float],
        to: float,
        through_folds: bool,
        area: float,
        at: tuple[float, ...] = (),
        step: float = FIRST,
    ) -> None:
        super().__init__(at)
        self.equations, self.bounds, self.to, self.through_folds = equations, bounds, to, through_folds
        self.axis = equations.axis
        self.missed = max(area / STEPS, ROUNDING * abs(start.point.loss))
        self.step = step
        self.node, self.earlier = start, None
        self.first = start
        self.largest = equations.size(start.point.theta)
        self.travelled = 0.0
        self.branch_points: list[BranchPoint] = []
        self._emit(start.point)

    node: Node
    earlier: Node | None

    # -- one step ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take one step, halved until it stays on the branch, and keep what lies in it."""
        metric = self._metric()
        while self.step >= SMALLEST:
            node = self._try(metric, self.step)
            found = None if node is None else self._refined(metric, self.node, node, HALVINGS)
            if node is not None and found is not None:
                grown = self._growth(metric, node, found)
                self.travelled += metric.distance(self.node.point, node.point)
                self._keep(metric, found)
                self.step = min(max(grown, 0.3) * self.step, LARGEST)
                return
            self.step *= 0.5
        self.stop = "stalled"

    def _metric(self) -> Metric:
        size = self.equations.size(self.node.point.theta)
        self.largest = max(self.largest, size)
        return Metric(max(size, FLOOR * self.largest) or 1.0, self.axis)

    def _try(self, metric: Metric, step: float) -> Node | None:
        """Return the point a step ahead, or None if it is not found, or not on this branch."""
        theta, place = self._predict(metric, step)
        corrected = self._corrected(metric, self.node, theta, place)
        strayed = metric.length(corrected.theta - theta, corrected.place - place)
        if not corrected.converged or strayed > 0.5 * step:
            return None
        node = self._node(metric, self.node, corrected)
        return node if metric.angle(self.node, node) <= ANGLE else None

    def _predict(self, metric: Metric, step: float) -> tuple[Tensor, float]:
        """Extrapolate along the tangent and, once there are two points, along its change."""
        point = self.node.point
        ahead, rate = metric.tangent(self.node)
        theta, place = point.theta + step * ahead, self.axis.place(point.beta) + step * rate
        if self.earlier is not None and (behind := metric.distance(self.earlier.point, point)) > 0:
            before, rate_before = metric.tangent(self.earlier)
            bend = 0.5 * step**2 / behind
            theta, place = theta + bend * (ahead - before), place + bend * (rate - rate_before)
        return theta, place

    def _corrected(self, metric: Metric, node: Node, theta: Tensor, place: float) -> Corrected:
        """Solve in the plane across the tangent of `node`, with its bordered Hessian."""
        ahead, rate = metric.tangent(node)
        return correct(self.equations, theta, place, self._border(metric, node, metric.weight * ahead, rate))

    def _border(self, metric: Metric, node: Node, row: Tensor, corner: float) -> Bordered:
        column = self.equations.column_along(node.point.theta, node.point.beta)
        return Bordered(node.spectrum, column, row, corner, metric.weight)

    def _node(self, metric: Metric, earlier: Node, found: Corrected) -> Node:
        """Return a solved point with its spectrum and tangent, which points the way of the one before."""
        beta = self.axis.value(found.place)
        spectrum = self.equations.spectrum(found.theta, beta, found.gradient)
        ahead, rate = metric.tangent(earlier)
        column = self.equations.column_along(found.theta, beta)
        tangent, along = Bordered(spectrum, column, metric.weight * ahead, rate, metric.weight).solve(0.0 * ahead, 1.0)
        length = metric.length(tangent, along) or 1.0
        beta_rate = self.axis.unit(beta) * along / length
        point = self.equations.point(found.theta, beta, found.value, found.gradient, spectrum, tangent / length, beta_rate)
        return Node(point, spectrum, self.axis, found.iterations)

    def _growth(self, metric: Metric, node: Node, found: list[Node | Encounter]) -> float:
        """Return the factor by which the next step may be longer: by the turn, the effort and the area of this one."""
        turn = metric.angle(self.node, node)
        missed = abs(discrepancy(self.node.point, node.point)) / self.missed
        factor: float = min(
            math.sqrt(TURN / max(turn, 1e-9)),
            1.5 if node.effort <= EFFORT else EFFORT / node.effort,
            0.9 * max(missed, 1e-9) ** -0.2,
            2.0,
        )
        return factor

    # -- what lies within a step ------------------------------------------------------------

    def _refined(self, metric: Metric, a: Node, b: Node, depth: int) -> list[Node | Encounter] | None:
        """Return all that lies in (a, b]: points as dense as the certificate needs, and special points.

        None if `b` turns out to lie on another branch.
        """
        kind = kind_between(a, b)
        if kind is not None and (met := self._polished(metric, a, b, kind)) is not None:
            before, after = self._filled(metric, a, met.node, depth), self._filled(metric, met.node, b, depth)
            return [*before, met, *(() if kind == "side" else after), b]
        smooth = abs(discrepancy(a.point, b.point)) <= 2.0 * self.missed
        if kind is None and smooth:
            return [b]
        if depth == 0:
            return [self._unresolved(metric, a, b, kind), b] if kind is not None else None
        middle = self._middle(metric, a, b)
        if middle is None:
            return None
        parts = [self._refined(metric, *ends, depth - 1) for ends in ((a, middle), (middle, b))]
        return None if parts[0] is None or parts[1] is None else parts[0] + parts[1]

    def _filled(self, metric: Metric, a: Node, b: Node, depth: int) -> list[Node]:
        """Return the points that the area certificate needs between two that nothing else lies between."""
        if depth == 0 or abs(discrepancy(a.point, b.point)) <= 2.0 * self.missed:
            return []
        middle = self._middle(metric, a, b)
        if middle is None:
            return []
        return [*self._filled(metric, a, middle, depth - 1), middle, *self._filled(metric, middle, b, depth - 1)]

    def _middle(self, metric: Metric, a: Node, b: Node) -> Node | None:
        """Return the point halfway between two, from their cubic interpolation."""
        apart = metric.distance(a.point, b.point)
        (x, x_rate), (y, y_rate) = metric.tangent(a), metric.tangent(b)
        theta = 0.5 * (a.point.theta + b.point.theta) + 0.125 * apart * (x - y)
        place = self.axis.halfway(a.point.beta, b.point.beta) + 0.125 * apart * (x_rate - y_rate)
        corrected = self._corrected(metric, a, theta, place)
        strayed = metric.length(corrected.theta - theta, corrected.place - place)
        return self._node(metric, a, corrected) if corrected.converged and strayed <= 0.5 * apart else None

    def _polished(self, metric: Metric, a: Node, b: Node, kind: str) -> Encounter | None:
        """Return the special point between two points, or None if it is not between them, or not alone."""
        apart = metric.distance(a.point, b.point)
        weight = zero_between(a, b, kind)
        near = a if weight < 0.5 else b
        theta = (1.0 - weight) * a.point.theta + weight * b.point.theta
        beta = self.axis.between(a.point.beta, b.point.beta, weight)
        polish = polish_fold if kind == "fold" else polish_branch_point
        guess = near.point.tangent if kind != "crossing" else crossing_mode(a, b)
        found = polish(self.equations, theta, beta, guess)
        if not found.converged or not self.axis.allows(found.beta):
            return None
        ends = [metric.length(found.theta - end.point.theta, self.axis.step(end.point.beta, found.beta)) for end in (a, b)]
        if max(ends) > 1.2 * apart + 1e-7 or not explains(a, b, kind, found):
            return None
        return self._encounter(metric, kind, found, a, b)

    def _encounter(self, metric: Metric, kind: str, found: Singular, a: Node, b: Node) -> Encounter:
        """Return a special point as a point of the walk: along phi at a fold and at the end of a side branch."""
        tangent, rate = (found.trunk, 1.0) if kind == "crossing" else (found.mode, 0.0)
        way, way_rate = metric.tangent(a)
        along = metric.weight * float(way @ tangent) + way_rate * rate / self.axis.unit(found.beta)
        point = self._singular_point(metric, found, math.copysign(1.0, along), tangent, rate)
        return Encounter(kind, found, a, b, Node(replace(point, index=a.point.index), found.spectrum, self.axis))

    def _unresolved(self, metric: Metric, a: Node, b: Node, kind: str) -> Encounter:
        """Return the record of a special point that could not be polished, at the nearer of its neighbours."""
        near = a if abs(a.point.beta_rate) < abs(b.point.beta_rate) else b
        point, spectrum = near.point, near.spectrum
        mode, curvature = spectrum.softest(point.tangent, float(spectrum.values.abs().min()))
        residual = torch.full_like(point.theta, point.residual / math.sqrt(len(point.theta)))
        found = Singular(
            point.theta, point.beta, point.loss, residual, spectrum, mode, curvature, 0.0, 0.0, 0.0 * mode, 1, 0, False
        )  # fmt: skip
        return self._encounter(metric, kind, found, a, b)

    # -- keeping ----------------------------------------------------------------------------

    def _keep(self, metric: Metric, found: list[Node | Encounter]) -> None:
        """Keep points and special points in order, until one of them ends or turns the walk."""
        for item in found:
            if isinstance(item, Encounter):
                if self._met(metric, item):
                    return
                continue
            if self._bounded(metric, item) or self._closed(metric, item):
                return
            self._pass(metric, item)

    def _pass(self, metric: Metric, node: Node) -> None:
        """Go on from a point, by way of the exact values of beta that were asked for."""
        for beta in self._asked(self.node.point.beta, node.point.beta):
            exact = self._exact(metric, node, beta)
            if exact is not None:
                self._emit(exact.point)
        self._emit(node.point)
        self.earlier, self.node = self.node, node

    def _exact(self, metric: Metric, node: Node, beta: float) -> Node | None:
        """Return the point at exactly this beta, between the current one and `node`."""
        a, b = self.node, node
        weight = self.axis.step(a.point.beta, beta) / self.axis.step(a.point.beta, b.point.beta)
        near = a if weight < 0.5 else b
        away = self.axis.step(near.point.beta, beta) / (near.rate or math.inf)
        theta = near.point.theta + away * near.point.tangent
        border = self._border(metric, near, 0.0 * near.point.tangent, 1.0)
        found = correct(self.equations, theta, self.axis.place(beta), border)
        return self._node(metric, near, found) if found.converged else None

    def _bounded(self, metric: Metric, node: Node) -> bool:
        """End the walk at a bound of beta if the step crosses it."""
        low, high = self.bounds
        for bound in (low, high):
            inside, outside = self.node.point.beta, node.point.beta
            if (outside <= bound) if bound == low else (outside >= bound):
                exact = self._exact(metric, node, bound) if abs(outside - inside) > 0 else None
                self._pass(metric, exact or node)
                self.stop = "reached" if bound == self.to else "range"
                return True
        return False

    def _closed(self, metric: Metric, node: Node) -> bool:
        """Tell, and end, a walk whose last step passes the first point again, the same way."""
        first = self.first.point
        if self.travelled < 10 * FIRST or metric.angle(node, self.first) > ANGLE:
            return False
        step, back = metric.between(self.node.point, node.point), metric.between(self.node.point, first)
        along = metric.product(step, back) / metric.product(step, step)
        beside = metric.product(back, back) - along**2 * metric.product(step, step)
        if not 0 < along <= 1 or beside > (CLOSE**2) * metric.product(step, step):
            return False
        self._pass(metric, self.first)
        self.stop = "closed"
        return True

    def _met(self, metric: Metric, met: Encounter) -> bool:
        """Keep a special point; tell whether what follows it in this step is to be forgotten."""
        overlap = self._overlap(met.found)
        if met.kind == "fold":
            self._pass(metric, met.node)
            self.folds.append(fold_record(met, overlap, self._found - 1))
            self.stop = "" if self.through_folds else "fold"
            return not self.through_folds
        if met.kind == "side":
            return self._switch(metric, met, overlap)
        self._pass(metric, met.node)
        self.branch_points.append(branch_point_record(met, overlap, met.b.point.index, self._found - 1))
        return False

    def _switch(self, metric: Metric, met: Encounter, overlap: float) -> bool:
        """Go on from the end of a side branch along the trunk, to where that is stable."""
        found = met.found
        others = found.spectrum.index - int(found.curvature < -found.spectrum.zero)
        self._pass(metric, met.node)
        self.branch_points.append(branch_point_record(met, overlap, others, self._found - 1))
        if not found.converged:
            self.stop = "not classified"
            return True
        departure = self._singular_point(metric, found, math.copysign(1.0, found.crossing), found.trunk, 1.0)
        departure = replace(departure, index=others)
        self._emit(departure)
        self.node, self.earlier, self.step = Node(departure, found.spectrum, self.axis), None, FIRST
        return True

    def _singular_point(
        self, metric: Metric, found: Singular, sign: float, tangent: Tensor, beta_rate: float
    ) -> StationaryPoint:
        """Return the record of a special point with a tangent of length one."""
        length = sign * (metric.length(tangent, beta_rate / self.axis.unit(found.beta)) or 1.0)
        return self.equations.point(
            found.theta, found.beta, found.loss, found.residual, found.spectrum, tangent / length, beta_rate / length
        )

    def _overlap(self, found: Singular) -> float:
        """Return `|phi . (theta - centre)| / ||theta - centre||`, with the floor of the metric under the latter."""
        size = max(self.equations.size(found.theta), FLOOR * self.largest) or 1.0
        return 0.5 * abs(float(found.mode @ self.equations.column(found.theta))) / size
