"""What `spinodal hierarchy` does: maps from several seeds, ordinary runs all of them, and the tree of their basins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from spinodal.basins.tree import Hierarchy
from spinodal.commands.arguments import console_for
from spinodal.commands.asked import Asked
from spinodal.commands.json_file import write_json_file
from spinodal.commands.members import folder_of_many, map_seed_runs, refuse_missing, seeds_in
from spinodal.commands.tables import told
from spinodal.errors import SpinodalError
from spinodal.files import write_json, writing
from spinodal.mapping.options import MapOptions
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder, load
from spinodal.words.basins import basin_cells, rank_cells
from spinodal.words.rows import TERMINAL


def map_seeds(asked: Asked, options: MapOptions, *, seeds: str) -> None:
    """Map a task with every seed, each into a run folder of its own, and show the tree of the basins."""
    numbers = seeds_in(seeds)
    if options.direction == "down":
        raise SpinodalError(
            got="--direction down", allowed="up or loop are allowed: basins are left as beta rises", do="leave it out"
        )
    folder = folder_of_many(asked, of="hierarchy")
    runs, missing = map_seed_runs(asked, options, numbers, folder, asked.console())
    refuse_missing(missing, runs, folder)
    show_hierarchy([run.out for run in runs], folder, asked.json_file, quiet=asked.quiet)


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
    basins = [basin_cells(item, TERMINAL) for item in found["basins"]]
    ranks = [rank_cells(item, TERMINAL) for item in found["ranks"]]
    of_basins = {"beta": 1, "living classes": 1}
    of_ranks = {"seeds": 5, "others of this rank": 4, "deepest": 3, "they differ by": 2, "ends differ by": 1}
    for title, rows, spare in (("Basins", basins, of_basins), ("Ranks", ranks, of_ranks)):
        console.print()
        console.print(told(title, rows, console.width, spare=spare, folds=rows[0]), soft_wrap=False)
    console.print()
    console.print(str(tree))
    console.print(f"convention: {tree.convention}")


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
