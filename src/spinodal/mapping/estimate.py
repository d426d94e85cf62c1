"""How far a walk in log beta has come, and how long the rest of it will take."""

from __future__ import annotations

from collections.abc import Callable

from spinodal.mapping.progress import log_fraction


class Estimate:
    """Follows a walk through a range of beta; in a loop the way up is the first half and the way back the second.

    Parameters
    ----------
    direction : {"up", "down", "loop"}
    clock : callable -> float
        Seconds.

    Examples
    --------
    >>> now = iter([0.0, 6.0])
    >>> estimate = Estimate("up", clock=lambda: next(now))
    >>> estimate.begin(0.01, 1.0)
    >>> estimate.move(0.1)
    >>> estimate.fraction, estimate.remaining()
    (0.5, 6.0)
    """

    def __init__(self, direction: str, *, clock: Callable[[], float]) -> None:
        self.direction, self.clock = direction, clock
        self.limits: tuple[float, float] | None = None
        self.fraction = 0.0
        self._began = 0.0
        self._last = 0.0
        self._returning = False

    def begin(self, low: float, high: float) -> None:
        """Hear the range of beta; the walk begins now."""
        self.limits, self._began, self._last = (low, high), self.clock(), low

    def move(self, beta: float) -> None:
        """Hear where the walk is."""
        if self.limits is None:
            return
        walked = log_fraction(beta, *self.limits)
        self._returning = self.direction == "loop" and (self._returning or beta < self._last)
        self._last = beta
        if self.direction == "loop":
            self.fraction = 1.0 - 0.5 * walked if self._returning else 0.5 * walked
        else:
            self.fraction = 1.0 - walked if self.direction == "down" else walked

    def remaining(self) -> float | None:
        """Return the seconds that the rest will take at the pace so far; None before anything was walked."""
        if self.limits is None or not 0.0 < self.fraction < 1.0:
            return None
        return (self.clock() - self._began) * (1.0 - self.fraction) / self.fraction


def duration(seconds: float) -> str:
    """Return seconds in words.

    Examples
    --------
    >>> duration(7.4), duration(100), duration(7300)
    ('7 s', '2 min', '2.0 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
