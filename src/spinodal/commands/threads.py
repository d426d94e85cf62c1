"""How many threads compute."""

from __future__ import annotations

import os

from spinodal.landscape import Landscape
from spinodal.parallel import use_threads

__all__ = ["threads_for", "threads_of", "use_threads", "workers_of"]

SMALL = 20_000_000  # parameters times samples up to which one thread is as fast, and faster beside other programs


def threads_for(work: int, workers: int = 1) -> int:
    """Return the threads by the work of one evaluation, in parameters times samples, whatever else the machine does.

    Workers have their shares of the processors.
    """
    return 1 if work <= SMALL else max((os.cpu_count() or 1) // workers, 1)


def threads_of(asked: int, recorded: int | None, landscape: Landscape, workers: int = 1) -> int:
    """Return the threads that compute a map: those asked for, of a run before, or that fit.

    A small problem has one, whatever is asked for: others round otherwise, and may end on another branch.
    """
    if _is_small(landscape):
        return recorded or 1
    return asked or recorded or (1 if landscape.shards is not None else threads_for(_work(landscape), workers))


def workers_of(threads: int, workers: int, landscape: Landscape) -> int:
    """Return the workers of a map: the threads that are asked for a small problem serve pieces that are independent."""
    return max(threads, workers) if _is_small(landscape) else workers


def _is_small(landscape: Landscape) -> bool:
    return landscape.shards is None and _work(landscape) <= SMALL


def _work(landscape: Landscape) -> int:
    return landscape.size * landscape.batches.total
