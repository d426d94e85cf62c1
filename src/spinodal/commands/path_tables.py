"""What is printed of paths, from their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from spinodal.commands.table import Column, table

Record = Mapping[str, Any]  # a path as `Path.to_dict` has it


def show_paths(console: Console, paths: Sequence[Record]) -> None:
    """Print the table of paths, and what is known of the lowest."""
    columns = [column for column in columns_of(paths) if any(column.cells)]
    console.print()
    console.print(table("E between the ends, above the larger one", columns, console.width), soft_wrap=False)
    for line in sentences_of(paths):
        console.print(line)


def columns_of(paths: Sequence[Record]) -> list[Column]:
    """Return the columns of the table, empty ones among them."""
    return [
        Column("method", [path["method"] for path in paths], folds=True),
        Column("barrier", [f"{path['barrier']:.3g}" for path in paths]),
        Column("+/-", [f"{path['uncertainty']:.1g}" for path in paths], spare=3),
        Column("largest E", [f"{path['max_error']:.5g}" for path in paths]),
        Column("accuracy >=", [_least(path, "train") for path in paths], spare=2),
        Column("held out >=", [_least(path, "held_out") for path in paths], spare=1),
        Column("points", [str(len(path["t"])) for path in paths], spare=4),
        Column("gradients", [f"{path['stats']['gradient_equivalents']:,.0f}" for path in paths]),
    ]


def sentences_of(paths: Sequence[Record]) -> list[str]:
    """Return what is to be said of the lowest path: whether it joins, what found it, what the walk met."""
    best = min(paths, key=lambda path: path["barrier"])
    found = [f"{best['method']}: {best['status']}", f"  found by: {best['way']}"]
    for jump in best["jumps"]:
        beta, highest = jump["beta"][1], jump["highest"]
        found.append(f"  first-order transition of the walk at beta = {beta:.4g}: E up to {highest:.4g} on the way")
        if (saddle := jump.get("saddle")) is not None:  # not in runs of older versions
            found.append(f"    begins in a saddle at beta = {saddle['beta']:.8g}: E = {saddle['error']:.6g}")
    return found


def _least(path: Record, part: str) -> str:
    values = path["along"]["accuracy"][part]
    return "" if values is None else f"{min(values):.4f}"
