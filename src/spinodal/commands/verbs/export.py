"""`spinodal export`: the model at a point of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.verbs.options import Debug

EXPORT_HELP = """Write the model at a point of RUN as safetensors: the state dict of the task's model.

\b
Examples:
  spinodal export runs/digits model.safetensors --at-weight-decay 0.1
  spinodal export runs/digits:42 model.safetensors       (point 42 of the journal)
"""


def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN[:POINT]", help="A run folder, and a point of its journal.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The safetensors file to write.")],
    at_weight_decay: Annotated[float | None, typer.Option(help="The point nearest to this weight_decay (2 * beta).")] = None,
    at_beta: Annotated[float | None, typer.Option(help="The point nearest to this beta.")] = None,
    debug: Debug = False,
) -> None:
    """Write the model at a point of RUN (see `EXPORT_HELP`)."""
    from spinodal.commands.export import export_model  # torch takes seconds to import, and the help needs none of it

    export_model(run, file, at_beta=at_beta, at_weight_decay=at_weight_decay)
