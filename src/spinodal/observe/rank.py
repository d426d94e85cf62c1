"""Singular values and effective rank of weight matrices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from spinodal.definitions import RANK, RANK_LEAST


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
    floor = max(RANK * max(values, default=0.0), RANK_LEAST)
    return sum(value > floor for value in values)


def telling(shapes: Mapping[str, Sequence[int]], idle: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Return the matrices whose rank tells anything, by shape (rows, columns), and a clause on those left out.

    Left out are matrices that E does not depend on, and those of one row or column, whose rank is 1 or 0 whatever the
    model does, unless there are no others.

    Examples
    --------
    >>> telling({"body": (4, 3), "token": (1, 4), "pooler": (4, 4)}, idle=("pooler",))
    (('body',), 'left out: pooler, which E does not depend on, and token, of one row or column')
    """
    used = [name for name in shapes if name not in idle]
    wide = [name for name in used if min(shapes[name]) > 1]
    chosen = wide or used
    unused, thin = [name for name in shapes if name in idle], [name for name in used if name not in chosen]
    parts = [
        f"{', '.join(names)}, {why}"
        for names, why in ((unused, "which E does not depend on"), (thin, "of one row or column"))
        if names
    ]
    return tuple(chosen), f"left out: {', and '.join(parts)}" if parts else ""
