"""What `spinodal compare` does: runs of a task in one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from spinodal.commands.arguments import console_for
from spinodal.commands.ensemble import show_ensemble
from spinodal.commands.json_file import write_json_file
from spinodal.commands.members import member_folders
from spinodal.commands.table import Column, table
from spinodal.conventions import weight_decay
from spinodal.ensemble.ensemble import Ensemble
from spinodal.errors import SpinodalError
from spinodal.files import writing
from spinodal.minima.minibatch import TRAINERS
from spinodal.phases.comparison import Comparison, Meeting
from spinodal.store import load
from spinodal.words.numbers import significant
from spinodal.words.rows import TERMINAL, between, pair


def compare(runs: Sequence[Path], out: Path | None, json_file: str | None, *, quiet: bool) -> None:
    """Compare a run on a grid with a map, or any number of runs."""
    each = [member for run in runs for member in member_folders(run) or [run]]
    if len(each) < 2:
        raise SpinodalError(
            got=f"one run, {each[0]}", allowed="two runs or more are allowed", do="name another run of the same task"
        )
    diagrams = [load(run) for run in each]
    folder, console = out or runs[-1] / "figures", console_for(json_file, quiet=quiet, soft_wrap=True)
    on_grid = [diagram.solver in TRAINERS for diagram in diagrams]
    if on_grid == [False, True]:
        found = _beside(Comparison.of(*diagrams), each[1], folder, console)
    else:
        found = _among(Ensemble.of(diagrams, _names(each)), folder, console)
    write_json_file(json_file, found)


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the names of folders, with as much of their paths as tells them apart."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _among(found: Ensemble, folder: Path, console: Console) -> dict[str, Any]:
    """Show what runs have in common."""
    show_ensemble(console, found)
    if found.is_l2:
        console.print(f"figure: {_saved(found, folder)}")
    return found.to_dict()


def _beside(found: Comparison, second: Path, folder: Path, console: Console) -> dict[str, Any]:
    """Show where the transitions of the second run lie beside those of the first."""
    path = _saved(found, folder)
    console.print(_table(found, console.width), soft_wrap=False)
    if found.alone:
        console.print(f"only in {second}: {', '.join(between(bracket, TERMINAL) for bracket in found.alone)}")
    console.print(f"\nbeta of {found.first.control.convention}; figure: {path}")
    return found.to_dict()


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


def _saved(found: Comparison | Ensemble, folder: Path) -> Path:
    """Draw a comparison into a folder, and return the picture."""
    from spinodal.plots import draw_comparison, draw_ensemble, save_figure  # matplotlib is slow to import

    figure = draw_comparison(found) if isinstance(found, Comparison) else draw_ensemble(found)
    with writing(folder, do="give another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        return save_figure(figure, folder, "comparison")[0]
