"""The page of a hierarchy: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from spinodal.basins.tree import Hierarchy
from spinodal.plots.basin_tree import basin_tree_record
from spinodal.plots.basin_tree_figure import draw_basin_tree
from spinodal.report.page import page_of, written
from spinodal.report.picture import svg_of
from spinodal.report.rows import Table, table
from spinodal.words.basins import basin_cells, rank_cells
from spinodal.words.numbers import significant
from spinodal.words.rows import PAGE


def save_hierarchy(tree: Hierarchy, path: Path) -> Path:
    """Write the page of a hierarchy, its tree and its tables, as one HTML file and return its path.

    Raises
    ------
    SpinodalError
        If the file cannot be written, or a package that the page needs is missing.
    """
    page = page_of(
        "hierarchy.html",
        title=f"Basins of {tree.task['name']} over seeds {' '.join(map(str, tree.seeds))}",
        answer=str(tree).split("\n"),
        picture=svg_of(draw_basin_tree(basin_tree_record(tree))),
        basins=basin_table(tree),
        ranks=rank_table(tree),
        mergings=merging_table(tree),
        convention=tree.convention,
    )
    return written(path, page)


def basin_table(tree: Hierarchy) -> Table:
    """Return the basins, one per row."""
    return table([basin_cells(item, PAGE) for item in tree.to_dict()["basins"]])


def rank_table(tree: Hierarchy) -> Table:
    """Return the basins of every rank over all seeds."""
    return table([rank_cells(item, PAGE) for item in tree.to_dict()["ranks"]])


def merging_table(tree: Hierarchy) -> Table:
    """Return where seeds come into the same basin."""
    rows = [
        {
            "beta": significant(item.beta, 6),
            "weight_decay": significant(2.0 * item.beta, 6),
            "seeds": " and ".join(" ".join(map(str, group)) for group in item.seeds),
            "basin": str(item.basin),
        }
        for item in tree.mergings
    ]
    return table(rows)
