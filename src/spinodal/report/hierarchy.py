"""The page of a hierarchy: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spinodal.basins.tree import Hierarchy
from spinodal.files import write_whole, writing
from spinodal.plots.basin_tree import basin_tree_record
from spinodal.plots.basin_tree_figure import draw_basin_tree
from spinodal.report.contents import with_contents
from spinodal.report.page import asset, policy, template
from spinodal.report.picture import svg_of
from spinodal.report.rows import SIGNS, Table
from spinodal.version import __version__
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
    page: str = template("hierarchy.html").render(
        title=f"Basins of {tree.task['name']} over seeds {' '.join(map(str, tree.seeds))}",
        policy=policy([]),
        style=asset("report.css"),
        answer=str(tree).split("\n"),
        picture=svg_of(draw_basin_tree(basin_tree_record(tree))),
        basins=basin_table(tree),
        ranks=rank_table(tree),
        mergings=merging_table(tree),
        convention=tree.convention,
        version=__version__,
    )
    with writing(path):
        write_whole(path, with_contents(page).encode("utf-8", "replace").decode("utf-8"))
    return path


def basin_table(tree: Hierarchy) -> Table:
    """Return the basins, one per row."""
    return _table([basin_cells(item, PAGE) for item in tree.to_dict()["basins"]])


def rank_table(tree: Hierarchy) -> Table:
    """Return the basins of every rank over all seeds."""
    return _table([rank_cells(item, PAGE) for item in tree.to_dict()["ranks"]])


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
    return _table(rows)


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a table without the columns of which no row says anything."""
    names = [name for name in (rows[0] if rows else {}) if any(row[name] != PAGE.absent for row in rows)]
    headings = tuple(SIGNS.get(name, name) for name in names)
    return Table(headings, tuple(tuple(row[name] for name in names) for row in rows), ("",) * len(rows))
