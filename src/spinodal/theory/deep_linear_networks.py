"""Exact transitions of deep linear networks on whitened inputs.

`N` weight matrices, no biases, inputs with `X^T X / n = 1`, `E = mean ||f(x) - y||^2` (sum over
outputs), `L = E + beta ||theta||^2`. Each singular value `s` of the input-output covariance is one
mode; on the balanced branch its strength is `u = w^N` and

    V(w) = (s - w^N)^2 + N beta w^2 + const,      stationary where w^(N-2) (s - w^N) = beta.

N = 1 has no transition (`w = s / (1 + beta)`). N = 2 has a second-order one at `beta = s`. For
N >= 3 the live state ends at the spinodal (`V' = V'' = 0`) and equals the dead one at coexistence
(`V' = 0`, `V(w) = V(0)`). With centred inputs and targets biases change nothing.

The setting is that of Ziyin & Ueda (arXiv 2205.12510), the exact solution of L2
regularised linear nets; the formulas here follow from V by elementary calculus and are checked
numerically in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.arguments import real_number, sequence, whole_number
from spinodal.codec import Positive, Record
from spinodal.errors import SpinodalError


@dataclass(frozen=True)
class ExactTransition(Record):
    """One transition known in closed form.

    Attributes
    ----------
    singular_value : float
        The mode `s` that dies.
    order : {"first", "second"}
    beta : float
        Where an upward walk meets it: the spinodal (first order) or the critical point (second).
    coexistence : float or None
        Where the live and the dead mode have equal L; None for second order.
    """

    singular_value: float
    order: str
    beta: Positive
    coexistence: float | None


def deep_linear(singular_values: Sequence[float], *, matrices: int) -> list[ExactTransition]:
    """Return the transitions of a deep linear net with `matrices` weight matrices, by rising beta.

    Parameters
    ----------
    singular_values : of the input-output covariance, at most as many as the narrowest width
    matrices : N >= 1

    Raises
    ------
    SpinodalError
        For singular values that are not finite numbers > 0, or an N that is no whole number >= 1.

    Examples
    --------
    >>> [round(t.beta, 6) for t in deep_linear([0.9, 0.8], matrices=3)]
    [0.350882, 0.410549]
    >>> [round(t.coexistence, 6) for t in deep_linear([0.9, 0.8], matrices=3)]
    [0.294723, 0.344839]
    >>> deep_linear([0.9], matrices=2)[0].beta, deep_linear([0.9], matrices=1)
    (0.9, [])
    """
    depth = _depth(matrices)
    given = sequence("singular values", singular_values, of="finite numbers > 0", do="for example [0.9, 0.5]")
    values = [real_number(value) for value in given]
    if not all(0 < value < math.inf for value in values):
        raise SpinodalError(got=f"singular values {given}", allowed="finite values > 0 are allowed", do="remove the others")
    if depth == 1:
        return []
    return sorted((_transition(value, depth) for value in values), key=lambda found: found.beta)


def mode_strength(beta: float, singular_value: float, *, matrices: int) -> float:
    """Return `u = w^N` of the live branch at beta, or 0 beyond its end.

    Solves `w^(N-2) (s - w^N) = beta` for the root above the fold by bisection.

    Parameters
    ----------
    beta : >= 0
    singular_value : `s` > 0, of the input-output covariance
    matrices : N >= 1

    Raises
    ------
    SpinodalError
        For a beta or a singular value that is not finite or too small, or an N that is no whole number >= 1.

    Examples
    --------
    >>> mode_strength(0.4, 0.9, matrices=2)
    0.5
    >>> u = mode_strength(0.2, 0.9, matrices=3)
    >>> abs(u ** (1 / 3) * (0.9 - u) - 0.2) < 1e-12
    True
    """
    n, s, pull = _depth(matrices), real_number(singular_value), real_number(beta)
    if not 0 < s < math.inf:
        raise SpinodalError(
            got=f"singular_value = {singular_value!r}", allowed="a finite value > 0 is allowed", do="give a mode that is there"
        )
    if not 0 <= pull < math.inf:
        raise SpinodalError(got=f"beta = {beta!r}", allowed="a finite beta >= 0 is allowed", do="give a positive number")
    if n == 1:
        return s / (1.0 + pull)
    if n == 2:
        return max(s - pull, 0.0)
    return 0.0 if pull > _transition(s, n).beta else _above_the_fold(pull, s, n)


def _above_the_fold(beta: float, s: float, n: int) -> float:
    """Return the larger root u of `u^((n-2)/n) (s - u) = beta`, by bisection between the fold and s."""
    low, high = s * (n - 2) / (2 * n - 2), s
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle ** ((n - 2) / n) * (s - middle) > beta:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _depth(matrices: int) -> int:
    """Return the number of weight matrices, or refuse it."""
    try:
        return whole_number("matrices", matrices, least=1, do="give the depth")
    except SpinodalError as error:
        raise SpinodalError(got=error.got, allowed="N >= 1 weight matrices are allowed", do=error.do) from None


def _transition(s: float, matrices: int) -> ExactTransition:
    if matrices == 2:
        return ExactTransition(s, "second", s, None)
    n = matrices
    spinodal = (s * (n - 2) / (2 * n - 2)) ** ((n - 2) / n) * s * n / (2 * n - 2)
    coexistence = (s * (n - 2) / (n - 1)) ** ((n - 2) / n) * s / (n - 1)
    return ExactTransition(s, "first", spinodal, coexistence)
