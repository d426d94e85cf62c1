"""How many threads compute."""

from __future__ import annotations

import os

from spinodal.parallel import use_threads

__all__ = ["threads_for", "use_threads"]

SMALL = 20_000_000  # parameters times samples up to which one thread is as fast, and faster beside other programs


def threads_for(work: int, workers: int = 1) -> int:
    """Return the threads by the work of one evaluation, in parameters times samples, whatever else the machine does.

    Workers have their shares of the processors.
    """
    return 1 if work <= SMALL else max((os.cpu_count() or 1) // workers, 1)
