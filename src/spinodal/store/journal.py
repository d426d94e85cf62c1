"""The journal of a run: one line per point, appended before the next point starts. It alone is the run."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save

from spinodal.errors import RunFolderError, SpinodalError
from spinodal.files import reading, write_whole, writing
from spinodal.labelled.result import SCHEMA
from spinodal.missing import is_final
from spinodal.store.record import from_record, number, text, to_record
from spinodal.sweeps.walk import Point

NAME = "journal.jsonl"
STATES = "states"
HEADER = {"kind": "header", "schema": SCHEMA, "made_by": "spinodal"}
CHECK = "crc32"  # the last key of a line: checksum of the line without it, continued from that of the line before
STATE_CHECK = "state_crc32"  # checksum of the file in `states/`
NOTHING = torch.empty(0, device="meta")
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OSError, OverflowError, RecursionError, SafetensorError)


class Journal:
    """An append-only record of points and notes; implements `spinodal.sweeps.walk.Recorder`.

    Every line is complete JSON with a checksum, which covers all lines before it as well: a line that was
    changed, lost, moved or taken from another run is found out. Theta and the tangent of a point lie in
    `states/`, their checksum in the point's line. A torn last line (a killed process) is cut off; anything
    else that is damaged is refused.

    Parameters
    ----------
    folder : Path
    read_only : bool
        Whether to write nothing at all, not even a repair: another process may be writing this journal.
        Where the folder has no `states/`, points then come without theta and tangent (on the meta device).
    anew : str
        What to do where the journal cannot be gone on with, said in refusals.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, anew: str = "start anew in another folder") -> None:
        self.folder, self.read_only, self.anew = folder, read_only, anew
        self.path = folder / NAME
        self.lines: list[dict[str, Any]] = []
        self._points: list[dict[str, Any]] = []
        self._notes: dict[str, dict[str, Any]] = {}
        self._elapsed = 0.0
        self._seal: int | None = 0  # of the last line; None in a journal of an older version, which has no checksums
        self._clock: Callable[[], float] = lambda: 0.0
        if self.path.exists():
            self._read()
        if not self.lines and not read_only:
            self._append(HEADER)

    # -- Recorder -----------------------------------------------------------------------------

    def recall(self, index: int, beta: float, origin: int | None) -> Point | None:
        """Return the recorded point of this request, or None if it was not computed yet."""
        if index >= len(self._points):
            return None
        line = self._points[index]
        if line["beta"] != beta or line["origin"] != origin:
            raise RunFolderError(
                got=f"point {index} of {self.path} was computed at beta = {line['beta']!r}, but this run asks for {beta!r}",
                allowed="only the version and settings that began a run can resume it",
                do=f"use the version in provenance.json, or {self.anew}",
            )
        return self.point(index)

    def keep(self, point: Point) -> None:
        """Record a point: first its state, then its line."""
        target = self.folder / _state_name(point.index)
        with writing(target):
            target.parent.mkdir(exist_ok=True)
            state = save({"theta": point.minimum.theta.contiguous(), "tangent": point.tangent.contiguous()})
            write_whole(target, state)
        where = {"state": _state_name(point.index), STATE_CHECK: zlib.crc32(state)}
        self._append({"kind": "point", **to_record(point), **where, "elapsed": self._total()})

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        if name not in self._notes:
            self._append({"kind": "note", "name": name, "value": make(), "elapsed": self._total()})
        value: dict[str, Any] = self._notes[name]["value"]
        return value

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, over all processes that worked on this run; of a finished run, its own."""
        result = self.latest("result")
        return self._elapsed + now if result is None or not is_final(result) else float(result["stats"]["seconds"])

    # -- reading and writing ------------------------------------------------------------------

    def time_with(self, clock: Callable[[], float]) -> None:
        """Take the seconds of this process from `clock`."""
        self._clock = clock

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Return a recorded fact, or None if it is not there."""
        value: dict[str, Any] | None = self._notes.get(name, {}).get("value")
        return value

    def latest(self, name: str) -> dict[str, Any] | None:
        """Return what a fact was last renewed to, or None if it is not there."""
        return self.recorded(_numbered(name, max(self._times(name), 1)))

    def renew(self, name: str, value: dict[str, Any]) -> None:
        """Record a fact that takes the place of the one of this name, under a name with the next number: nothing is changed."""
        self.note(_numbered(name, self._times(name) + 1), lambda: value)

    def _times(self, name: str) -> int:
        """Return how often a fact was recorded."""
        return next(number for number in count() if _numbered(name, number + 1) not in self._notes)

    def point(self, index: int) -> Point:
        """Return a recorded point."""
        if index < 0:
            raise IndexError(index)
        line = self._points[index]
        with self._reading_state(line):
            state = self._state(line)
        return from_record(line, state["theta"], state["tangent"])

    def verify(self, index: int) -> None:
        """Refuse a point whose state is not the one that was recorded; this reads all of it."""
        line = self._points[index]
        with self._reading_state(line):
            self._verify_state(line)

    @property
    def count(self) -> int:
        """Return the number of recorded points."""
        return len(self._points)

    @property
    def elapsed(self) -> float:
        """Return the seconds spent on what is recorded."""
        return self._elapsed

    def origin(self, index: int) -> int | None:
        """Return the point from which a recorded one was followed."""
        origin: int | None = self._points[index]["origin"]
        return origin

    @property
    def last_beta(self) -> float | None:
        """Return beta of the point recorded last."""
        beta: float | None = self._points[-1]["beta"] if self._points else None
        return beta

    def _total(self) -> float:
        return self._elapsed + self._clock()

    def _append(self, line: dict[str, Any]) -> None:
        plain = json.dumps(line, allow_nan=False)
        seal = None if self._seal is None else zlib.crc32(plain.encode(), self._seal)
        mode: Literal["r+b", "ab"] = "r+b" if self.lines else "ab"  # a journal that is gone is not begun anew in the middle
        with writing(self.path), self.path.open(mode, buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                _write(file, _sealed(plain, seal))
            except OSError:
                with suppress(OSError):
                    file.truncate(end)  # half a line is no end for the next one
                raise
        self._seal = seal
        self._take(json.loads(plain))  # as it will be read

    def _take(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if line["kind"] == "point":
            self._points.append(line)
        elif line["kind"] == "note":
            self._notes[line["name"]] = line

    def _read(self) -> None:
        """Read all lines, cutting off a torn last one (and a last point whose state is not there)."""
        with reading(self.path):
            whole = self.path.read_bytes()
        end = 0
        pieces = whole.split(b"\n")
        if len(pieces) == 1 and not HEADER_LINE.startswith(whole):
            raise self._foreign()  # no torn beginning of a journal: to cut it off would lose it
        for place, piece in enumerate(pieces[:-1], start=1):
            line = self._parse(piece, place, last=place == len(pieces) - 1)
            if line is None:
                break
            self._take(line)
            end += len(piece) + 1
        if end < len(whole) and not self.read_only:
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(end)
        self._elapsed = max((float(line.get("elapsed", 0.0)) for line in self.lines), default=0.0)

    def _parse(self, piece: bytes, place: int, *, last: bool) -> dict[str, Any] | None:
        """Return a line, None if it is the last one and torn; refuse anything else."""
        try:
            line = json.loads(piece, parse_constant=_no_constant)
            if place == 1:
                self._check_header(line)
            seal = self._checked_seal(line)
            if place > 1:
                self._check_line(line)
        except DAMAGE as cause:
            if isinstance(cause, SpinodalError):
                raise
            if last and place > 1:
                return None
            raise RunFolderError(
                got=f"line {place} of {self.path} is damaged ({type(cause).__name__})",
                allowed="only a torn last line can be repaired",
                do=f"restore the file from a copy, or {self.anew}",
            ) from cause
        self._seal = seal
        return dict(line)

    def _checked_seal(self, line: Any) -> int | None:
        """Take the checksum out of a line and return it, or refuse it (JSON that was read is written as it was)."""
        if not isinstance(line, dict):
            raise TypeError(line)
        check = line.pop(CHECK, None)
        if self._seal is None or (line == HEADER and check is None):
            return None
        if check != zlib.crc32(json.dumps(line).encode(), self._seal):
            raise ValueError(check)
        return int(check)

    def _check_line(self, line: dict[str, Any]) -> None:
        if not number(line.get("elapsed", 0.0)) >= 0.0:
            raise ValueError(line["elapsed"])
        if line["kind"] == "note":
            if text(line["name"]) in self._notes or not isinstance(line["value"], dict):
                raise ValueError(line["name"])
            return
        from_record(line, NOTHING, NOTHING)
        if line["kind"] != "point" or line["index"] != self.count or line["state"] != _state_name(self.count):
            raise ValueError(line["index"])
        if not self.read_only:
            self._verify_state(line)
            self._state(line)

    def _check_header(self, line: Any) -> None:
        if not isinstance(line, dict) or line.get("made_by") != "spinodal":
            raise self._foreign()
        if line.get("schema") != SCHEMA:
            raise RunFolderError(
                got=f"{self.path} has schema {line.get('schema')!r}",
                allowed=f"schema {SCHEMA} is allowed",
                do=f"use the version of spinodal that wrote it (provenance.json), or {self.anew}",
            )

    def _foreign(self) -> RunFolderError:
        return RunFolderError(
            got=f"{self.path} is not a journal of this program", allowed="a run folder is allowed", do=self.anew
        )

    def _state(self, line: dict[str, Any]) -> dict[str, torch.Tensor]:
        shape = (line["minimum"]["stats"]["parameters"],)
        if self.read_only and not (self.folder / STATES).exists():
            return dict.fromkeys(("theta", "tangent"), torch.empty(shape, dtype=torch.float64, device="meta"))
        state = _loaded(self.folder / line["state"])
        if set(state) != {"theta", "tangent"} or any(value.shape != shape for value in state.values()):
            raise ValueError(line["state"])
        return state

    def _verify_state(self, line: dict[str, Any]) -> None:
        if line.get(STATE_CHECK) not in (None, _checksum(self.folder / line["state"])):
            raise ValueError(line["state"])

    @contextmanager
    def _reading_state(self, line: dict[str, Any]) -> Iterator[None]:
        """Refuse a state that cannot be read back."""
        try:
            yield
        except DAMAGE as cause:
            raise RunFolderError(
                got=f"{self.folder / line['state']} is missing or damaged",
                allowed="the state of every point is needed",
                do=f"restore it from a copy, or {self.anew}",
            ) from cause


def refuse_loss(folder: Path) -> None:
    """Refuse a folder that has states but no journal, before a new one writes over them."""
    journal, states = folder / NAME, folder / STATES
    with reading(journal):
        begun = journal.exists() and journal.stat().st_size > 0
        if not begun and states.is_dir() and any(states.iterdir()):
            raise RunFolderError(
                got=f"{journal} is missing or empty, but there are states of points in {states}",
                allowed="a run with its journal is needed",
                do="restore it from a copy, or start anew in another folder",
            )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} {number}"


def _state_name(index: int) -> str:
    return f"{STATES}/{index:06d}.safetensors"


def _sealed(plain: str, seal: int | None) -> bytes:
    """Return a line of the file from its JSON, the checksum as the last key."""
    return f"{plain}\n".encode() if seal is None else f'{plain[:-1]}, "{CHECK}": {seal}}}\n'.encode()


HEADER_LINE = _sealed(json.dumps(HEADER), zlib.crc32(json.dumps(HEADER).encode()))


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, mapped: read from disk where they are used."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # safetensors opens no path that is not valid text
        return dict(load(path.read_bytes()))
    return dict(load_file(path))


def _checksum(path: Path) -> int:
    """Return the checksum of a file, read piece by piece."""
    check = 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            check = zlib.crc32(piece, check)
    return check


def _write(file: FileIO, content: bytes) -> None:
    """Write all of it, through to the disk; one call may write a part only."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
    os.fsync(file.fileno())


def _no_constant(name: str) -> None:
    """Refuse NaN and infinities, which no journal holds and JSON does not know."""
    raise ValueError(name)
