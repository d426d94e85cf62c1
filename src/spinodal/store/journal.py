"""The journal of a run: one line per point, appended before the next point starts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.minimise import Minimum
from spinodal.observe import Observation
from spinodal.phases import SCHEMA
from spinodal.store.disk import reading, writing
from spinodal.walk import Point

NAME = "journal.jsonl"
HEADER = {"kind": "header", "schema": SCHEMA, "made_by": "spinodal"}
KEYS = {"point": ("index", "origin", "beta", "state", "minimum", "observation"), "note": ("name", "value")}


class Journal:
    """An append-only record of points; implements `spinodal.walk.Recorder`.

    Every line is complete JSON; theta and the tangent of a point lie in `states/`. A torn last line
    (a killed process) is cut off; anything else that is damaged is refused.

    Parameters
    ----------
    folder : Path
    read_only : bool
        Whether to write nothing at all, not even a repair: another process may be writing this journal.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder, self.read_only = folder, read_only
        self.path = folder / NAME
        self.lines: list[dict[str, Any]] = []
        self._points: dict[int, dict[str, Any]] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self._elapsed = 0.0
        self._clock: Callable[[], float] = lambda: 0.0
        if self.path.exists():
            self._read()
        if not self.lines and not read_only:
            self._append(HEADER)

    # -- Recorder -----------------------------------------------------------------------------

    def recall(self, index: int, beta: float, origin: int | None) -> Point | None:
        """Return the recorded point of this request, or None if it was not computed yet."""
        line = self._points.get(index)
        if line is None:
            return None
        if line["beta"] != beta or line["origin"] != origin:
            raise SpinodalError(
                got=f"point {index} of {self.path} was computed at beta = {line['beta']!r}, but this run asks for {beta!r}",
                allowed="only the version and settings that began a run can resume it",
                do="use the version in provenance.json, or start anew in another folder",
            )
        return self.point(index)

    def keep(self, point: Point) -> None:
        """Record a point: first its state, then its line."""
        name = f"states/{point.index:06d}.safetensors"
        target = self.folder / name
        draft = target.with_suffix(".part")
        with writing(target):
            target.parent.mkdir(exist_ok=True)
            save_file({"theta": point.minimum.theta.contiguous(), "tangent": point.tangent.contiguous()}, draft)
            os.replace(draft, target)
        self._append({"kind": "point", **_to_line(point), "state": name, "elapsed": self._total()})

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        if name not in self._notes:
            self._append({"kind": "note", "name": name, "value": make(), "elapsed": self._total()})
        value: dict[str, Any] = self._notes[name]["value"]
        return value

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, over all processes that worked on this run."""
        return self._elapsed + now

    # -- reading and writing ------------------------------------------------------------------

    def time_with(self, clock: Callable[[], float]) -> None:
        """Take the seconds of this process from `clock`."""
        self._clock = clock

    def point(self, index: int) -> Point:
        """Return a recorded point."""
        line = self._points[index]
        try:
            state = self._state(line)
        except (ValueError, OSError, SafetensorError) as cause:
            raise SpinodalError(
                got=f"{self.folder / line['state']} is missing or damaged",
                allowed="the state of every point is needed",
                do="restore it from a copy, or start anew in another folder",
            ) from cause
        return _from_line(line, state["theta"], state["tangent"])

    @property
    def count(self) -> int:
        """Return the number of recorded points."""
        return len(self._points)

    @property
    def last_beta(self) -> float | None:
        """Return beta of the point recorded last."""
        return next((line["beta"] for line in reversed(self.lines) if line["kind"] == "point"), None)

    def _total(self) -> float:
        return self._elapsed + self._clock()

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False) + "\n"
        with writing(self.path), self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if line["kind"] == "point":
            self._points[line["index"]] = line
        elif line["kind"] == "note":
            self._notes[line["name"]] = line

    def _read(self) -> None:
        """Read all lines, cutting off a torn last one (and a last point whose state is not there)."""
        with reading(self.path):
            whole = self.path.read_bytes()
        end = 0
        pieces = whole.split(b"\n")
        for number, piece in enumerate(pieces[:-1], start=1):
            line = self._parse(piece, number, last=number == len(pieces) - 1)
            if line is None:
                break
            self._take(line)
            end += len(piece) + 1
        if end < len(whole) and not self.read_only:
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(end)
        self._elapsed = max((float(line.get("elapsed", 0.0)) for line in self.lines), default=0.0)

    def _parse(self, piece: bytes, number: int, *, last: bool) -> dict[str, Any] | None:
        """Return a line, None if it is the last one and torn; refuse anything else."""
        try:
            line = json.loads(piece)
            if number == 1:
                self._check_header(line)
            else:
                self._check_line(line)
        except (ValueError, KeyError, TypeError, OSError, SafetensorError) as cause:
            if isinstance(cause, SpinodalError):
                raise
            if last and number > 1:
                return None
            raise SpinodalError(
                got=f"line {number} of {self.path} is damaged ({type(cause).__name__})",
                allowed="only a torn last line can be repaired",
                do="restore the file from a copy, or start anew in another folder",
            ) from cause
        return dict(line)

    def _check_line(self, line: dict[str, Any]) -> None:
        for key in KEYS[line["kind"]]:
            line[key]
        float(line.get("elapsed", 0.0))
        if line["kind"] == "point" and not self.read_only:
            self._state(line)

    def _check_header(self, line: Any) -> None:
        if not isinstance(line, dict) or line.get("made_by") != "spinodal":
            raise SpinodalError(
                got=f"{self.path} is not a journal of this program", allowed="a run folder is allowed", do="give another folder"
            )
        if line.get("schema") != SCHEMA:
            raise SpinodalError(
                got=f"{self.path} has schema {line.get('schema')!r}",
                allowed=f"schema {SCHEMA} is allowed",
                do="use the version of spinodal that wrote it (provenance.json), or start anew in another folder",
            )

    def _state(self, line: dict[str, Any]) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = load_file(self.folder / line["state"])
        if set(state) != {"theta", "tangent"}:
            raise ValueError(line["state"])
        return state


def _to_line(point: Point) -> dict[str, Any]:
    """Return a point in JSON types, without theta and tangent; NaN becomes null."""
    minimum = point.minimum
    numbers = ("error", "loss", "residual", "margin", "margin_error", "zero_modes", "stop", "solver")
    return {
        "index": point.index,
        "origin": point.origin,
        "beta": point.beta,
        "minimum": {name: _null(getattr(minimum, name)) for name in numbers} | {"stats": asdict(minimum.stats)},
        "observation": asdict(point.observation)
        | {"custom": {name: _null(value) for name, value in point.observation.custom.items()}},
        "norm_slope": _null(point.norm_slope),
        "margin_slope": _null(point.margin_slope),
    }


def _from_line(line: dict[str, Any], theta: torch.Tensor, tangent: torch.Tensor) -> Point:
    minimum = dict(line["minimum"])
    stats = Counts(**minimum.pop("stats"))
    for name in ("error", "loss", "residual", "margin", "margin_error"):
        minimum[name] = _number(minimum[name])
    view = dict(line["observation"])
    view["singular_values"] = {name: tuple(values) for name, values in view["singular_values"].items()}
    view["class_accuracy"] = {
        part: None if values is None else tuple(values) for part, values in view["class_accuracy"].items()
    }
    view["custom"] = {name: _number(value) for name, value in view["custom"].items()}
    return Point(
        index=line["index"],
        origin=line["origin"],
        minimum=Minimum(theta=theta, beta=line["beta"], stats=stats, **minimum),
        observation=Observation(**view),
        tangent=tangent,
        norm_slope=_number(line["norm_slope"]),
        margin_slope=_number(line["margin_slope"]),
    )


def _number(value: float | None) -> float:
    """Return a number from JSON, where null stands for NaN."""
    return math.nan if value is None else value


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
