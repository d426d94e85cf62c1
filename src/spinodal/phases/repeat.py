"""A walk repeated from other starts: where it met the transitions of a map again, and where it was deeper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from spinodal.codec import Record
from spinodal.definitions import EQUALLY_DEEP, SAME_EVENT
from spinodal.phases.loss_curve import LossCurve
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True)
class Met:
    """A macroscopic transition that a repeat met.

    Attributes
    ----------
    beta : float
    bracket : (lower, upper)
    error : (before, after)
        E in the direction walked.
    """

    beta: float
    bracket: tuple[float, float]
    error: tuple[float, float]

    @classmethod
    def of(cls, transition: Transition) -> Met:
        """Return what a repeat keeps of a transition."""
        return cls(transition.beta, transition.bracket, (transition.before.error, transition.after.error))


@dataclass(frozen=True)
class Deeper:
    """A range of beta in which a repeat was on a deeper branch than the map.

    Attributes
    ----------
    low, high : float
        In beta; at an end inside the walk both are equally deep (coexistence), or one of them ends.
    by : float
        The largest difference of L that is proven.
    """

    low: float
    high: float
    by: float


@dataclass(frozen=True)
class Repeat(Record):
    """A walk repeated from other starts at its first end.

    Attributes
    ----------
    number : int
        From 1 on.
    seeds : (first, last)
        Of its random starts.
    error, loss : float
        E and L where it began.
    transitions : tuple of Met
        The macroscopic ones, in the order met.
    deeper : tuple of Deeper
        Where the map is not the deepest branch known. It follows the deepest of all starts all the same: what is met later is
        told, and takes the place of nothing.
    status : str
        How the walk ended.
    """

    number: int
    seeds: tuple[int, int]
    error: float
    loss: float
    transitions: tuple[Met, ...]
    deeper: tuple[Deeper, ...]
    status: str


@dataclass(frozen=True)
class Spread(Record):
    """Where the repeats of a map met one of its transitions.

    Attributes
    ----------
    met, of : int
        By how many repeats of how many.
    low, high : float
        The lowest and the highest beta at which it was met, that of the map included.
    width : float
        The least by which these places differ, whatever their brackets leave open: 0 where all brackets overlap.
    """

    met: int
    of: int
    low: float
    high: float
    width: float


def spread_of(transition: Transition, among: Sequence[Transition], repeats: Sequence[Repeat]) -> Spread:
    """Return where repeats met a transition of a map; `among` are the macroscopic ones of the walk that they repeat."""
    seen = [item for item in (_matched(transition, among, repeat.transitions) for repeat in repeats) if item is not None]
    places = [transition.beta, *(item.beta for item in seen)]
    brackets = [transition.bracket, *(item.bracket for item in seen)]
    return Spread(len(seen), len(repeats), min(places), max(places), width_beyond(brackets))


def width_beyond(brackets: Iterable[tuple[float, float]]) -> float:
    """Return the least by which places within brackets differ: 0 where all of them overlap.

    Examples
    --------
    >>> width_beyond([(1.0, 2.0), (1.5, 2.5)]), width_beyond([(1.0, 2.0), (2.25, 2.5)])
    (0.0, 0.25)
    """
    lows, highs = zip(*brackets, strict=True)
    return float(max(0.0, max(lows) - min(highs)))


def _matched(transition: Transition, among: Sequence[Transition], met: Sequence[Met]) -> Met | None:
    """Return what a repeat met in the place of a transition: of both lists, each is the nearest to the other."""
    if not met:
        return None
    nearest = min(met, key=lambda item: _apart(item, transition))
    back = min(among, key=lambda item: _apart(nearest, item))
    return nearest if back is transition and _apart(nearest, transition) <= SAME_EVENT else None


def _apart(met: Met, transition: Transition) -> float:
    return abs(math.log(met.beta / transition.beta))


# -- depth -----------------------------------------------------------------------------------------------------------------


def deeper(walk: Sweep, repeat: Sweep, *, error_range: float) -> Iterator[Deeper]:
    """Yield where a repeat is proven to be on a deeper branch than a walk, by rising beta.

    Along a branch of minima L is concave in beta: between two points it lies above their chord, and below the tangents at both.
    """
    ours, theirs = list(_curves(walk)), list(_curves(repeat))
    grid = sorted({beta for curve in (*ours, *theirs) for beta in curve.betas})
    by = [_depth(ours, theirs, beta) for beta in grid]
    places = range(len(grid))
    for is_deeper, run in groupby(places, key=lambda k: by[k] > EQUALLY_DEEP * error_range):
        if is_deeper:
            stretch = list(run)
            low, high = (_border(ours, theirs, grid, stretch[end], step) for end, step in ((0, -1), (-1, 1)))
            yield Deeper(low, high, max(by[k] for k in stretch))


def _curves(walk: Sweep) -> Iterator[LossCurve]:
    """Yield L along every stretch of a walk between transitions of any size."""
    borders = {transition.after.index for transition in walk.transitions}
    stretch: list[Point] = []
    for point in walk.points:
        if point.index in borders and stretch:
            yield LossCurve.through(0, stretch)
            stretch = []
        if point.minimum.converged:
            stretch.append(point)
    if stretch:
        yield LossCurve.through(0, stretch)


def _depth(ours: Iterable[LossCurve], theirs: Iterable[LossCurve], beta: float) -> float:
    """Return by how much L of a repeat is less for certain, -inf where either is not known."""
    least = [bounds(curve, beta)[0] for curve in ours if curve.covers(beta)]
    most = [bounds(curve, beta)[1] for curve in theirs if curve.covers(beta)]
    return min(least) - min(most) if least and most else -math.inf


def bounds(curve: LossCurve, beta: float) -> tuple[float, float]:
    """Return between what L of a branch of minima lies at a beta that is covered: chord and tangents."""
    for point in curve.points:
        if point.beta == beta:
            return point.minimum.loss, point.minimum.loss
    a, b = next((a, b) for a, b in pairwise(curve.points) if a.beta < beta < b.beta)
    share = (beta - a.beta) / (b.beta - a.beta)
    chord = (1.0 - share) * a.minimum.loss + share * b.minimum.loss
    return chord, min(point.minimum.loss + (beta - point.beta) * point.norm_squared for point in (a, b))


def _border(ours: Sequence[LossCurve], theirs: Sequence[LossCurve], grid: Sequence[float], place: int, step: int) -> float:
    """Return where both are equally deep beyond an end of a stretch; that end, where they are not compared there."""
    inside, beyond = grid[place], place + step
    if not 0 <= beyond < len(grid):
        return inside
    outside = grid[beyond]
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if _difference(ours, theirs, middle) > 0.0 else (inside, middle)
    return inside


def _difference(ours: Iterable[LossCurve], theirs: Iterable[LossCurve], beta: float) -> float:
    mine = [curve.loss(beta) for curve in ours if curve.covers(beta)]
    other = [curve.loss(beta) for curve in theirs if curve.covers(beta)]
    return min(mine) - min(other) if mine and other else -math.inf
