"""The axis that every figure of a diagram shares: beta, cut at the macroscopic transitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point

BETA = "β   (L = E + β‖θ‖²)"
WEIGHT_DECAY = "weight_decay = 2β   (PyTorch's SGD and Adam)"
ALONE = 1.2  # factor by which an axis reaches beyond a point that is alone on it


@dataclass(frozen=True)
class BetaAxis:
    """The points of a diagram along beta, and what is marked there.

    Attributes
    ----------
    beta : tuple of float
        Of the points: phase after phase by rising beta, and rising within each.
    pieces : tuple of (start, stop)
        Slices of `beta`, one per phase: curves are drawn through each of them and not from one to the next.
    transitions, minor : tuple of float
        Betas of the macroscopic and of the minor transitions.
    exact : tuple of float
        Betas of the closed forms, none where there are none.
    """

    beta: tuple[float, ...]
    pieces: tuple[tuple[int, int], ...]
    transitions: tuple[float, ...]
    minor: tuple[float, ...]
    exact: tuple[float, ...]

    @property
    def limits(self) -> tuple[float, float]:
        """Return the lowest and the highest beta, apart even where there is one point only."""
        return padded(self.beta)

    @property
    def edges(self) -> tuple[float, ...]:
        """Return where the cells of a heat map meet: half way, in log beta, between neighbours."""
        low, high = self.limits
        return (low, *(math.sqrt(a * b) for a, b in pairwise(self.beta)), high)


def padded(beta: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest beta, apart even where there is one only."""
    low, high = min(beta), max(beta)
    return (low, high) if low < high else (low / ALONE, high * ALONE)


def is_joined(diagram: Diagram) -> bool:
    """Tell whether there is more than one way: branches, or the way back of a loop."""
    return bool(diagram.branches) or diagram.back is not None


def walked_phases(diagram: Diagram) -> list[Phase]:
    """Return the phases of the first way by rising beta: of a loop, those of the way up."""
    own = {point.index for point in diagram.points}
    return [phase for phase in diagram.phases if phase.points[0].index in own]


def points_by_phase(diagram: Diagram) -> list[list[Point]]:
    """Return the points of every phase of the first way by rising beta, the phases likewise."""
    return [sorted(phase.points, key=lambda point: point.beta) for phase in walked_phases(diagram)]


def ordered_points(diagram: Diagram) -> list[Point]:
    """Return the points in the order of a `BetaAxis`."""
    return list(chain.from_iterable(points_by_phase(diagram)))


def beta_axis(diagram: Diagram) -> BetaAxis:
    """Return the axis of a diagram."""
    phases = points_by_phase(diagram)
    ends = [0, *accumulate(map(len, phases))]
    return BetaAxis(
        beta=tuple(point.beta for point in chain.from_iterable(phases)),
        pieces=tuple(pairwise(ends)),
        transitions=tuple(sorted(transition.beta for transition in diagram.macroscopic)),
        minor=tuple(sorted(transition.beta for transition in diagram.transitions if transition.minor)),
        exact=tuple(sorted(form.beta for form in diagram.exact)),
    )
