"""What the parts of curvature.py share: one answer with its cost, and how two of them compare."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import curvature_peers as peers
from curvature_problems import Problem

ALIKE_ERRORS, ALIKE_SECONDS = 1.3, 1.1  # ratios up to which two errors, or two times, are level
ROUNDING = 1e-10  # relative errors below count as exact
OURS = "spinodal"
LAYERS, FEW_LAYERS = (32, 24), (8,)  # of the digits net, and with --small


@dataclass(frozen=True)
class Run:
    """One answer, its error bar if it has one, and its cost."""

    value: float
    seconds: float
    products: int
    stderr: float = math.nan
    gradients: float = math.nan
    reached: bool = True


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the seconds it took."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def gradient_seconds(problem: Problem) -> list[float]:
    """Return the seconds of a few gradients of PyTorch."""
    return [timed(lambda: peers.gradients(problem))[1] for _ in range(5)]


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean square."""
    return math.sqrt(statistics.fmean(value * value for value in values))


def median(runs: Sequence[Run], name: str) -> float:
    """Return the median of a number over runs."""
    return statistics.median(getattr(run, name) for run in runs)


def against(ours: float, theirs: float, alike: float) -> str:
    """Return whether a smaller number of ours is ahead of theirs."""
    if not math.isfinite(theirs):
        return "ahead"
    if ours < ROUNDING < theirs:
        return "ahead: exact"
    ratio = max(theirs, ROUNDING) / max(ours, ROUNDING)
    if 1 / alike <= ratio <= alike:
        return "level"
    return f"ahead {ratio:.2g}x" if ratio > 1 else f"behind {1 / ratio:.2g}x"


def failure(cause: Exception) -> str:
    """Return an error as a cell."""
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}".replace("|", "/")[:120]
