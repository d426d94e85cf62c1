"""The largest error between two points of a path, to a stated accuracy, from few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from spinodal.codec import Unbounded

HALVINGS = 10  # of an interval, before what is not known of it is left as an uncertainty
Sample = tuple[float, Unbounded]  # place between 0 and 1, and the error there


@dataclass(frozen=True)
class Interval:
    """E along one straight segment.

    Attributes
    ----------
    samples : tuple of (place, E)
        Where E was evaluated, places from 0 to 1 in rising order.
    uncertainty : float
        By how much E may exceed the largest sample, as far as the samples tell.
    """

    samples: tuple[Sample, ...]
    uncertainty: float = 0.0

    @property
    def highest(self) -> Sample:
        """Return the sample of the largest E."""
        return max(self.samples, key=lambda sample: sample[1])

    @property
    def bound(self) -> float:
        """Return the largest E that the samples leave possible."""
        return self.highest[1] + self.uncertainty


def measured(
    error: Callable[[float], float],
    first: float,
    last: float,
    *,
    below: float,
    tolerance: float,
    level: float = math.inf,
    relative: float = 0.0,
) -> Interval:
    """Return E along a segment, from the error at a place in it and the errors at its ends.

    The parabola through three samples is compared with samples at its quarters. An interval is done where the largest
    difference is at most `tolerance` or the part `relative` of the height over `level`, or where the largest value that
    parabola and difference allow exceeds neither `below` nor what was met elsewhere; else its halves follow.

    Examples
    --------
    The top of a cosine, in eleven evaluations:

    >>> import math
    >>> found = measured(lambda t: math.sin(2.5 * t), 0.0, math.sin(2.5), below=0.0, tolerance=1e-2)
    >>> abs(found.bound - 1.0) < 1e-2
    True
    """
    middle = error(0.5)
    samples = {0.0: first, 0.5: middle, 1.0: last}
    unknown = -math.inf
    waiting = [(0.0, 1.0)]
    while waiting:
        low, high = waiting.pop(0)
        quarters = [low + part * (high - low) for part in (0.25, 0.75)]
        parabola = _Parabola(samples[low], samples[(low + high) / 2], samples[high])
        samples |= {place: error(place) for place in quarters}
        off = max(abs(samples[place] - parabola(part)) for place, part in zip(quarters, (0.25, 0.75), strict=True))
        largest = max(parabola.largest, *(samples[place] for place in (low, *quarters, (low + high) / 2, high)))
        top = max(samples.values())
        enough = max(tolerance, relative * (top - level))
        if math.isinf(top):
            return Interval(tuple(sorted(samples.items())))
        if off <= enough or largest + off <= max(below, top) or high - low < 2.0**-HALVINGS:
            unknown = max(unknown, largest + off)
        else:
            waiting += [(low, (low + high) / 2), ((low + high) / 2, high)]
    found = tuple(sorted(samples.items()))
    return Interval(found, max(0.0, unknown - max(samples.values())))


@dataclass(frozen=True)
class _Parabola:
    """The parabola through values at 0, 1/2 and 1."""

    first: float
    middle: float
    last: float

    def __call__(self, part: float) -> float:
        bend, slope = self._terms
        return self.first + part * (slope + part * bend)

    @property
    def _terms(self) -> tuple[float, float]:
        bend = 2.0 * (self.first - 2.0 * self.middle + self.last)
        return bend, self.last - self.first - bend

    @property
    def largest(self) -> float:
        """Return the largest value between 0 and 1."""
        bend, slope = self._terms
        top = -slope / (2.0 * bend) if bend < 0.0 else 2.0
        return max(self.first, self.last, self(top) if 0.0 < top < 1.0 else self.first)
