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
