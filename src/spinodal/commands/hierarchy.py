"""What `spinodal hierarchy` does: maps from several seeds, ordinary runs all of them, and the tree of their basins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spinodal.basins.hierarchy import checked_seeds
from spinodal.basins.tree import Hierarchy
from spinodal.commands.arguments import console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.map import default_folder, map_task
from spinodal.commands.table import Column, table
from spinodal.errors import SpinodalError
from spinodal.files import write_json, writing
from spinodal.mapping.options import MapOptions
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder, load
from spinodal.tasks.registry import make_task
from spinodal.words.basins import basin_cells, rank_cells
from spinodal.words.rows import TERMINAL


def seeds_in(text: str) -> tuple[int, ...]:
    """Return the seeds of `A:B`, from A to below B, or of `A,B,C`.

    Examples
    --------
    >>> seeds_in("0:3"), seeds_in("4,2")
    ((0, 1, 2), (4, 2))
    """
    low, colon, high = text.partition(":")
    try:
        numbers = range(int(low), int(high)) if colon else [int(part) for part in text.split(",")]
    except ValueError as cause:
        raise SpinodalError(
            got=f"--seeds {text!r}", allowed="A:B, from A to below B, or A,B,C is allowed", do="for example --seeds 0:3"
        ) from cause
    return checked_seeds(numbers)


def map_seeds(
    task: str,
    settings: Mapping[str, str],
    options: MapOptions,
    *,
    seeds: str,
    out: Path | None,
    resume: bool,
    json_file: str | None,
    **how: Any,
) -> None:
    """Map a task with every seed, each into a run folder of its own, and show the tree of the basins.

    `how` is passed on to `map_task`.
    """
    numbers = checked_seeds(seeds_in(seeds))
    if options.direction == "down":
        raise SpinodalError(
            got="--direction down", allowed="up or loop are allowed: basins are left as beta rises", do="leave it out"
        )
    folder = out or default_folder(f"{make_task(task, settings).name}-hierarchy", resume=resume)
    console = console_for(json_file, soft_wrap=True)
    runs = [folder / f"seed-{seed}" for seed in numbers]
    for seed, run in zip(numbers, runs, strict=True):
        if not how["quiet"]:
            console.print(f"seed {seed}, in {run}")
        again = resume and RunFolder.is_run(run)
        map_task(
            task, settings, replace(options, seed=seed), out=run, resume=again, centre=how["centre"], model=(None, None),
            threads=how["threads"], workers=how["workers"], json_file=None, quiet=True, debug=how["debug"],
        )  # fmt: skip
    show_hierarchy(runs, folder, json_file, quiet=how["quiet"])


def show_hierarchy(runs: Sequence[Path], folder: Path, json_file: str | None, *, quiet: bool) -> None:
    """Compare finished runs, print the tree of their basins, and write it into a folder."""
    tree = Hierarchy.of([_finished(run) for run in runs])
    with writing(folder, do="give another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "hierarchy.json", tree.to_dict())
    page = _written(tree, folder)
    write_json_file(json_file, tree.to_dict())
    console = console_for(json_file, quiet=quiet, soft_wrap=True)
    print_hierarchy(console, tree)
    console.print(f"\nin {folder}: {page.name}, hierarchy.json, figures/hierarchy.png, and a run folder for every seed")


def print_hierarchy(console: Console, tree: Hierarchy) -> None:
    """Print basins and ranks as tables, and how seeds merge."""
    found = tree.to_dict()
    for made in (basins_table(found, console.width), ranks_table(found, console.width)):
        console.print()
        console.print(made, soft_wrap=False)
    console.print()
    console.print(str(tree))
    console.print(f"convention: {tree.convention}")


def basins_table(found: Mapping[str, Any], width: int) -> Table:
    """Return the basins, one per row."""
    return _table("Basins", [basin_cells(item, TERMINAL) for item in found["basins"]], width, spare=("beta", "living classes"))


def ranks_table(found: Mapping[str, Any], width: int) -> Table:
    """Return the ranks, one per row."""
    return _table("Ranks", [rank_cells(item, TERMINAL) for item in found["ranks"]], width, spare=("seeds",))


def _table(title: str, rows: Sequence[Mapping[str, str]], width: int, *, spare: Sequence[str]) -> Table:
    """Return a table without the columns of which no row says anything."""
    names = [name for name in rows[0] if any(row[name] != TERMINAL.absent for row in rows)]
    return table(
        title, [Column(name, [row[name] for row in rows], spare=int(name in spare), folds=True) for name in names], width
    )


def _finished(run: Path) -> PhaseDiagram:
    RunFolder(run).require_result()
    return load(run)


def _written(tree: Hierarchy, folder: Path) -> Path:
    """Write the figure and the page, and return the latter."""
    from spinodal.plots import basin_tree_record, draw_basin_tree, save_figure  # matplotlib is slow to import
    from spinodal.report import save_hierarchy

    with writing(folder, do="give another --out"):
        figure = draw_basin_tree(basin_tree_record(tree))
        save_figure(figure, folder / "figures", "hierarchy")
        return save_hierarchy(tree, folder / "hierarchy.html")
