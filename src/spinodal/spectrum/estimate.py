"""A number with its error bar: how it was computed, what it cost, what it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from spinodal.codec import Record, Unbounded, one_of
from spinodal.counts import Counts
from spinodal.shown import Shown

STATUSES = {
    "exact": "exact: computed from all second derivatives",
    "estimated": "estimated from random probes; the standard error is their own",
    "not reached": "not reached: the error bar is still wider than was asked for; give a larger budget",
}


def student(count: int) -> float:
    """Return the standard deviation of Student's t: few observations are uncertain of their own spread; infinite up to three.

    Examples
    --------
    >>> round(student(11), 3), student(3)
    (1.118, inf)
    """
    return math.sqrt((count - 1) / (count - 3)) if count > 3 else math.inf


@dataclass(frozen=True, repr=False)
class Estimate(Shown, Record):
    """A scalar, exact or from random probes.

    Attributes
    ----------
    value : float
    stderr : float
        One standard error; 0 where the value is exact, infinite where the budget was too small to know.
    products : int
        Hessian products used; a dense Hessian counts as n of them.
    method : str
        "dense", or the name of the estimator.
    seed : int
        Of the probes.
    status : str
        A key of `STATUSES`.
    caveats : tuple of str
        What this number leaves out, if anything: sentences.
    spent : Counts
        All evaluations, gradients and products.

    Examples
    --------
    >>> print(Estimate(-2.0, 0.0, products=2, method="dense"))
    -2 (exact, 2 products)
    >>> print(Estimate(96.2, 0.45, products=40, method="probes", status="estimated"))
    96.2 +- 0.45 (probes, 40 products)
    """

    JSON = "value stderr products method seed status caveats"

    value: float
    stderr: Unbounded
    products: int
    method: str
    seed: int = 0
    status: Annotated[str, one_of(STATUSES)] = "exact"
    caveats: tuple[str, ...] = ()
    spent: Counts = field(default_factory=Counts)

    @property
    def relative(self) -> float:
        """Return the standard error relative to the value."""
        return self.stderr / abs(self.value) if self.value else math.inf if self.stderr else 0.0

    def __float__(self) -> float:
        """Return the value."""
        return self.value

    def __str__(self) -> str:
        """Return the number in one line."""
        if self.status == "exact":
            return f"{self.value:.6g} (exact, {self.products} products)"
        missed = ", less exact than asked for" if self.status == "not reached" else ""
        return f"{self.value:.6g} +- {self.stderr:.2g} ({self.method}, {self.products} products{missed})"
