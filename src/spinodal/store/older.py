"""Journals of older versions, whose points were known by their place in one sequence: they can be read."""

from __future__ import annotations

from typing import Any

from spinodal.codec import read
from spinodal.store.log import Line

BESIDE = ("kind", "index", "origin", "state", "state_crc32", "elapsed")  # of a point's line, what is not its record


def modern(line: Line) -> Line:
    """Return a line of schema 1 as one of today, known by its name or its number.

    Examples
    --------
    >>> modern({"kind": "note", "name": "range", "value": {"high": 1.0}, "elapsed": 2.0})
    {'kind': 'note', 'key': 'range', 'record': {'high': 1.0}, 'elapsed': 2.0}
    """
    if line["kind"] == "note":
        return {"kind": "note", "key": line["name"], "record": line["value"], "elapsed": line.get("elapsed", 0.0)}
    if line["kind"] != "point":
        raise ValueError(line["kind"])
    index = read(int, line["index"])
    return {
        "kind": "point",
        "key": _key(index),
        "number": index,
        "record": {"request": _request(line), **{name: value for name, value in line.items() if name not in BESIDE}},
        "state": line["state"],
        "state_crc32": line.get("state_crc32"),
        "elapsed": line.get("elapsed", 0.0),
    }


def _request(line: Line) -> dict[str, Any]:
    """Return all that is known of what was asked for."""
    origin = None if line["origin"] is None else _key(read(int, line["origin"]))
    return {"verb": "recorded", "value": line["beta"], "origin": origin, "part": "walk"}


def _key(index: int) -> str:
    return f"point {index}"
