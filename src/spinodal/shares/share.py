"""Of the starts at one beta, those that reach one phase, with an interval of confidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spinodal.sweeps.point import Point

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """Of the starts at one beta, those that reach one phase.

    Attributes
    ----------
    beta : float
    phase : int or None
        None: those that ended at no minimum.
    count, of : int
        Starts that reach it, and all starts.
    point : Point or None
        The deepest minimum of the phase that was reached; None where no start reaches it.
    """

    beta: float
    phase: int | None
    count: int
    of: int
    point: Point | None = None

    @property
    def share(self) -> float:
        """Return the part of the starts."""
        return self.count / self.of

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's interval of the share, which covers the true one in 95 % of such samples.

        Examples
        --------
        >>> low, high = Share(0.1, 0, 32, 64).interval
        >>> round(low, 3), round(high, 3)
        (0.381, 0.619)
        """
        from scipy.stats import binomtest  # slow to import

        found = binomtest(self.count, self.of).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    def to_dict(self) -> dict[str, Any]:
        """Return the share in JSON types."""
        found = {"beta": self.beta, "phase": self.phase, "count": self.count, "of": self.of}
        ends = {"share": self.share, "interval": list(self.interval)}
        if self.point is None:
            return {**found, **ends, "error": None, "rank": None, "point": None}
        return {
            **found, **ends, "error": self.point.error, "rank": self.point.observation.rank, "point": self.point.index
        }  # fmt: skip
