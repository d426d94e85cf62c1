"""What the parts of dynamics.py share: rows that are shown as they come, and shares with their intervals."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from scipy.stats import binomtest


def shown(rows: Iterable[list[str]]) -> list[list[str]]:
    """Return rows, each printed to standard error as soon as it is known."""
    kept = []
    for row in rows:
        print(" | ".join(row), file=sys.stderr, flush=True)
        kept.append(row)
    return kept


def wilson(count: int, of: int) -> str:
    """Return the interval of 95 % of a share, in percent, by Wilson's score."""
    interval = binomtest(count, of).proportion_ci(0.95, method="wilson")
    return f"{100 * interval.low:.0f}-{100 * interval.high:.0f}"
