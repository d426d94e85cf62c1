"""What a computation cost, counted rather than timed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from spinodal.definitions import ERROR_COST, GRADIENT_COST, HESSIAN_PRODUCT_COST

PASS_MULTIPLICATIONS = 3  # of a gradient, for each parameter and sample: one forwards, two backwards
MATRIX_SPEED = 2.0  # how much faster products of large matrices are than such passes, multiplication for multiplication


@dataclass
class Counts:
    """Evaluations over the full sample.

    `passes` are what dense Hessians took, and factorisations of large matrices, in gradients.

    Examples
    --------
    >>> spent = Counts(error_evaluations=5, gradient_evaluations=1, hessian_products=2)
    >>> spent.gradient_equivalents
    8.0
    """

    error_evaluations: int = 0
    gradient_evaluations: int = 0
    hessian_products: int = 0
    hessians: int = 0
    parameters: int = 0
    passes: int = 0

    @property
    def told(self) -> dict[str, float]:
        """Return the counts as results state them, with their sum."""
        return {**vars(self), "gradient_equivalents": self.gradient_equivalents}

    @property
    def gradient_equivalents(self) -> float:
        """Return the cost in gradients: error .4, gradient 1, Hessian product 2.5, and `passes`.

        A dense Hessian is charged what the method that computed it did (see `Method.passes` in `spinodal.landscape.hessian`).
        """
        plain = ERROR_COST * self.error_evaluations + GRADIENT_COST * self.gradient_evaluations
        return plain + HESSIAN_PRODUCT_COST * self.hessian_products + self.passes

    def copy(self) -> Counts:
        """Return an independent copy."""
        return Counts(*astuple(self))

    def __sub__(self, other: Counts) -> Counts:
        """Return what was spent since `other`."""
        return Counts(
            self.error_evaluations - other.error_evaluations,
            self.gradient_evaluations - other.gradient_evaluations,
            self.hessian_products - other.hessian_products,
            self.hessians - other.hessians,
            self.parameters,
            self.passes - other.passes,
        )

    def __add__(self, other: Counts) -> Counts:
        """Return the sum of two counts of the same landscape."""
        return Counts(
            self.error_evaluations + other.error_evaluations,
            self.gradient_evaluations + other.gradient_evaluations,
            self.hessian_products + other.hessian_products,
            self.hessians + other.hessians,
            max(self.parameters, other.parameters),
            self.passes + other.passes,
        )


class Ledger:
    """Where a landscape and its twins write what they spend: on every account that is open.

    Examples
    --------
    >>> ledger = Ledger(parameters=3)
    >>> with ledger.counting() as outer:
    ...     ledger.charge(gradient_evaluations=1)
    ...     with ledger.counting() as inner:
    ...         ledger.charge(gradient_evaluations=2)
    ...     with ledger.uncounted():
    ...         ledger.charge(gradient_evaluations=4)
    >>> outer.gradient_evaluations, inner.gradient_evaluations, ledger.total.gradient_evaluations
    (3, 2, 3)
    """

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters
        self.total = Counts(parameters=parameters)
        self._open = [self.total]

    def charge(self, **spent: int) -> None:
        """Write evaluations, named as in `Counts`, on every open account."""
        for account in self._open:
            for name, number in spent.items():
                setattr(account, name, getattr(account, name) + number)

    def add(self, spent: Counts) -> None:
        """Write what was spent elsewhere on every open account."""
        self.charge(**{name: number for name, number in vars(spent).items() if name != "parameters"})

    @contextmanager
    def counting(self) -> Iterator[Counts]:
        """Open an account for as long as a block runs; it can be read at any time."""
        account = Counts(parameters=self.parameters)
        self._open.append(account)
        try:
            yield account
        finally:
            self._open = [other for other in self._open if other is not account]

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Charge no account that was opened outside of a block: what is done again, or to check the code, is no cost."""
        outer, self._open = self._open, []
        try:
            yield
        finally:
            self._open = outer


def passes_of(multiplications: float, *, parameters: int, samples: int) -> int:
    """Return what products of large matrices cost in gradients over so many samples, at least 1.

    Examples
    --------
    The Cholesky factor of 1,482 parameters, with 1,797 samples:

    >>> passes_of(1482**3 / 6, parameters=1482, samples=1797)
    34
    """
    one = PASS_MULTIPLICATIONS * max(parameters, 1) * max(samples, 1)
    return max(1, math.ceil(multiplications / (MATRIX_SPEED * one)))
