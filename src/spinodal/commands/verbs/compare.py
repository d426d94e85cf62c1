"""`spinodal compare`: runs of a task beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.verbs.options import Debug, Json, Quiet

COMPARE_HELP = """Compare runs: which transitions they share, the mean and the spread of each, and how many runs met it.

\b
Examples:
  spinodal compare runs/digits-1 runs/digits-2 runs/digits-3
  spinodal compare runs/digits-seeds-1
Of a map and a run on a grid: where transitions of the second lie beside spinodals and coexistence points of the first:
  spinodal map mnist --branches --out runs/map
  spinodal map mnist --solver adam --grid 0:0.09:0.0002 --out runs/protocol
  spinodal compare runs/map runs/protocol
"""


def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...", help="Runs of maps, or a folder of `spinodal map TASK --seeds A:B`, for all of its."
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the figure. Default: figures of the last run.")] = None,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare runs (see `COMPARE_HELP`)."""
    from spinodal.commands.compare import compare  # torch takes seconds to import, and the help needs none of it

    compare(runs, out, json_file, quiet=quiet)
