"""Singular values and effective rank of weight matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

RELATIVE, ABSOLUTE = 0.1, 1e-3


def singular_values(matrix: Tensor) -> tuple[float, ...]:
    """Return the singular values of a matrix, shape (rows, columns), in falling order."""
    return tuple(float(value) for value in torch.linalg.svdvals(matrix.double()))


def effective_rank(values: Sequence[float]) -> int:
    """Return the number of singular values above `max(0.1 * largest, 1e-3)`.

    Not the algebraic rank: weak modes below a tenth of the strongest do not count.

    Examples
    --------
    >>> effective_rank([2.0, 0.5, 0.1])
    2
    >>> effective_rank([1e-4, 1e-5])
    0
    """
    floor = max(RELATIVE * max(values, default=0.0), ABSOLUTE)
    return sum(value > floor for value in values)
