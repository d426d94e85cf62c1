"""`spinodal hierarchy`: the tree of basins over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import BETA, pairs
from spinodal.commands.asked import Asked
from spinodal.commands.verbs.options import (
    Centre,
    Debug,
    Device,
    Dtype,
    Json,
    Quiet,
    Scheduler,
    Sets,
    Threads,
    Tolerance,
    Workers,
)
from spinodal.errors import SpinodalError

HIERARCHY_HELP = """Follow models of several seeds upwards until they fall into the same phase: the tree of their basins.

\b
Examples:
  spinodal hierarchy patterns --seeds 0:5
  spinodal hierarchy digits --seeds 0:3 --branches --starts 1 --workers 3
From maps that are there already, of one task and different seeds:
  spinodal hierarchy runs/digits-1 runs/digits-2 --out runs/digits-tree
  spinodal hierarchy runs/digits-seeds-1 --out runs/digits-tree
"""


def hierarchy_command(
    of: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK | RUN RUN...", help="A task, as `spinodal map` takes it, or two or more runs, or their folder."
        ),
    ],
    settings: Sets = None,
    seeds: Annotated[str, typer.Option(help="Seeds A:B, from A to below B, or A,B,C; one map of each.")] = "0:3",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the tree and of the runs. Default: runs/TASK-hierarchy-N.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the runs in that folder.")] = False,
    beta: Annotated[str | None, typer.Option(help="Range LOW:HIGH, as of `spinodal map`.")] = None,
    direction: Annotated[str, typer.Option(help="up or loop, as of `spinodal map`.")] = "up",
    branches: Annotated[
        bool, typer.Option("--branches", help="Follow every phase through its fold: polished ends, coexistence points.")
    ] = False,
    starts: Annotated[int, typer.Option(help="Random starts of each seed from which the deepest phase is chosen.")] = 4,
    solver: Annotated[str, typer.Option(help="auto, newton, newton_cg or lbfgs.")] = "auto",
    tolerance: Tolerance = None,
    bracket: Annotated[float | None, typer.Option(help="Relative width of brackets, as of `spinodal map`.")] = None,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    centre: Centre = None,
    threads: Threads = 0,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the tree of basins over several seeds (see `HIERARCHY_HELP`)."""
    from spinodal.commands.hierarchy import map_seeds, show_hierarchy  # torch takes seconds to import
    from spinodal.commands.members import member_folders
    from spinodal.mapping.options import MapOptions

    runs = [run for name in of for run in member_folders(Path(name)) or [Path(name)]]
    if len(runs) > 1:
        if out is None or settings:
            raise SpinodalError(
                got=f"{len(runs)} runs{' and --set' if settings else ' without --out'}",
                allowed="runs, with --out for the tree, or one task with its settings, are allowed",
                do="for example --out runs/tree",
            )
        show_hierarchy(runs, out, json_file, quiet=quiet)
        return
    options = MapOptions(
        beta=BETA.given(beta), direction=direction, starts=starts, solver=solver, tolerance=tolerance, bracket=bracket,
        dtype=dtype, device=device, branches=branches,
    )  # fmt: skip
    asked = Asked(
        task=of[0], settings=pairs(settings), out=out, resume=resume, centre=centre, threads=threads, workers=workers,
        scheduler=scheduler, json_file=json_file, quiet=quiet, debug=debug,
    )  # fmt: skip
    map_seeds(asked, options, seeds=seeds)
