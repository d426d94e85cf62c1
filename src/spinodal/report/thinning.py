"""Fewer points for figures, by a rule that can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from spinodal.phases import PhaseDiagram

MOST = 2000  # points that the figures of a report show
NEIGHBOURS = 5  # points kept on either side of a macroscopic transition


@dataclass(frozen=True)
class Thinned:
    """A diagram with some of its points left out.

    Attributes
    ----------
    diagram : PhaseDiagram
        With the points kept; its transitions are those of the whole diagram.
    total : int
        Points of the whole diagram.
    every : int
        Of the points away from transitions, one in so many is kept.
    """

    diagram: PhaseDiagram
    total: int
    every: int

    @property
    def sentence(self) -> str:
        """Say how many points are shown, and which."""
        shown = len(self.diagram.points)
        if shown == self.total:
            return f"The figures show all {self.total:,} points." if self.total > 1 else "The figures show the only point."
        return (
            f"The figures show {shown:,} of {self.total:,} points: the ends of every phase, the {NEIGHBOURS} points on either "
            f"side of every transition, both points of every minor one, all that did not converge, and of the others one "
            f"in {self.every}. Tables and sentences use all of them."
        )


def thinned(diagram: PhaseDiagram, most: int = MOST) -> Thinned:
    """Return a diagram of about `most` points, or all of them if there are no more.

    Kept are the first and the last point of every phase, the `NEIGHBOURS` points on either side of every
    macroscopic transition, both points of every minor one, and all points that did not converge, even if
    these are more than `most`; of the others every k-th in the order walked, with the smallest k that does.
    """
    total = len(diagram.points)
    if total <= most:
        return Thinned(diagram, total, 1)
    needed = _needed(diagram)
    others = [position for position in range(total) if position not in needed]
    every = max(math.ceil(len(others) / max(most - len(needed), 1)), 1)
    kept = sorted(needed | set(others[::every]))
    return Thinned(replace(diagram, points=tuple(diagram.points[position] for position in kept)), total, every)


def _needed(diagram: PhaseDiagram) -> set[int]:
    """Return the positions of the points that are always kept."""
    place = {point.index: position for position, point in enumerate(diagram.points)}
    last = len(diagram.points) - 1
    needed = {0, last} | {position for position, point in enumerate(diagram.points) if not point.minimum.converged}
    for transition in diagram.transitions:
        reach = 0 if transition.minor else NEIGHBOURS - 1
        for side, step in ((transition.before, -reach), (transition.after, reach)):
            if side.index in place:
                here = place[side.index]
                needed |= set(range(max(min(here, here + step), 0), min(max(here, here + step), last) + 1))
    return needed
