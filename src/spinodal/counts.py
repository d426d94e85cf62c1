"""What a computation cost, counted rather than timed."""

from __future__ import annotations

from dataclasses import astuple, dataclass

ERROR_COST = 0.4
HESSIAN_PRODUCT_COST = 2.5


@dataclass
class Counts:
    """Evaluations over the full sample.

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

    @property
    def gradient_equivalents(self) -> float:
        """Return the cost in gradients: error .4, gradient 1, Hessian product 2.5, dense Hessian 2.5 n.

        The convention charges a dense Hessian as n products, whatever cheaper way it was computed.
        """
        products = self.hessian_products + self.hessians * self.parameters
        return ERROR_COST * self.error_evaluations + self.gradient_evaluations + HESSIAN_PRODUCT_COST * products

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
        )

    def __add__(self, other: Counts) -> Counts:
        """Return the sum of two counts of the same landscape."""
        return Counts(
            self.error_evaluations + other.error_evaluations,
            self.gradient_evaluations + other.gradient_evaluations,
            self.hessian_products + other.hessian_products,
            self.hessians + other.hessians,
            max(self.parameters, other.parameters),
        )
