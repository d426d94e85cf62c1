"""What several verbs of the command line take and do alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from spinodal.errors import SpinodalError


def console_for(json_file: str | None, **options: Any) -> Console:
    """Return where tables go: standard error where the JSON has the output. Text is printed as it is."""
    return Console(stderr=json_file == "-", highlight=False, markup=False, emoji=False, **options)


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
