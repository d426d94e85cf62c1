"""What `spinodal compare` does: two runs of one task in one table and one figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spinodal.commands.arguments import console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.table import Column, table
from spinodal.conventions import weight_decay
from spinodal.files import writing
from spinodal.phases.comparison import Comparison, Meeting
from spinodal.store import load
from spinodal.words.numbers import significant
from spinodal.words.rows import TERMINAL, between, pair


def compare_runs(first: Path, second: Path, out: Path | None, json_file: str | None, *, quiet: bool) -> None:
    """Print where the transitions of the second run lie beside those of the first, and draw both."""
    found = Comparison.of(load(first), load(second))
    folder = out or second / "figures"
    paths = _drawn(found, folder)
    write_json_file(json_file, found.to_dict())
    console = console_for(json_file, quiet=quiet, soft_wrap=True)
    console.print(_table(found, console.width), soft_wrap=False)
    if found.alone:
        console.print(f"only in {second}: {', '.join(between(bracket, TERMINAL) for bracket in found.alone)}")
    console.print(f"\nbeta of {found.first.control.convention}; figure: {paths[0]}")


def _table(found: Comparison, width: int) -> Any:
    rows = [_cells(item) for item in found.meetings]
    title = f"Transitions of {found.first.task['name']}: {found.first.solver}, and {found.second.solver} beside"
    names = list(_cells(_NOTHING))
    return table(title, [Column(name, [row[name] for row in rows], folds=name == "lies") for name in names], width)


_NOTHING = Meeting(1.0, None, (0, 0), None, None)


def _cells(item: Meeting) -> dict[str, str]:
    """Return the row of a transition."""
    absent = TERMINAL.absent
    return {
        "rank": pair([str(rank) for rank in item.ranks], TERMINAL),
        "coexistence": absent if item.coexistence is None else significant(item.coexistence, 5),
        "end": significant(item.end, 5),
        "w. decay": significant(weight_decay(item.end), 5),
        "met in": absent if item.bracket is None else between(item.bracket, TERMINAL),
        "rank there": absent if item.other_ranks is None else pair([str(rank) for rank in item.other_ranks], TERMINAL),
        "lies": item.place,
    }


def _drawn(found: Comparison, folder: Path) -> list[Path]:
    from spinodal.plots import draw_comparison, save_figure  # matplotlib is slow to import

    with writing(folder, do="give another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        return save_figure(draw_comparison(found), folder, "comparison")
