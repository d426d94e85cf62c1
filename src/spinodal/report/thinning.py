"""Fewer points for figures, by a rule that can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spinodal.branches.branch import Branch
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition

MOST = 2000  # points that the figures of a report show
MOST_ON_BRANCHES = 4000  # points of branches of stationary points, all together
NEIGHBOURS = 5  # points kept on either side of a macroscopic transition or a special point


@dataclass(frozen=True)
class Thinned:
    """A diagram with some of its points left out.

    Attributes
    ----------
    diagram : Diagram
        With the points kept; its transitions are those of the whole diagram.
    total : int
        Points of the whole diagram, of a loop those of the way up.
    every : int
        Of the points away from transitions, one in so many is kept.
    on_branches : (shown, all)
        Points of the branches.
    on_the_way_back : (shown, all)
        Points of the way back of a loop.
    """

    diagram: Diagram
    total: int
    every: int
    on_branches: tuple[int, int] = (0, 0)
    on_the_way_back: tuple[int, int] = (0, 0)

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

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say the same of the way back and of the branches, as far as there are any."""
        back, branches = self.on_the_way_back, self.on_branches
        return (
            self.sentence,
            *([f"Of the way back {_share(*back)} are shown, chosen likewise."] if back[0] < back[1] else []),
            *([f"Of the branches {_share(*branches)} are shown: their ends, the {NEIGHBOURS} on either side of every special "
               "point, and of the others as many of each."] if branches[0] < branches[1] else []),
        )  # fmt: skip


def thinned(diagram: Diagram, most: int = MOST, most_on_branches: int = MOST_ON_BRANCHES) -> Thinned:
    """Return a diagram of about `most` points, or all of them if there are no more.

    Kept are the first and the last point of every phase, the `NEIGHBOURS` points on either side of every
    macroscopic transition, both points of every minor one, and all points that did not converge, even if
    these are more than `most`; of the others every k-th in the order walked, with the smallest k that does.
    The way back of a loop is thinned likewise, and so are the branches, around their special points.
    """
    points, every = _walk(diagram.points, diagram.transitions, most)
    shown = diagram if len(points) == len(diagram.points) else replace(diagram, points=points)
    back = (0, 0)
    if diagram.back is not None:
        kept, _ = _walk(diagram.back.points, diagram.back.transitions, most)
        back = len(kept), len(diagram.back.points)
        shown = shown if back[0] == back[1] else replace(shown, back=replace(diagram.back, points=kept))
    total = sum(len(branch.points) for branch in diagram.branches.values())
    if total > most_on_branches:
        shown = replace(
            shown, branches={phase: _branch(item, most_on_branches / total) for phase, item in diagram.branches.items()}
        )
    on_branches = sum(len(branch.points) for branch in shown.branches.values()), total
    return Thinned(shown, len(diagram.points), every, on_branches, back)


def _share(shown: int, total: int) -> str:
    return f"{shown:,} of {total:,} points"


def _walk(points: tuple[Point, ...], transitions: Sequence[Transition], most: int) -> tuple[tuple[Point, ...], int]:
    """Return the points kept of a walk, and the k with which the others are."""
    if len(points) <= most:
        return points, 1
    kept, every = _kept(_needed(points, transitions), len(points), most)
    return tuple(points[position] for position in kept), every


def _branch(branch: Branch, share: float) -> Branch:
    """Return a branch with about a share of its points."""
    last = len(branch.points) - 1
    needed = {0, last}
    for place in branch.special:
        needed |= set(range(max(place - NEIGHBOURS, 0), min(place + NEIGHBOURS, last) + 1))
    kept, _ = _kept(needed, last + 1, math.ceil(share * (last + 1)))
    return branch.at_places(kept)


def _kept(needed: set[int], total: int, most: int) -> tuple[list[int], int]:
    """Return the positions needed and every k-th of the others, and k."""
    others = [position for position in range(total) if position not in needed]
    every = max(math.ceil(len(others) / max(most - len(needed), 1)), 1)
    return sorted(needed | set(others[::every])), every


def _needed(points: Sequence[Point], transitions: Sequence[Transition]) -> set[int]:
    """Return the positions of the points that are always kept."""
    place = {point.index: position for position, point in enumerate(points)}
    last = len(points) - 1
    needed = {0, last} | {position for position, point in enumerate(points) if not point.minimum.converged}
    for transition in transitions:
        reach = 0 if transition.minor else NEIGHBOURS - 1
        for side, step in ((transition.before, -reach), (transition.after, reach)):
            if side.index in place:
                here = place[side.index]
                needed |= set(range(max(min(here, here + step), 0), min(max(here, here + step), last) + 1))
    return needed
