"""Maxwell's point: the beta at which two branches have equal L, by Newton's method, whose slope is exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MOST = 20  # steps in beta


@dataclass(frozen=True)
class Difference:
    """How two branches compare at one beta.

    Attributes
    ----------
    loss : float
        `L_a - L_b`.
    heat : float
        `rho_a - rho_b`, which is the slope of the difference in beta (envelope theorem).
    """

    loss: float
    heat: float

    @property
    def step(self) -> float:
        """Return how far in beta the difference should vanish."""
        return -self.loss / self.heat if self.heat else math.inf


@dataclass(frozen=True)
class Meeting:
    """Where an iteration has come to.

    Attributes
    ----------
    beta : float
    stop : {"equal", "outside", "lost", "spent"}
        Equal L; the next step leaves the bounds; the branches could not be compared at beta; the steps are used up.
    """

    beta: float
    stop: str


def meeting(
    compare: Callable[[float], Difference | None],
    beta: float,
    *,
    bounds: tuple[float, float],
    is_equal: Callable[[float, Difference], bool],
    rises: bool = False,
    most: int = MOST,
) -> Meeting:
    """Return where two branches have equal L.

    Parameters
    ----------
    compare : callable ``beta -> Difference or None``
        None where a branch is lost.
    beta : float
        To begin with.
    bounds : (low, high)
        In which both are known.
    is_equal : callable (beta, Difference) -> bool
        Tells that one more step, by the slope alone, arrives.
    rises : bool
        Whether the difference is known to be negative at the lower bound and positive at the higher one. Then the zero is
        kept between bounds that close in, and a step that leaves them is replaced by their middle.
    most : int

    Examples
    --------
    `L_a = 0` and `L_b = 1 - beta^2`:

    >>> found = meeting(lambda b: Difference(b * b - 1, 2 * b), 3.0, bounds=(0, 9), is_equal=lambda b, d: abs(d.loss) < 1e-9)
    >>> found.stop, round(found.beta, 12)
    ('equal', 1.0)
    """
    low, high = bounds
    for _ in range(most):
        here = compare(beta)
        if here is None:
            return Meeting(beta, "lost")
        ahead = beta + here.step
        if is_equal(beta, here):
            return Meeting(ahead, "equal")
        if rises:
            low, high = (beta, high) if here.loss < 0.0 else (low, beta)
        if not low <= ahead <= high:
            if not rises:
                return Meeting(ahead, "outside")
            ahead = 0.5 * (low + high)
        beta = ahead
    return Meeting(beta, "spent")
