"""IDX files, gzipped or not: arrays of bytes with their shape in front, as the MNIST images are published."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from spinodal.errors import SpinodalError

MAGIC = b"\x00\x00\x08"  # two zeros, and the code of unsigned bytes
CHUNK = 2**20  # bytes read at once: a false shape asks for no more memory than there are data
DO = "fetch it again, or check what it is"


def read_idx(path: Path, *, axes: int) -> np.ndarray:
    """Return the array of an IDX file of bytes, with so many axes.

    Raises
    ------
    SpinodalError
        For a file that cannot be read, holds something else, or does not have the length that its shape says.
    """
    try:
        with _opened(path) as file:
            shape = _shape(path, file, axes)
            content = _at_most(file, math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise _refused(got=f"{path} cannot be read: {cause}") from cause
    if len(content) != math.prod(shape):
        how = "truncated" if len(content) < math.prod(shape) else "longer than its shape says"
        raise _refused(got=f"{path} is {how}: {len(content):,} bytes of {' x '.join(map(str, shape))}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _opened(path: Path) -> BinaryIO:
    """Open a file, through gzip if it begins as gzipped files do, whatever its name is."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb") if zipped else path.open("rb"))


def _shape(path: Path, file: BinaryIO, axes: int) -> tuple[int, ...]:
    head = file.read(4)
    if len(head) < 4 or head[:3] != MAGIC or head[3] != axes:
        raise _refused(got=f"{path} does not begin as an IDX file of bytes with {axes} ax{'e' if axes > 1 else 'i'}s")
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise _refused(got=f"{path} is truncated: it ends within its shape")
    return struct.unpack(f">{axes}I", sizes)


def _at_most(file: BinaryIO, most: int) -> bytes:
    """Read a file to its end, or just past `most` bytes."""
    parts, left = list[bytes](), most
    while left > 0 and (part := file.read(min(CHUNK, left))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _refused(got: str) -> SpinodalError:
    return SpinodalError(got=got, allowed="a whole IDX file of unsigned bytes, gzipped or not, is allowed", do=DO)
