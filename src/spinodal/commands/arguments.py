"""What several verbs of the command line take and do alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from threadpoolctl import threadpool_limits

from spinodal.errors import SpinodalError

SMALL = 20_000_000  # parameters times samples up to which one thread is as fast, and faster beside other programs

Json = Annotated[str | None, typer.Option("--json", help="Write the result as JSON to this file, or '-' for standard output.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A task argument, key=value; lists as 10,10. Repeatable.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")]
Threads = Annotated[
    int,
    typer.Option(
        help="Processor threads. Default 0: those of the run that is resumed, else 1 for small problems and all for others.",
        min=0,
    ),
]


def console_for(json_file: str | None, **options: Any) -> Console:
    """Return where tables go: standard error where the JSON has the output. Text is printed as it is."""
    return Console(stderr=json_file == "-", highlight=False, markup=False, emoji=False, **options)


def threads_for(work: int) -> int:
    """Return the threads by the work of one evaluation, in parameters times samples, whatever else the machine does."""
    return 1 if work <= SMALL else os.cpu_count() or 1


def use_threads(threads: int) -> None:
    """Fix the threads of everything that computes; more than there are processors only wait for each other, or crash it."""
    usable = min(threads, os.cpu_count() or 1)
    torch.set_num_threads(usable)
    threadpool_limits(usable)


def pairs(settings: list[str]) -> dict[str, str]:
    """Return the task arguments of `--set key=value`."""
    found = {}
    for item in settings:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise SpinodalError(got=f"--set {item!r}", allowed="key=value is allowed", do="for example --set hidden=10,10")
        found[key.strip()] = value
    return found


def run_and_point(text: str) -> tuple[Path, int | None]:
    """Return the folder and the point of `RUN:POINT`; a folder whose own name ends so is taken as a folder."""
    run, colon, point = text.rpartition(":")
    if not colon or os.path.isdir(text):  # which, unlike `Path.is_dir`, answers for names too long as well
        return Path(text), None
    if not point.isdecimal():
        raise SpinodalError(
            got=f"{text!r}", allowed="RUN or RUN:POINT with the number of a point is allowed", do=f"for example {run}:3"
        )
    return Path(run), int(point)


def text_of(value: Any) -> str:
    """Return a value as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
