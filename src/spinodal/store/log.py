"""A file of sealed lines: each complete JSON with a checksum of all that came before; only a torn last line is repaired."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from spinodal.errors import RunFolderError, SpinodalError
from spinodal.files import reading, writing

ANEW = "start anew in another folder"  # what to do where a run cannot be gone on with
CHECK = "crc32"  # the last key of a line: checksum of the line without it, continued from that of the line before
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OSError, OverflowError, RecursionError, SafetensorError)

Line = dict[str, Any]


class Log:
    """An append-only file of JSON lines.

    A line's checksum covers all lines before it as well: a line that was changed, lost, moved or taken from another file
    is found out. A torn last line (a killed process) is cut off; anything else that is damaged is refused.

    Parameters
    ----------
    path : Path
    header : dict
        The first line of a new file; it is written with the first append.
    check : callable ``(line, place) -> None``
        Raises one of `DAMAGE` for a line that means nothing, a `SpinodalError` for one that is refused whatever its place.
    read_only : bool
        Whether nothing is written, not even a repair.
    """

    def __init__(self, path: Path, header: Line, check: Callable[[Line, int], None], *, read_only: bool = False) -> None:
        self.path, self.header, self.read_only = path, header, read_only
        self._check = check
        self._seal: int | None = 0  # of the last line; None in a file of an older version, which has no checksums
        self.is_begun = False

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are there, cutting off a torn last one."""
        with reading(self.path):
            whole = self.path.read_bytes()
        end, pieces = 0, whole.split(b"\n")
        if len(pieces) == 1 and not sealed(self.header).startswith(whole):
            raise self.foreign()  # no torn beginning of a file of ours: to cut it off would lose it
        for place, piece in enumerate(pieces[:-1], start=1):
            line = self._parsed(piece, place, last=place == len(pieces) - 1)
            if line is None:
                break
            self.is_begun = True
            yield line
            end += len(piece) + 1
        if end < len(whole) and not self.read_only:
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(end)

    def append(self, line: Line) -> Line:
        """Write a line, through to the disk, and return it as it will be read."""
        plain = json.dumps(line, allow_nan=False)
        seal = None if self._seal is None else zlib.crc32(plain.encode(), self._seal)
        mode: Literal["r+b", "ab"] = "r+b" if self.is_begun else "ab"  # one that is gone is not begun anew in the middle
        with writing(self.path), self.path.open(mode, buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                _write(file, _sealed(plain, seal))
            except OSError:
                with suppress(OSError):
                    file.truncate(end)  # half a line is no end for the next one
                raise
        self._seal, self.is_begun = seal, True
        read: Line = json.loads(plain)
        return read

    def foreign(self) -> RunFolderError:
        """Return the refusal of a file of another program."""
        return RunFolderError(got=f"{self.path} is not a journal of this program", allowed="a run folder is allowed", do=ANEW)

    def _parsed(self, piece: bytes, place: int, *, last: bool) -> Line | None:
        """Return a line, None if it is the last one and torn; refuse anything else."""
        try:
            line = json.loads(piece, parse_constant=_no_constant)
            if place == 1:
                self._check(line, place)  # before its checksum: a file of others has none
            seal = self._checked_seal(line)
            if place > 1:
                self._check(line, place)
        except DAMAGE as cause:
            if isinstance(cause, SpinodalError):
                raise
            if last and place > 1:
                return None
            raise RunFolderError(
                got=f"line {place} of {self.path} is damaged ({type(cause).__name__})",
                allowed="only a torn last line can be repaired",
                do=f"restore the file from a copy, or {ANEW}",
            ) from cause
        self._seal = seal
        return dict(line)

    def _checked_seal(self, line: Any) -> int | None:
        """Take the checksum out of a line and return it, or refuse it (JSON that was read is written as it was)."""
        if not isinstance(line, dict):
            raise TypeError(line)
        check = line.pop(CHECK, None)
        if self._seal is None or (check is None and not self.is_begun):
            return None
        if check != zlib.crc32(json.dumps(line).encode(), self._seal):
            raise ValueError(check)
        return int(check)


def sealed(first: Line) -> bytes:
    """Return a first line as it lies in a file."""
    plain = json.dumps(first)
    return _sealed(plain, zlib.crc32(plain.encode()))


def checksum(path: Path) -> int:
    """Return the checksum of a file, read piece by piece."""
    check = 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            check = zlib.crc32(piece, check)
    return check


def _sealed(plain: str, seal: int | None) -> bytes:
    """Return a line of the file from its JSON, the checksum as the last key."""
    return f"{plain}\n".encode() if seal is None else f'{plain[:-1]}, "{CHECK}": {seal}}}\n'.encode()


def _write(file: FileIO, content: bytes) -> None:
    """Write all of it, through to the disk; one call may write a part only."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
    os.fsync(file.fileno())


def _no_constant(name: str) -> None:
    """Refuse NaN and infinities, which no journal holds and JSON does not know."""
    raise ValueError(name)
