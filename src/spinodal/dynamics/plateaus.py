"""Plateaus of a curve and the escapes between them, each with how well it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from spinodal.codec import Record
from spinodal.definitions import PLATEAU_FLAT, PLATEAU_LONG

POINTS = 4  # of a plateau, at least
EARLY, LATE = 0.1, 0.9  # shares of a fall between which an escape happens


@dataclass(frozen=True)
class Plateau:
    """A stretch of epochs over which E hardly changes.

    Attributes
    ----------
    begin, end : float
        Epochs.
    error : float
        The median of E.
    spread : float
        Half of the difference between the largest and the smallest E.
    """

    begin: float
    end: float
    error: float
    spread: float


@dataclass(frozen=True)
class Escape(Record):
    """A fall of E from one plateau to the next.

    Attributes
    ----------
    epoch : float
        At which E is halfway between the two levels on a logarithmic scale.
    early, late : float
        Epochs at which a tenth and nine tenths of the way are done: how sharp the escape is.
    error : tuple of float
        Before and after.
    """

    JSON = "epoch early late error uncertainty"

    epoch: float
    early: float
    late: float
    error: tuple[float, float]

    @property
    def uncertainty(self) -> float:
        """Return half of the epochs that the fall takes."""
        return 0.5 * (self.late - self.early)


def plateaus(epochs: Sequence[float], errors: Sequence[float]) -> list[Plateau]:
    """Return the plateaus of a curve over rising epochs, in order; epoch 0 is left out, as the scale is logarithmic.

    Examples
    --------
    >>> epochs = [2.0**k for k in range(12)]
    >>> errors = [1.0 if epoch < 100 else 0.01 for epoch in epochs]
    >>> [(found.begin, found.end, found.error) for found in plateaus(epochs, errors)]
    [(1.0, 64.0, 1.0), (128.0, 2048.0, 0.01)]
    """
    known = [(epoch, error) for epoch, error in zip(epochs, errors, strict=True) if epoch > 0 and error > 0]
    found: list[list[tuple[float, float]]] = []
    is_open = False
    for before, after in pairwise(known):
        slope = math.log(after[1] / before[1]) / math.log(after[0] / before[0])
        if abs(slope) >= PLATEAU_FLAT:
            is_open = False
        elif is_open:
            found[-1].append(after)
        else:
            found.append([before, after])
            is_open = True
    return [_plateau(points) for points in found if len(points) >= POINTS and points[-1][0] >= PLATEAU_LONG * points[0][0]]


def escapes(epochs: Sequence[float], errors: Sequence[float], found: Sequence[Plateau]) -> list[Escape]:
    """Return the falls between neighbouring plateaus.

    Examples
    --------
    >>> epochs = [1.0, 2.0, 4.0, 8.0, 9.0, 10.0, 20.0, 40.0, 80.0]
    >>> errors = [1.0, 1.0, 1.0, 1.0, 0.1, 0.01, 0.01, 0.01, 0.01]
    >>> fall = escapes(epochs, errors, plateaus(epochs, errors))[0]
    >>> round(fall.epoch, 6), fall.error
    (9.0, (1.0, 0.01))
    """
    falls = []
    for before, after in pairwise(found):
        if after.error < before.error:
            high, low = math.log(before.error), math.log(after.error)
            levels = [math.exp(high + share * (low - high)) for share in (0.5, EARLY, LATE)]
            middle, early, late = (_when(epochs, errors, level, before.begin) for level in levels)
            falls.append(Escape(middle, early, late, (before.error, after.error)))
    return falls


def _plateau(points: Sequence[tuple[float, float]]) -> Plateau:
    values = sorted(error for _, error in points)
    return Plateau(points[0][0], points[-1][0], values[len(values) // 2], 0.5 * (values[-1] - values[0]))


def _when(epochs: Sequence[float], errors: Sequence[float], level: float, since: float) -> float:
    """Return the epoch, interpolated in the logarithm of E, at which E is first at a level after another epoch."""
    pairs = [(epoch, error) for epoch, error in zip(epochs, errors, strict=True) if epoch >= since and error > 0]
    for before, after in pairwise(pairs):
        if after[1] <= level * (1.0 + 1e-12) and before[1] > level:
            share = math.log(before[1] / level) / math.log(before[1] / after[1])
            return before[0] + share * (after[0] - before[0])
    return pairs[-1][0]
