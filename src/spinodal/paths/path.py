"""A path between two points, with the error everywhere on it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from spinodal.codec import Record
from spinodal.counts import Counts
from spinodal.definitions import MACROSCOPIC
from spinodal.errors import SpinodalError
from spinodal.paths.alignment import Alignment
from spinodal.paths.jump import Jump
from spinodal.shown import Drawn, Shown

STATUSES = {
    "joined": "joined: nowhere on the path is E above its larger end by more than the tolerance",
    "nearly": "joined at low error: the barrier is below {part:.0%} of that of the straight line",
    "apart": "not joined: on the lowest path that was found E rises by {barrier:.6g} above its larger end",
}


@dataclass(frozen=True, repr=False)
class Stop(Shown):
    """One place on a path.

    Attributes
    ----------
    t : float
        Arc length from the first end, over the whole of it.
    theta : Tensor, shape (n,)
    """

    t: float
    theta: Tensor
    make: Callable[[Tensor], nn.Module] = field(repr=False)

    def __str__(self) -> str:
        """Return where on its path the model is."""
        return f"model at t = {self.t:.4g} of a path, norm {float(self.theta.norm()):.4g}"

    def module(self) -> nn.Module:
        """Return a copy of the model there, in evaluation mode."""
        return self.make(self.theta)


@dataclass(frozen=True)
class Along:
    """Order parameters at the points of a path, one value for each; None where they are not known.

    Attributes
    ----------
    norm : tuple of float
        `||theta||`.
    rank : tuple of int
        The effective rank.
    held_out_error : tuple of float, or None
        The loss over the held-out data.
    accuracy : mapping of "train" and "held_out" to tuples of float, or None
    """

    norm: tuple[float, ...]
    rank: tuple[int, ...]
    held_out_error: tuple[float, ...] | None = None
    accuracy: dict[str, tuple[float, ...] | None] = field(default_factory=lambda: {"train": None, "held_out": None})


@dataclass(frozen=True, repr=False)
class Path(Drawn, Record):
    """A path of straight segments from `a` to `b`, and E along all of it.

    Attributes
    ----------
    points : Tensor, shape (m, n)
        Both ends among them.
    error : tuple of float, length m
        E at the points.
    profile : tuple of (t, E)
        All places at which E was evaluated, t being arc length over the whole.
    uncertainty : float
        By how much E between these places may exceed the largest of them, as far as parabolas through them tell.
    straight : float
        The barrier of the straight line.
    tolerance : float
        Up to which a barrier counts as none.
    method : str
    way : str
        What found it, such as "L2 walk from a".
    jumps : tuple of Jump
        First-order transitions of the L2 walk, in the order in which it met them.
    along : Along
    stats : Counts
        Evaluations spent, those of other methods and of the other way among them.
    alignment : Alignment or None
        How the units of b were rearranged before.
    """

    JSON = (
        "method way reached status barrier barrier_over_mean barrier_straight=straight max_error uncertainty tolerance length "
        "distance t error profile along jumps alignment stats=stats.told"
    )

    points: Tensor
    error: tuple[float, ...]
    profile: tuple[tuple[float, float], ...]
    uncertainty: float
    straight: float
    tolerance: float
    method: str
    way: str
    jumps: tuple[Jump, ...]
    along: Along
    stats: Counts
    make: Callable[[Tensor], nn.Module] = field(repr=False)
    alignment: Alignment | None = None

    @cached_property
    def t(self) -> tuple[float, ...]:
        """Return the arc length of every point, over the whole."""
        lengths = (self.points[1:] - self.points[:-1]).norm(dim=1).double()
        arc = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]) / lengths.sum()
        return (*arc[:-1].tolist(), 1.0)

    @property
    def length(self) -> float:
        """Return the arc length."""
        return float((self.points[1:] - self.points[:-1]).norm(dim=1).double().sum())

    @property
    def distance(self) -> float:
        """Return the distance of the ends."""
        return float((self.points[-1] - self.points[0]).norm())

    @property
    def max_error(self) -> float:
        """Return the largest E that was met, at the points and between them."""
        return self.highest[1]

    @property
    def highest(self) -> tuple[float, float]:
        """Return the place t of the largest E, and E there."""
        return max(self.profile, key=lambda sample: sample[1])

    @property
    def barrier(self) -> float:
        """Return by how much the largest E exceeds that of the larger end, 0 or more."""
        return max(0.0, self.max_error - max(self.error[0], self.error[-1]))

    @property
    def barrier_over_mean(self) -> float:
        """Return the largest excess of E(t) over the straight interpolation `(1 - t) E(a) + t E(b)`, 0 or more."""
        first, last = self.error[0], self.error[-1]
        return max(0.0, *(error - (1.0 - t) * first - t * last for t, error in self.profile))

    @property
    def reached(self) -> bool:
        """Tell whether the path ends at b, to the last bit, without a barrier worth the name (see `status`)."""
        return self.outcome != "apart"

    @property
    def outcome(self) -> str:
        """Return a key of `STATUSES`."""
        if self.barrier + self.uncertainty <= self.tolerance:
            return "joined"
        return "nearly" if self.barrier <= MACROSCOPIC * self.straight else "apart"

    @property
    def status(self) -> str:
        """Return a sentence on whether the ends are joined."""
        return STATUSES[self.outcome].format(part=MACROSCOPIC, barrier=self.barrier)

    @property
    def evaluations(self) -> float:
        """Return what the search cost, in gradients over the full sample."""
        return self.stats.gradient_equivalents

    def at(self, t: float) -> Stop:
        """Return the place at arc length t, 0 at a and 1 at b, over the whole."""
        if not 0.0 <= t <= 1.0:
            raise SpinodalError(
                got=f"t = {t!r}", allowed="a number from 0 (the first end) to 1 (the last) is allowed", do="try 0.5"
            )
        segment = min(bisect_right(self.t, t), len(self.t) - 1) - 1
        first, last = self.t[segment], self.t[segment + 1]
        part = (t - first) / (last - first) if last > first else 0.0
        return Stop(t, torch.lerp(self.points[segment], self.points[segment + 1], part), self.make)

    def best(self) -> Stop:
        """Return the point of the smallest held-out error, or of the smallest E where there are no held-out data."""
        scores = self.along.held_out_error or self.error
        place = min(range(len(scores)), key=scores.__getitem__)
        return Stop(self.t[place], self.points[place], self.make)

    def __str__(self) -> str:
        """Return the path in one line."""
        least = min((value for value in self.along.accuracy.get("train") or () if value is not None), default=math.nan)
        accuracy = "" if math.isnan(least) else f", train accuracy at least {least:.4f}"
        return (
            f"{self.way}: {self.status}; largest E {self.max_error:.6g} at t = {self.highest[0]:.3f} "
            f"(ends {self.error[0]:.6g}, {self.error[-1]:.6g}; barrier of the straight line {self.straight:.6g}){accuracy}; "
            f"{len(self.points)} points, length {self.length / self.distance:.3g} of the distance, "
            f"{self.evaluations:,.0f} gradients"
        )
