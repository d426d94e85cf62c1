"""One entry of a journal: what was computed, in JSON types, and the tensors beside it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from safetensors.torch import load, load_file
from torch import Tensor

from spinodal.errors import RunFolderError, refusing
from spinodal.store.log import ANEW, DAMAGE, Line, checksum

STATES = "states"
STATE_CHECK = "state_crc32"  # checksum of the file in `states/`
KINDS = ("point", "note", "trajectory", "path", "member")
Shapes = Mapping[str, tuple[int, ...]]
NUMBER = "number"  # the kind of a line that gives a point its number once the map comes to it


@dataclass(frozen=True)
class Entry:
    """What a journal holds under a key.

    Attributes
    ----------
    kind : {"point", "note", "trajectory", "path", "member"}
    key : str
    record : dict in JSON types
    state : Path or None
        The file with its tensors.
    """

    kind: str
    key: str
    record: dict[str, Any]
    state: Path | None
    check: int | None

    def tensors(self, shapes: Shapes | None = None) -> dict[str, Tensor]:
        """Return the tensors, read from disk where they are used; none where there are none.

        Raises
        ------
        RunFolderError
            If their file is missing or damaged, or holds tensors of other shapes than are given.
        """
        if self.state is None and shapes is None:
            return {}
        with self._reading():
            return self.checked_tensors(shapes)

    def verify(self) -> None:
        """Refuse tensors that are not those that were recorded; this reads all of them."""
        with self._reading():
            self.check_state()

    def check_state(self) -> None:
        """Raise one of `DAMAGE` where the file of the tensors is not the one that was recorded."""
        if self.state is not None and self.check not in (None, checksum(self.state)):
            raise ValueError(self.state)

    def checked_tensors(self, shapes: Shapes | None = None) -> dict[str, Tensor]:
        """Return the tensors, or raise one of `DAMAGE`."""
        if self.state is None:
            raise ValueError(self.state)
        found = _loaded(self.state)
        if shapes is not None and {name: tuple(value.shape) for name, value in found.items()} != dict(shapes):
            raise ValueError(self.state)
        return found

    def _reading(self) -> AbstractContextManager[None]:
        got, do = f"{self.state} is missing or damaged", f"restore it from a copy, or {ANEW}"
        return refusing(DAMAGE, got, allowed="the state of every point is needed", do=do, by=RunFolderError)


def entry_of(line: Line, folder: Path) -> Entry:
    """Return the entry of a line; raise ValueError where it names a file that is not its own."""
    name = line.get("state")
    if name is not None and name != state_name(line["key"], line.get("number")):
        raise ValueError(name)
    return Entry(
        kind=text(line["kind"]),
        key=text(line["key"]),
        record=line["record"],
        state=None if name is None else folder / name,
        check=line.get(STATE_CHECK),
    )


def text(value: object) -> str:
    """Return a text as it is, and refuse what is none: a key is no word to be printed."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def state_name(key: str, number: int | None = None) -> str:
    """Return the file of an entry's tensors: named by the number that it had from the beginning, or by its key."""
    stem = blake2b(key.encode(), digest_size=8).hexdigest() if number is None else f"{number:06d}"
    return f"{STATES}/{stem}.safetensors"


def _loaded(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, mapped: read from disk where they are used."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # safetensors opens no path that is not valid text
        return dict(load(path.read_bytes()))
    return dict(load_file(path))
