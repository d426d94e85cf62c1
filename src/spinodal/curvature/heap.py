"""Memory that is freed, and still held by the process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Return free pages of the heap to the system, where the C library knows how to (glibc).

    Graphs of large networks are made and freed by the megabyte, with small objects between them that stay: free blocks are
    broken up, new ones do not fit, and over many Hessian products a process was measured to hold twice what it uses.
    """
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # another C library, or Windows, where None names none
        return lambda _: None
    return trim
