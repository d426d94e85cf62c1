"""Numbers as the report's script gets them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

DIGITS = 7  # significant ones of what is drawn


def rounded(values: Iterable[float], digits: int = DIGITS) -> Sequence[float | None]:
    """Return rounded numbers, None for what JSON does not have.

    Examples
    --------
    >>> rounded([0.123456789, float("nan")])
    [0.1234568, None]
    """
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
