"""`spinodal show`: the tables of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.verbs.options import Debug, Json


def show_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or the folder of the maps of several seeds.")],
    learning_rate: Annotated[
        float | None, typer.Option(help="Say, too, which phases gradient descent can hold at this learning rate.")
    ] = None,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the tables of a run: of an unfinished one what is there, and the command that goes on with it."""
    from spinodal.commands.ensemble import show_members  # torch takes seconds to import, and the help needs none of it
    from spinodal.commands.members import member_folders
    from spinodal.commands.show import show_run

    if learning_rate is None and member_folders(run):
        show_members(run, json_file)
    else:
        show_run(run, json_file, learning_rate)
