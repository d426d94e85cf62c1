"""What a solver hands back: a point, and why it stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

AT_KINK = "kink"  # of a search that ends where the slope of L jumps
STUCK = (AT_KINK, "precision", "gradient", "conditioned")  # reasons of a search that no longer moves
LOST = ("unbounded", "not finite")  # reasons to end where there is no minimum to be found
UNDERWAY = "underway"  # of a search that may go on from where it came to, with a Hessian of that place
GIVEN_UP = ("left", UNDERWAY)  # reasons of a search that did not go to its end
UNBOUNDED = 1e30  # L below minus this is taken to have no minimum


@dataclass(frozen=True)
class Solution:
    """The end of one solver's run.

    `stop` is a key of `STATUSES` (or "still", inside a solver); `hessian` is that of `Regularised.hessian` at
    `theta` where the solver happens to have it, and `inverse` applies what the search has learnt of its inverse.
    """

    theta: Tensor
    value: float
    gradient: Tensor
    iterations: int
    stop: str
    hessian: Tensor | None = None
    inverse: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Departure:
    """Tells a search that is far from where it should have stayed, so that it may be given up.

    Attributes
    ----------
    error, most : float
        E there, and how far from it a point that is loosely minimised may lie.
    floor : float
        What L cannot be less than there, however loosely it is minimised.
    expected : Tensor, shape (n,), or None
        Where it should have ended,
    reach : float
        and how far from there it may.
    """

    error: float
    most: float
    floor: float = -math.inf
    expected: Tensor | None = None
    reach: float = math.inf

    def __call__(self, error: float, theta: Tensor) -> bool:
        """Tell from E and theta whether a point that is loosely minimised lies elsewhere."""
        has_strayed = self.expected is not None and float((theta - self.expected).norm()) > self.reach
        return has_strayed or abs(error - self.error) > self.most


def hopeless(value: float) -> str:
    """Return why a search that has come to `value` should end, "" if it should not."""
    if math.isnan(value):
        return "not finite"
    return "" if value > -UNBOUNDED else "unbounded"


class Stillness:
    """Notices a search that neither falls nor calms any more: the limit of rounding, or a kink.

    A fall has to exceed rounding at every step since the last one: along a valley that is narrow for its length a search may go
    on for hundreds of steps, each of which lowers L by less than it is known.
    """

    STILL = 5e-14

    def __init__(self, patience: int = 8) -> None:
        self.patience = patience
        self.fallen_to = self.calmest = float("inf")
        self.count = 0

    def after(self, value: float, residual: float) -> bool:
        """Take a step's L and residual; tell whether nothing has moved for `patience` steps."""
        fell = value < self.fallen_to - self.STILL * (1 + abs(value)) * (1 + self.count)
        calmer = residual < 0.99 * self.calmest
        self.count = 0 if fell or calmer else self.count + 1
        self.fallen_to = min(self.fallen_to, value) if self.count == 0 else self.fallen_to
        self.calmest = min(self.calmest, residual)
        return self.count >= self.patience
