"""A uniform grid of weight_decay."""

from __future__ import annotations

import math

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError

Grid = tuple[float, float, float]  # START, STOP and STEP of weight_decay
MOST = 100_000  # values of a grid
SLACK = 1e-6  # of a step: how far STOP may lie beyond the last one


def decays_on(grid: Grid) -> tuple[float, ...]:
    """Return the values of a grid of weight_decay, from START to STOP, both included, or refuse one that is none.

    Examples
    --------
    >>> decays_on((0.0, 0.06, 0.02))
    (0.0, 0.02, 0.04, 0.06)
    >>> len(decays_on((0.0, 0.09, 0.0002)))
    451
    """
    numbers = tuple(real_number(value) for value in grid) if isinstance(grid, tuple | list) else ()
    if len(numbers) == 3 and all(math.isfinite(value) for value in numbers):
        start, stop, step = numbers
        count = math.floor((stop - start) / step + SLACK) + 1 if step > 0.0 else 0
        if start >= 0.0 and 3 <= count <= MOST:
            return tuple(float(f"{start + place * step:.12g}") for place in range(count))
    raise SpinodalError(
        got=f"grid = {grid!r}",
        allowed=f"0 <= START < STOP and STEP > 0 with 3 to {MOST:,} values of weight_decay are allowed",
        do="for example 0:0.09:0.0002",
    )
