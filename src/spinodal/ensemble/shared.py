"""A transition as the maps of an ensemble met it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, TypeVar

from spinodal.codec import Record, keyed
from spinodal.conventions import weight_decay
from spinodal.phases.repeat import Spread, width_beyond
from spinodal.phases.step import Step
from spinodal.shown import Shown
from spinodal.words.numbers import to_error

T = TypeVar("T")


@dataclass(frozen=True)
class Seen(Record):
    """A transition of one map.

    Attributes
    ----------
    member : str
        The name of the map.
    step : Step
        The transition there, with the phases on both sides.
    beta : float
        Where the phase that is left ends: its spinodal, where a branch was followed, else the transition of the walk.
    coexistence : float or None
        Where that phase is as deep as what it falls into; None where that was not sought or found.
    """

    JSON = "member beta bracket=step.transition.bracket order=step.transition.order phases ranks coexistence"

    member: str
    step: Step
    beta: float
    coexistence: float | None

    @property
    def phases(self) -> tuple[int, int]:
        """Return the phases before and after, in the direction walked."""
        return self.step.phases if self.step.transition.direction == "up" else self.step.phases[::-1]

    @property
    def ranks(self) -> tuple[int, int]:
        """Return their ranks."""
        return self.step.along[0]


@dataclass(frozen=True, repr=False)
class SharedTransition(Shown):
    """One transition, in every map that met it.

    Attributes
    ----------
    id : int
        By rising beta, those of a way back last.
    direction : {"up", "down"}
        In which beta was walked.
    seen : tuple of Seen
        In the order of the maps.
    of : int
        How many maps there are.
    """

    id: int
    direction: str
    seen: tuple[Seen, ...]
    of: int

    @property
    def met(self) -> int:
        """Return how many maps met it."""
        return len(self.seen)

    @property
    def beta(self) -> float:
        """Return the mean of beta over the maps that met it."""
        return fmean(item.beta for item in self.seen)

    @property
    def deviation(self) -> float | None:
        """Return the standard deviation of beta from map to map (n - 1 below); None where one map met it."""
        return _deviation([item.beta for item in self.seen])

    @property
    def spread(self) -> Spread:
        """Return the range of beta, and the least width of it that brackets leave."""
        places = [item.beta for item in self.seen]
        width = width_beyond([_holding(item) for item in self.seen])
        return Spread(self.met, self.of, min(places), max(places), width)

    @property
    def coexistence(self) -> float | None:
        """Return the mean beta of coexistence, where that is known."""
        return fmean(self._equal) if self._equal else None

    @property
    def ranks(self) -> tuple[int, int]:
        """Return the ranks before and after, in the direction walked, in most of the maps."""
        return self._most(lambda step: step.along[0])

    @property
    def order(self) -> str:
        """Return the order in most of the maps."""
        return self._most(lambda step: step.transition.order)

    @property
    def lost_classes(self) -> tuple[int, ...] | None:
        """Return the classes lost in most of the maps; None without classes."""
        known = [item.step.along[1] for item in self.seen if item.step.classes is not None]
        return most_common(known) if known else None

    @property
    def _equal(self) -> list[float]:
        return [item.coexistence for item in self.seen if item.coexistence is not None]

    def _most(self, what: Callable[[Step], T]) -> T:
        return most_common(what(item.step) for item in self.seen)

    def __str__(self) -> str:
        """Return where it is, and how many maps met it."""
        spread = "" if self.deviation is None else f" +- {self.deviation:.1e}"
        before, after = self.ranks
        place = to_error(self.beta, 0.1 * (self.deviation or 0.0))
        return f"rank {before} -> {after} at beta = {place}{spread}, met by {self.met} of {self.of} maps"

    def to_dict(self, *, is_l2: bool) -> dict[str, Any]:
        """Return it in JSON types; `weight_decay` is None along another control than the L2 penalty."""
        return {
            **keyed(self, "id direction met of beta"),
            "weight_decay": weight_decay(self.beta) if is_l2 else None,
            "deviation": self.deviation,
            **keyed(self.spread, "low high width"),
            "coexistence": self.coexistence,
            "coexistence_deviation": _deviation(self._equal),
            **keyed(self, "order ranks lost_classes seen"),
        }


def most_common(values: Iterable[T]) -> T:
    """Return what occurs most often, of several the first.

    Examples
    --------
    >>> most_common(["second", "first", "first"])
    'first'
    """
    return Counter(values).most_common(1)[0][0]


def _holding(item: Seen) -> tuple[float, float]:
    """Return the bracket, stretched to a polished end that lies a little beside it."""
    low, high = item.step.transition.bracket
    return min(low, item.beta), max(high, item.beta)


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None
