"""The table of `spinodal curvature`, from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from spinodal.commands.table import Column, table
from spinodal.errors import printable


def curvature_table(result: Mapping[str, Any], width: int) -> Table:
    """Return what is known of the error surface and of the loss surface, side by side."""
    found = result["curvature"]
    surfaces = ("error", "loss")
    rows = [
        ("scalar curvature R", [_number(found[surface]) for surface in surfaces]),
        ("standard error", [_error(found[surface]) for surface in surfaces]),
        ("method", [found[surface]["method"] for surface in surfaces]),
        ("saddle index", [_index(found["index"][surface]) for surface in surfaces]),
        ("trace of H", [_with_error(found["trace"]), "-"]),
        ("Fisher trace", [_with_error(found["fisher_trace"]), "-"]),
        ("margin", ["-", "-" if result["margin"] is None else f"{result['margin']:.4g}"]),
    ]
    columns = [
        Column("", [name for name, _ in rows], folds=True),
        Column("error surface E", [cells[0] for _, cells in rows]),
        Column("loss surface L", [cells[1] for _, cells in rows]),
    ]
    place = printable(f"Curvature of {result['task']['name']} at {result['at']}")
    return table(f"{place}\nbeta = {result['beta']:.6g}, weight_decay = {result['weight_decay']:.6g}", columns, width)


def place_line(index: Mapping[str, Any], *, is_level: bool) -> str:
    """Return whether a place is a minimum or a saddle of L, in words.

    Parameters
    ----------
    index : mapping
        Of `index_record`: how many directions bend downwards, and whether that is exact.
    is_level : bool
        Whether L is known to be level there.

    Examples
    --------
    >>> place_line({"value": 0, "exact": True}, is_level=True)
    'a local minimum of L: no direction bends downwards'
    >>> place_line({"value": 2, "exact": False}, is_level=False)
    'where L is level, a saddle of it: at least 2 directions bend downwards'
    """
    count, given = index["value"], "" if is_level else "where L is level, "
    if count:
        least = "" if index["exact"] else "at least "
        bend = "1 direction bends" if count == 1 else f"{count} directions bend"
        return f"{given}a saddle of {'L' if is_level else 'it'}: {least}{bend} downwards"
    if not index["exact"]:
        return "no direction was found that bends L downwards, which does not prove that there is none"
    return f"{given}a local minimum of {'L' if is_level else 'it'}: no direction bends downwards"


def _number(estimate: Mapping[str, Any]) -> str:
    return "-" if estimate["value"] is None else f"{estimate['value']:.6g}"


def _error(estimate: Mapping[str, Any]) -> str:
    """Return the standard error of R, and whether it is the one that was asked for."""
    if estimate["status"] == "exact":
        return "exact"
    return _spread(estimate) + (", not reached" if estimate["status"] == "not reached" else "")


def _spread(estimate: Mapping[str, Any]) -> str:
    return "unknown" if estimate["stderr"] is None else f"{estimate['stderr']:.2g}"


def _with_error(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return "-"
    return _number(estimate) if estimate["status"] == "exact" else f"{_number(estimate)} +- {_spread(estimate)}"


def _index(index: Mapping[str, Any]) -> str:
    return f"{'' if index['exact'] else '>= '}{index['value']}"
