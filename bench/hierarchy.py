"""Do models of several seeds fall into the same phases, and do their ends and coexistence points agree?

    python bench/hierarchy.py patterns                                    # seeds 0, 1 and 2
    python bench/hierarchy.py digits --beta 0.03 0.25 --seeds 0 1 2 3
    python bench/hierarchy.py mnist --data mnist.npz --images 10000 --beta 0.008 0.05 --figure hierarchy.png

Prints the basins, and for every rank the deepest one over all seeds with its coexistence points and ends; bars:
coexistence points agree within 1 %, ends within 4 %. `--starts 1` (the default here) maps one initial model for each seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hardware import print_table
from script import run

import spinodal as sp
from spinodal.plots import basin_tree_record, draw_basin_tree, save_figure
from spinodal.words.basins import basin_cells, rank_cells
from spinodal.words.rows import TERMINAL

WITHIN = {"coexistence_spread": 0.01, "end_spread": 0.04}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("task", choices=("patterns", "digits", "mnist", "gaussian"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--starts", type=int, default=1)
    parser.add_argument("--beta", type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--data", help="of mnist")
    parser.add_argument("--images", type=int, help="of mnist")
    parser.add_argument("--branches", action="store_true")
    parser.add_argument("--figure", type=Path)


def main(options: argparse.Namespace) -> None:
    """Map every seed, and print the tree."""
    settings = {"data": options.data, "samples": options.images} if options.task == "mnist" else {}
    task = getattr(sp.tasks, options.task)(**settings)
    beta = None if options.beta is None else (options.beta[0], options.beta[1])
    tree = sp.hierarchy(task, seeds=options.seeds, starts=options.starts, beta=beta, branches=options.branches)
    found = tree.to_dict()
    for cells, items in ((basin_cells, found["basins"]), (rank_cells, found["ranks"])):
        rows = [cells(item, TERMINAL) for item in items]
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        print()
    print(tree)
    for name, most in WITHIN.items():
        known = [level[name] for level in found["ranks"] if level[name] is not None]
        print(f"{name}: largest {max(known):.1e}, bar {most:g}" if known else f"{name}: not known")
    if options.figure:
        save_figure(draw_basin_tree(basin_tree_record(tree)), options.figure.parent, options.figure.stem)


if __name__ == "__main__":
    run(main, arguments, threads=2)
