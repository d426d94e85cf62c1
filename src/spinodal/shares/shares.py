"""Shares of basins: of random starts at several beta, how many reach which phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spinodal.codec import Record, keyed
from spinodal.shown import Drawn
from spinodal.sweeps.point import Point

if TYPE_CHECKING:
    import xarray

SCHEMA = 1
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share(Record):
    """Of the starts at one beta, those that reach one phase.

    Attributes
    ----------
    beta : float
    phase : int
    count, of : int
        Starts that reach it, and all that reach a minimum.
    point : Point or None
        The deepest minimum of the phase that was reached; None where no start reaches it.
    """

    JSON = "beta phase count of share interval error rank"

    beta: float
    phase: int
    count: int
    of: int
    point: Point | None

    @property
    def share(self) -> float:
        """Return the part of the starts."""
        return self.count / self.of if self.of else 0.0

    @property
    def error(self) -> float | None:
        """Return E of that minimum."""
        return None if self.point is None else self.point.error

    @property
    def rank(self) -> int | None:
        """Return the rank of that minimum."""
        return None if self.point is None else self.point.observation.rank

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's interval of the share, which covers the true one in 95 % of such samples.

        Examples
        --------
        >>> low, high = Share(0.1, 0, 32, 64, None).interval
        >>> round(low, 3), round(high, 3)
        (0.381, 0.619)
        """
        if not self.of:
            return 0.0, 1.0
        from scipy.stats import binomtest  # slow to import

        found = binomtest(self.count, self.of).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, repr=False)
class Shares(Drawn):
    """Which phases training from random starts reaches.

    Attributes
    ----------
    task, convention : str
    beta : tuple of float
        Rising.
    seeds : tuple of int
        Of the starts, the same at every beta.
    mapped : tuple of int
        Phases of the map that was given; the others are new, and numbered after them.
    shares : tuple of Share
        Of every phase at every beta, by phase.
    unsettled : tuple of int
        At each beta, starts whose search ended in no minimum.
    """

    task: str
    convention: str
    beta: tuple[float, ...]
    seeds: tuple[int, ...]
    mapped: tuple[int, ...]
    shares: tuple[Share, ...]
    unsettled: tuple[int, ...]

    @property
    def phases(self) -> tuple[int, ...]:
        """Return all phases."""
        return tuple(dict.fromkeys(item.phase for item in self.shares))

    @property
    def new(self) -> tuple[int, ...]:
        """Return the phases that only starts found."""
        return tuple(phase for phase in self.phases if phase not in self.mapped)

    def of(self, phase: int) -> tuple[Share, ...]:
        """Return the shares of a phase, by rising beta."""
        return tuple(item for item in self.shares if item.phase == phase)

    def at(self, beta: float) -> tuple[Share, ...]:
        """Return the shares at a beta, those that were reached, the largest first."""
        found = [item for item in self.shares if item.beta == beta and item.count]
        return tuple(sorted(found, key=lambda item: (-item.count, item.phase)))

    def rank(self, phase: int) -> int | None:
        """Return the rank of a phase where most starts reach it; None where none does."""
        return max(self.of(phase), key=lambda item: item.count).rank

    def to_dict(self) -> dict[str, Any]:
        """Return the shares in JSON types; every key is always present."""
        return {
            "schema": SCHEMA,
            **keyed(self, "task convention beta seeds"),
            "confidence": CONFIDENCE,
            "phases": [{"id": phase, "rank": self.rank(phase), "new": phase in self.new} for phase in self.phases],
            **keyed(self, "shares unsettled"),
        }

    def to_xarray(self) -> xarray.Dataset:
        """Return shares, counts and intervals as labelled arrays along `phase` and `beta`."""
        import xarray  # slow to import

        rows = [self.of(phase) for phase in self.phases]
        axes = ("phase", "beta")
        variables: dict[str, Any] = {
            "share": (axes, [[item.share for item in row] for row in rows]),
            "count": (axes, [[item.count for item in row] for row in rows]),
            "interval": ((*axes, "side"), [[item.interval for item in row] for row in rows]),
            "unsettled": ("beta", list(self.unsettled)),
        }
        labels = {"phase": list(self.phases), "beta": list(self.beta), "side": ["lower", "upper"]}
        return xarray.Dataset(variables, labels, {"title": f"shares of {self.task}", "convention": self.convention})

    def __str__(self) -> str:
        """Return what was reached at each beta."""
        return "\n".join(
            f"At beta = {beta:.6g}: {_said(self.at(beta))}." + (f" {lost} starts ended in no minimum." if lost else "")
            for beta, lost in zip(self.beta, self.unsettled, strict=True)
        )


def _said(found: Sequence[Share]) -> str:
    return "; ".join(
        f"{item.share:.0%} ({item.interval[0]:.0%} to {item.interval[1]:.0%}) of {item.of} starts reach phase {item.phase}"
        for item in found
    )
