"""Exact transitions of the regularised linear autoencoder, on any data.

`x -> W2 W1 x` without biases, `E = mean ||x - W2 W1 x||^2` (sum over pixels),
`L = E + beta (||W1||^2 + ||W2||^2)`. With `C = X^T X / n_samples` and its eigenvalues
`sigma_1^2 >= sigma_2^2 >= ...`, the minimiser keeps the directions `i` (up to the hidden width) with
`beta < sigma_i^2`, each with singular value `sqrt(1 - beta / sigma_i^2)` in either matrix:

    E = sum over dead i of sigma_i^2 + sum over live i of beta^2 / sigma_i^2
    ||theta||^2 = 2 sum over live i of (1 - beta / sigma_i^2)

a cascade of second-order transitions at `beta = sigma_i^2`. The setting is that of Kunin, Bloom, Goeva
& Seed (arXiv 1901.08168), whose sum-regularised loss this is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.arguments import real_number, sequence, whole_number
from spinodal.errors import SpinodalError
from spinodal.theory.deep_linear_networks import ExactTransition


@dataclass(frozen=True)
class LinearAutoencoder:
    """The minimiser in closed form at any beta.

    Parameters
    ----------
    eigenvalues : all eigenvalues of the covariance, >= 0
    hidden : width of the code, >= 1

    Raises
    ------
    SpinodalError
        For eigenvalues that are no finite numbers >= 0, or a width below 1.

    Examples
    --------
    >>> exact = LinearAutoencoder([4.0, 1.0, 0.25], hidden=2)
    >>> [item.beta for item in exact.transitions]
    [1.0, 4.0]
    >>> exact.rank(0.5), exact.rank(2.0), exact.error(2.0), exact.norm_squared(2.0)
    (2, 1, 2.25, 1.0)
    """

    eigenvalues: Sequence[float]
    hidden: int

    def __post_init__(self) -> None:
        """Sort the eigenvalues, strongest first."""
        values = sequence("eigenvalues", self.eigenvalues, of="finite numbers >= 0", do="for example (4, 1)")
        numbers = [real_number(value) for value in values]
        if not all(0 <= value < math.inf for value in numbers):
            raise SpinodalError(
                got=f"eigenvalues = {values}", allowed="finite numbers >= 0 are allowed", do="give those of X^T X / n_samples"
            )
        whole_number("hidden", self.hidden, least=1, do="give the width of the code")
        object.__setattr__(self, "eigenvalues", tuple(sorted(numbers, reverse=True)))

    @property
    def transitions(self) -> list[ExactTransition]:
        """Return the transitions by rising beta, one per positive eigenvalue up to the hidden width."""
        strongest = [value for value in self.eigenvalues[: self.hidden] if value > 0]
        return [ExactTransition(math.sqrt(value), "second", value, None) for value in reversed(strongest)]

    def rank(self, beta: float) -> int:
        """Return the number of live directions."""
        return len(self._live(beta))

    def error(self, beta: float) -> float:
        """Return E."""
        live = self._live(beta)
        return sum(self.eigenvalues[len(live) :]) + sum(beta**2 / value for value in live)

    def singular_values(self, beta: float) -> list[float]:
        """Return those of either weight matrix, `min(hidden, number of eigenvalues)` of them, largest first."""
        live = self._live(beta)
        dead = min(self.hidden, len(self.eigenvalues)) - len(live)
        return [math.sqrt(1.0 - beta / value) for value in live] + [0.0] * dead

    def norm_squared(self, beta: float) -> float:
        """Return `||W1||^2 + ||W2||^2`."""
        return 2.0 * sum(1.0 - beta / value for value in self._live(beta))

    def _live(self, beta: float) -> Sequence[float]:
        return [value for value in self.eigenvalues[: self.hidden] if value > beta]
