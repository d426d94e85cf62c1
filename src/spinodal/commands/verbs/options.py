"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

from spinodal.commands.json_file import checked_json

TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="A built-in task (see `spinodal tasks`) or path/to/file.py:function.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in the run folder if there is one.")]
Dtype = Annotated[str, typer.Option(help="auto (the task's own), float64 or float32.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Tolerance = Annotated[float | None, typer.Option(help="Relative residual of a minimum. Default: the solver's.")]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the result as JSON to this file, or '-' for standard output.", callback=checked_json),
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A task argument, key=value; lists as 10,10. Repeatable.")]
Centre = Annotated[
    str | None,
    typer.Option(
        "--centre", metavar="RUN:POINT", help="The penalty pulls to this model, a point of a run or a checkpoint, not to 0."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")]
Threads = Annotated[
    int,
    typer.Option(
        help="Processor threads. Default 0: those of the run that is resumed, else 1 for small problems and all for others. "
        "Maps of small problems compute with 1 in any case, so that the result is the same; further ones are workers.",
        min=0,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        help="Processes, each with --threads: of one map they share out starts, phases, branches and curvatures, of many each "
        "makes one map at a time. The result is the same.",
        min=1,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Address of a dask scheduler, as tcp://HOST:8786, whose workers make the maps of --seeds in place of --workers. "
        "Needs the extra `cluster`, and a folder that all machines share.",
    ),
]
