"""What a walk proves about the places between its points: that no macroscopic jump was passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spinodal.definitions import MACROSCOPIC
from spinodal.sweeps.gap import gap
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True)
class Stretch:
    """A part of a walk about which the certificate cannot be given.

    Attributes
    ----------
    low, high : float
        In beta.
    reason : str
    """

    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Certificate:
    """How continuous a walk is between its points, transitions left out.

    On a branch of minima `dE = -beta d rho`, and both E and `-rho` only rise with beta. Where `-d rho/d beta` is
    between two points nowhere less than at the lower of both, no jump of E between them exceeds `Gap.hidden`.

    Attributes
    ----------
    largest : float
        The largest jump of E that may lie between two consecutive points of a complete stretch, over the range of E.
    incomplete : tuple of Stretch
        Where a macroscopic jump may have been passed over, by rising beta, and why.
    """

    largest: float
    incomplete: tuple[Stretch, ...]


def certify(points: Sequence[Point], transitions: Iterable[Transition]) -> Certificate:
    """Certify a walk from its points, in the order walked, and the transitions that it met."""
    errors = [point.height for point in points]
    extent = max(max(errors) - min(errors), 1e-300)
    crossed = {(item.before.index, item.after.index) for item in transitions}
    largest, stretches = 0.0, []
    for a, b in pairwise(points):
        if (a.index, b.index) in crossed:
            continue
        hidden = gap(a, b).hidden / extent
        if reason := _reason(a, b, hidden):
            stretches.append(Stretch(min(a.beta, b.beta), max(a.beta, b.beta), reason))
        else:
            largest = max(largest, hidden)
    return Certificate(largest, tuple(_joined(sorted(stretches, key=lambda item: item.low))))


def _reason(a: Point, b: Point, hidden: float) -> str:
    """Return why nothing can be said of the place between two points, empty where something can."""
    statuses = {point.minimum.status: None for point in (a, b) if not point.minimum.converged}
    if statuses:
        return f"no minimum was found at its ends, or at one of them ({'; '.join(statuses)})"
    if hidden >= MACROSCOPIC:
        return "the slopes at its ends do not prove that E changes without a jump of 1 % of its range"
    return ""


def _joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Yield neighbours of the same reason as one."""
    last: Stretch | None = None
    for item in stretches:
        if last is not None and item.low <= last.high and item.reason == last.reason:
            last = Stretch(last.low, max(last.high, item.high), last.reason)
            continue
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last
