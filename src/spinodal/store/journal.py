"""The journal of a run: one line per entry, appended before what builds on it starts. It alone is the run."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from spinodal.codec import read
from spinodal.errors import RunFolderError
from spinodal.files import reading, write_whole, writing
from spinodal.missing import is_final
from spinodal.store.beside import Beside
from spinodal.store.entry import KINDS, NUMBER, STATE_CHECK, STATES, Entry, entry_of, state_name, text
from spinodal.store.log import ANEW, Line, Log
from spinodal.store.older import modern
from spinodal.store.record import read_point
from spinodal.sweeps.point import Point
from spinodal.sweeps.request import Request

NAME = "journal.jsonl"
SCHEMA = 2  # of the journal; that of a result is its own
OLDER = 1  # which can be read, but not gone on with
HEADER = {"kind": "header", "schema": SCHEMA, "made_by": "spinodal"}
NOTHING = torch.empty(0, device="meta")


class Journal:
    """An append-only record of what was computed, found again by the key of what was asked for.

    An entry has a kind, a key, a record in JSON types and tensors, which lie in `states/` with their checksum in the
    entry's line. Every line is sealed (see `Log`). It implements `spinodal.sweeps.walk.Recorder`: points are entries, known
    by their requests, and have numbers besides, in the order in which the map came to them.

    Parameters
    ----------
    folder : Path
    read_only : bool
        Whether to write nothing at all, not even a repair: another process may be writing this journal.
        Where the folder has no `states/`, points then come without theta and tangent (on the meta device).

    Examples
    --------
    Whoever computes asks first, and adds before going on:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder))
    ...     if (entry := journal.find("path 0 to 1")) is None:
    ...         entry = journal.add("path", "path 0 to 1", {"barrier": 0.25}, {"images": torch.eye(2)})
    ...     again = Journal(Path(folder), read_only=True).find("path 0 to 1")
    ...     (again.kind, again.record["barrier"], again.tensors()["images"].sum().item())
    ('path', 0.25, 2.0)
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder, self.read_only = folder, read_only
        self.path = folder / NAME
        self._log = Log(self.path, HEADER, self._check, read_only=read_only)
        self._entries: dict[str, Entry] = {}
        self._numbers: dict[str, int] = {}
        self._numbered: list[Entry] = []
        self._elapsed = 0.0
        self._clock: Callable[[], float] = lambda: 0.0
        self._is_old = False
        if self.path.exists():
            for line in self._log.lines():
                self._take(line)
                self._elapsed = max(self._elapsed, float(line.get("elapsed", 0.0)))
        if not self._log.is_begun and not read_only:
            self._log.append(HEADER)

    # -- entries ------------------------------------------------------------------------------

    def find(self, key: str) -> Entry | None:
        """Return what was recorded under a key, None if it was not computed yet."""
        return self._entries.get(key)

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Entry:
        """Record what was computed, through to the disk, and return it: first its tensors, then its line.

        Parameters
        ----------
        kind : {"point", "note", "trajectory", "path", "member"}
        key : str
            Of what was asked for. What is recorded stays: the same key twice is an error.
        record : mapping in JSON types, without NaN and infinities
        tensors : mapping of names to tensors, optional
        """
        return self._added(kind, key, record, tensors or {})

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        entry = self.find(name) or self.add("note", name, make())
        return entry.record

    def beside(self, scope: str) -> Beside:
        """Return a recorder for work that is not part of the map itself, under keys of its own."""
        return Beside(self, scope)

    def recorded(self, name: str) -> dict[str, Any] | None:
        """Return a recorded fact, or None if it is not there."""
        entry = self.find(name)
        return None if entry is None else entry.record

    def latest(self, name: str) -> dict[str, Any] | None:
        """Return what a fact was last renewed to, or None if it is not there."""
        return self.recorded(_numbered(name, max(self._times(name), 1)))

    def renew(self, name: str, value: dict[str, Any]) -> None:
        """Record a fact that takes the place of the one of this name, under a name with the next number: nothing is changed."""
        self.add("note", _numbered(name, self._times(name) + 1), value)

    def _times(self, name: str) -> int:
        """Return how often a fact was recorded."""
        return next(times for times in count() if _numbered(name, times + 1) not in self._entries)

    # -- time ---------------------------------------------------------------------------------

    def time_with(self, clock: Callable[[], float]) -> None:
        """Take the seconds of this process from `clock`."""
        self._clock = clock

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, over all processes that worked on this run; of a finished run, its own."""
        result = self.latest("result")
        return self._elapsed + now if result is None or not is_final(result) else float(result["stats"]["seconds"])

    @property
    def elapsed(self) -> float:
        """Return the seconds spent on what is recorded."""
        return self._elapsed

    # -- points -------------------------------------------------------------------------------

    def recall(self, request: Request, index: int) -> Point | None:
        """Return the recorded point of a request, numbered as asked, or None if it was not computed yet."""
        entry = self.find(request.key)
        if entry is None:
            if index < self.count:
                raise self._other_request(index, request)
            return None
        if entry.key not in self._numbers:
            self._take(self._log.append({"kind": NUMBER, "key": entry.key, "number": self._next(index, request)}))
        if self._numbers[entry.key] != index:
            raise self._other_request(self._numbers[entry.key], request)
        return self.point(index)

    def keep(self, request: Request, point: Point) -> None:
        """Record a point under its request, with its number."""
        self._add_point(request, point, number=self._next(point.index, request))

    def take(self, request: Request, point: Point) -> None:
        """Record a point that was computed ahead, if it is not known: its number is recorded once the map comes to it."""
        if self.find(request.key) is None:
            self._add_point(request, point)

    def knows(self, name: str) -> bool:
        """Tell whether a fact is recorded."""
        return name in self._entries

    def point(self, index: int) -> Point:
        """Return the point of a number."""
        if index < 0:
            raise IndexError(index)
        return self.point_of(self._numbered[index], index)

    def point_of(self, entry: Entry, index: int) -> Point:
        """Return the point of an entry under a number, that of its origin beside it."""
        shapes = _shapes(entry)
        if self.read_only and not (self.folder / STATES).exists():
            state = {name: torch.empty(shape, dtype=torch.float64, device="meta") for name, shape in shapes.items()}
        else:
            state = entry.tensors(shapes)
        origin = self._numbers.get(entry.record["request"]["origin"])
        return read_point(entry.record, state["theta"], state["tangent"], index=index, origin=origin, key=entry.key)

    def verify(self, index: int) -> None:
        """Refuse a point whose state is not the one that was recorded; this reads all of it."""
        self._numbered[index].verify()

    @property
    def count(self) -> int:
        """Return the number of points that have a number."""
        return len(self._numbered)

    def origin(self, index: int) -> int | None:
        """Return the point from which a recorded one was followed."""
        return self._numbers.get(self._numbered[index].record["request"]["origin"])

    @property
    def last_beta(self) -> float | None:
        """Return beta of the point numbered last."""
        return float(self._numbered[-1].record["beta"]) if self._numbered else None

    def _add_point(self, request: Request, point: Point, **more: int) -> None:
        record = {"request": request.to_dict(), **point.to_dict()}
        self._added("point", request.key, record, {"theta": point.minimum.theta, "tangent": point.tangent}, **more)

    def _next(self, index: int, request: Request) -> int:
        """Return a number that is the next one, or refuse it."""
        if index != self.count:
            raise self._other_request(min(index, self.count - 1), request)
        return index

    def _other_request(self, index: int, request: Request) -> RunFolderError:
        then = self._numbered[index].record["beta"]
        return RunFolderError(
            got=f"point {index} of {self.path} was computed at beta = {then!r}, but this run asks for {request.value!r}",
            allowed="only the version and settings that began a run can resume it",
            do=f"use the version in provenance.json, or {ANEW}",
        )

    # -- lines --------------------------------------------------------------------------------

    def _added(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor], **more: Any) -> Entry:
        if key in self._entries or kind not in KINDS:
            raise ValueError((kind, key))
        where = self._written(state_name(key, more.get("number")), tensors) if tensors else {}
        line = {"kind": kind, "key": key, **more, "record": dict(record), **where, "elapsed": self._elapsed + self._clock()}
        self._take(self._log.append(line))
        return self._entries[key]

    def _written(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Write tensors beside the journal and return what its line says of them."""
        target = self.folder / name
        with writing(target):
            target.parent.mkdir(exist_ok=True)
            state = save({part: tensor.detach().cpu().contiguous() for part, tensor in tensors.items()})
            write_whole(target, state)
        return {"state": name, STATE_CHECK: zlib.crc32(state)}

    def _take(self, line: Line) -> None:
        if line["kind"] == "header":
            self._is_old = line["schema"] == OLDER
            return
        line = modern(line) if self._is_old else line
        if line["kind"] != NUMBER:
            self._entries[line["key"]] = entry_of(line, self.folder)
        if "number" in line:
            self._numbers[line["key"]] = line["number"]
            self._numbered.append(self._entries[line["key"]])

    def _check(self, line: Line, place: int) -> None:
        """Raise one of `DAMAGE` for a line that means nothing, a refusal for a journal that is none, or of another schema."""
        if place == 1:
            return self._check_header(line)
        if not read(float, line.get("elapsed", 0.0)) >= 0.0:
            raise ValueError(line["elapsed"])
        line = modern(line) if self._is_old else line
        if "number" in line and read(int, line["number"]) != self.count:
            raise ValueError(line["number"])
        if line["kind"] == NUMBER:
            _require_point(self._entries[line["key"]], self._numbers)
        else:
            self._check_entry(line)
        return None

    def _check_entry(self, line: Line) -> None:
        if line["kind"] not in KINDS or text(line["key"]) in self._entries or not isinstance(line["record"], dict):
            raise ValueError(line["key"])
        entry = entry_of(line, self.folder)
        if entry.kind == "point":
            self._check_point(entry)
        if not self.read_only and entry.state is not None:
            entry.check_state()

    def _check_point(self, entry: Entry) -> None:
        read_point(entry.record, NOTHING, NOTHING)
        if not self._is_old and Request(**entry.record["request"]).key != entry.key:
            raise ValueError(entry.key)
        shapes = _shapes(entry)
        if entry.state is None:
            raise ValueError(entry.state)
        if not self.read_only:
            entry.checked_tensors(shapes)

    def _check_header(self, line: Any) -> None:
        if not isinstance(line, dict) or line.get("made_by") != "spinodal":
            raise self._log.foreign()
        schema = line.get("schema")
        if schema == OLDER and not self.read_only:
            raise RunFolderError(
                got=f"{self.path} has schema {OLDER}, of an older version of spinodal",
                allowed=f"schema {SCHEMA} can be gone on with; older runs can be shown, reported and exported",
                do=f"finish it with the version in provenance.json, or {ANEW}",
            )
        if schema not in (OLDER, SCHEMA):
            raise RunFolderError(
                got=f"{self.path} has schema {schema!r}",
                allowed=f"schema {SCHEMA} is allowed",
                do=f"use the version of spinodal that wrote it (provenance.json), or {ANEW}",
            )


def refuse_loss(folder: Path) -> None:
    """Refuse a folder that has states but no journal, before a new one writes over them."""
    journal, states = folder / NAME, folder / STATES
    with reading(journal):
        begun = journal.exists() and journal.stat().st_size > 0
        if not begun and states.is_dir() and any(states.iterdir()):
            raise RunFolderError(
                got=f"{journal} is missing or empty, but there are states of points in {states}",
                allowed="a run with its journal is needed",
                do=f"restore it from a copy, or {ANEW}",
            )


def _shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a point."""
    return dict.fromkeys(("theta", "tangent"), (read(int, entry.record["minimum"]["stats"]["parameters"]),))


def _require_point(entry: Entry, numbers: Mapping[str, int]) -> None:
    """Raise ValueError for an entry that cannot have a number, or has one."""
    if entry.kind != "point" or entry.key in numbers:
        raise ValueError(entry.key)


def _numbered(name: str, times: int) -> str:
    return name if times == 1 else f"{name} {times}"
