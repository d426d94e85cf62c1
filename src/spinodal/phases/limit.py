"""A transition of softened networks, extrapolated to the network as given and compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.codec import Record

LEAST = 3  # values of sharpness that an extrapolation needs


@dataclass(frozen=True)
class Side(Record):
    """A minimum of the network as given, on one side of where a transition should be.

    Attributes
    ----------
    beta, error : float
        Where L of the network as given was minimised, from the phase before the transition, and E where that ended.
    stays : bool
        Whether E is nearer to that of the phase before the transition than to that of the phase behind it.
    """

    beta: float
    error: float
    stays: bool


@dataclass(frozen=True)
class Limit(Record):
    """Where a macroscopic transition goes as the sharpness s of softened kinks grows.

    Attributes
    ----------
    points : (int, int)
        The sides of the transition in the map, by their numbers.
    sharpness, beta : tuple of float
        The transition at every sharpness, which doubles.
    limit : float or None
        Of the network as given: what is left of a term in 1/s is taken off, `2 beta(s) - beta(s / 2)`.
    error : float or None
        By how much that may be wrong: the larger of `|limit - beta(s)|` and of the change of the limit at the last doubling,
        or the smallest of 2, 4 and 8 times that which the network as given confirms.
    sides : tuple of Side
        The network as given on either side of the limit, no farther than the error where that is confirmed, in the direction
        walked.
    reason : str
        Why there is no limit, or why it begins or ends at less than was asked for; empty where nothing is to be said.
    """

    JSON = "points sharpness beta limit error sides reason confirmed=is_confirmed"

    points: tuple[int, int]
    sharpness: tuple[float, ...]
    beta: tuple[float, ...]
    limit: float | None = None
    error: float | None = None
    sides: tuple[Side, ...] = ()
    reason: str = ""

    @property
    def is_confirmed(self) -> bool:
        """Tell whether the network as given stays in the phase on the near side, and has left it on the far one."""
        return [side.stays for side in self.sides] == [True, False]


def extrapolated(beta: Sequence[float], half_bracket: float) -> tuple[float, float] | None:
    """Return the limit of a sequence whose sharpness doubles, and its error; None where it is too short.

    Examples
    --------
    A sequence `b + c / s` is taken to b, and said to be off by no more than the way there:

    >>> limit, error = extrapolated([1.0 + 0.1 / s for s in (1, 2, 4)], 0.0)
    >>> round(limit, 12), round(error, 12)
    (1.0, 0.025)
    """
    if len(beta) < LEAST:
        return None
    last, before = 2.0 * beta[-1] - beta[-2], 2.0 * beta[-2] - beta[-3]
    return last, max(abs(last - beta[-1]), abs(last - before), half_bracket)
