"""Of the starts at one beta, those that reach one phase, with an interval of confidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from spinodal.codec import Record
from spinodal.sweeps.point import Point

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share(Record):
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

    JSON = "beta phase count of share interval error rank point=index"

    beta: float
    phase: int | None
    count: int
    of: int
    point: Point | None = None

    @property
    def share(self) -> float:
        """Return the part of the starts."""
        return self.count / self.of

    @property
    def error(self) -> float | None:
        """Return E of that minimum."""
        return None if self.point is None else self.point.error

    @property
    def rank(self) -> int | None:
        """Return the rank of that minimum."""
        return None if self.point is None else self.point.observation.rank

    @property
    def index(self) -> int | None:
        """Return the number of that minimum, in the journal where there is one."""
        return None if self.point is None else self.point.index

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
