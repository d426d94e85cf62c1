"""Where a phase exists: its two ends with the reason for each, and where within it is the deepest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from spinodal.codec import Record
from spinodal.shown import Shown

Interval = tuple[float, float]


@dataclass(frozen=True, repr=False)
class Existence(Shown, Record):
    """The range of beta in which a phase is a local minimum of L.

    Attributes
    ----------
    range : (lowest, highest)
        In beta. The lowest is 0.0 where the phase stays a minimum for every beta > 0.
    lower_reason, upper_reason : str
        Why the range ends there, or how far it was followed without an end.
    stable : tuple of (lowest, highest)
        Where no deeper phase is known.
    metastable : tuple of (lowest, highest)
        Where a deeper phase is known; together with `stable` this is the range.
    """

    range: Interval
    lower_reason: str
    upper_reason: str
    stable: tuple[Interval, ...] = ()
    metastable: tuple[Interval, ...] = ()

    def __str__(self) -> str:
        """Return the range and where in it the phase is the deepest known."""
        deepest = ", ".join(f"{low:.6g} to {high:.6g}" for low, high in self.stable) or "nowhere"
        return f"beta {self.range[0]:.6g} to {self.range[1]:.6g}; the deepest phase known: {deepest}"


def divided(whole: Interval, stable: Iterable[Interval], known: Interval) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
    """Return the stable and the metastable parts of a range.

    Parameters
    ----------
    whole : the range
    stable : by rising beta, where the phase is the deepest among those known at its points
    known : from its first to its last point; what is true there is taken to hold to the ends of the range

    Examples
    --------
    >>> divided((0.0, 0.41), [(0.001, 0.34)], known=(0.001, 0.409))
    (((0.0, 0.34),), ((0.34, 0.41),))
    """
    edges = [[whole[0] if low <= known[0] else low, whole[1] if high >= known[1] else high] for low, high in stable]
    outer = [whole[0], *(edge for interval in edges for edge in interval), whole[1]]
    between = [(low, high) for low, high in list(pairwise(outer))[::2] if high > low]
    return tuple((low, high) for low, high in edges), tuple(between)
