"""A safetensors file: 8 bytes that tell the length of a JSON header, the header, and the numbers."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spinodal.store.checkpoint.refusal import AGAIN, line, opened, refused


def read_safetensors(place: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, or refuse it with what is wrong with it."""
    _check(place)
    try:
        with opened(place):
            return dict(load_file(place))
    except (SafetensorError, ValueError, KeyError, AttributeError, RuntimeError, MemoryError) as cause:
        raise refused(place, f"is a damaged safetensors file ({line(cause)})", AGAIN) from cause


def _check(place: Path) -> None:
    """Refuse a file that is cut off, or whose header means two things, in words that the library does not have."""
    with opened(place), place.open("rb") as file:
        size = place.stat().st_size
        (length,) = struct.unpack("<Q", file.read(8))
        if 8 + length > size:
            raise refused(place, f"is a safetensors file that is cut off: its header has {length} bytes, it {size}", AGAIN)
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=without_doubles)
        ends = [0, *(int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__")]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as cause:
        raise refused(place, f"is a safetensors file with a damaged header ({line(cause)})", AGAIN) from cause
    if 8 + length + max(ends) > size:
        needed = 8 + length + max(ends)
        raise refused(place, f"is a safetensors file that is cut off: its tensors end at byte {needed} of {size}", AGAIN)


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; ValueError if it gives a name twice, of which readers take one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it gives {twice!r} twice")  # noqa: EM102 - becomes part of a refusal
    return found
