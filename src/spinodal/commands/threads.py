"""How many threads compute."""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits

SMALL = 20_000_000  # parameters times samples up to which one thread is as fast, and faster beside other programs


def threads_for(work: int) -> int:
    """Return the threads by the work of one evaluation, in parameters times samples, whatever else the machine does."""
    return 1 if work <= SMALL else os.cpu_count() or 1


def use_threads(threads: int) -> None:
    """Fix the threads of everything that computes; more than there are processors only wait for each other, or crash it."""
    usable = min(threads, os.cpu_count() or 1)
    torch.set_num_threads(usable)
    threadpool_limits(usable)
