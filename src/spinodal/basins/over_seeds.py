"""Where the deepest phases known of two ranks are equally deep, whichever seeds found them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from spinodal.basins.at_beta import known_points
from spinodal.basins.basin import Basin
from spinodal.definitions import EQUAL_DEPTH
from spinodal.phases.diagram import Diagram

if TYPE_CHECKING:
    from scipy.interpolate import CubicHermiteSpline

Curves = Sequence["CubicHermiteSpline"]
Node = tuple[float, float, float]  # beta, L, and dL/dbeta = ||theta - centre||^2


@dataclass(frozen=True)
class Depth:
    """L of one phase as a function of beta, by cubic Hermite interpolation between where the map of a seed knows it."""

    rank: int
    seed: int
    curve: CubicHermiteSpline

    @property
    def ends(self) -> tuple[float, float]:
        """Return the lowest and the highest beta at which it is known."""
        return float(self.curve.x[0]), float(self.curve.x[-1])

    def covers(self, low: float, high: float) -> bool:
        """Tell whether it is known from one beta to another."""
        return self.ends[0] <= low and high <= self.ends[1]


def depths(basins: Sequence[Basin], diagrams: Sequence[Diagram]) -> list[Depth]:
    """Return the depth of every phase that is known at two values of beta or more.

    Where it was followed to a coexistence point only, which lies outside of its walk, that is one of them.
    """
    rank = {(member.seed, member.phase): basin.rank for basin in basins for member in basin.members}
    return [
        Depth(rank[diagram.seed, phase], diagram.seed, curve)
        for diagram in diagrams
        for phase, curve in _curves(diagram).items()
        if curve is not None
    ]


def equally_deep(upper: Sequence[Depth], lower: Sequence[Depth]) -> float | None:
    """Return the beta up to which the deepest of some phases are deeper than the deepest of others; None if not known."""
    from scipy.optimize import brentq  # slow to import, and needed by hierarchies only

    places = sorted({float(beta) for depth in (*upper, *lower) for beta in depth.curve.x})
    for low, high in pairwise(places):
        ours, theirs = ([depth.curve for depth in side if depth.covers(low, high)] for side in (upper, lower))
        if not ours or not theirs:
            continue

        def excess(beta: float, ours: Curves = ours, theirs: Curves = theirs) -> float:
            return float(min(curve(beta) for curve in ours) - min(curve(beta) for curve in theirs))

        rounding = EQUAL_DEPTH * abs(float(ours[0](low)))
        if excess(low) <= rounding < excess(high):
            return float(brentq(excess, low, high)) if excess(low) < 0.0 else low
    return None


def _curves(diagram: Diagram) -> dict[int, CubicHermiteSpline | None]:
    """Return L along every phase of a map; None of one that is known at a single beta."""
    nodes: dict[int, list[Node]] = {
        phase.id: [(point.beta, point.minimum.loss, point.norm_squared) for point in known_points(phase)]
        for phase in diagram.phases
    }
    curves = {phase: _curve(known) for phase, known in nodes.items()}
    for found in sorted(diagram.coexistence, key=lambda item: item.beta):  # one that is known may tell of the next
        first, second = found.phases
        for known, other, sign in ((first, second, -1.0), (second, first, 1.0)):
            curve = curves[known]
            if curve is not None and curve.x[0] <= found.beta <= curve.x[-1]:
                slope = float(curve(found.beta, 1)) + sign * found.latent_heat
                nodes[other].append((found.beta, float(curve(found.beta)), slope))
                curves[other] = _curve(nodes[other])
                break
    return curves


def _curve(nodes: Sequence[Node]) -> CubicHermiteSpline | None:
    from scipy.interpolate import CubicHermiteSpline  # slow to import, and needed by hierarchies only

    deepest_last = sorted(nodes, key=lambda node: -node[1])
    ordered = sorted({node[0]: node for node in deepest_last}.values())
    return CubicHermiteSpline(*zip(*ordered, strict=True)) if len(ordered) > 1 else None
