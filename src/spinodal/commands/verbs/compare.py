"""`spinodal compare`: two runs of one task beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.json_file import check_json
from spinodal.commands.verbs.options import Debug, Json, Quiet

COMPARE_HELP = """Compare two runs of one task: where transitions of OTHER lie beside spinodals and coexistence points of RUN.

\b
Examples:
  spinodal map mnist --branches --out runs/map
  spinodal map mnist --solver adam --grid 0:0.09:0.0002 --out runs/protocol
  spinodal compare runs/map runs/protocol
"""


def compare_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run of a map.")],
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Another run of the same task, as one on a grid.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the figure. Default: figures of OTHER.")] = None,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare two runs of one task (see `COMPARE_HELP`)."""
    from spinodal.commands.compare import compare_runs  # torch takes seconds to import, and the help needs none of it

    check_json(json_file)
    compare_runs(run, other, out, json_file, quiet=quiet)
