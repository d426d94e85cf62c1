"""The file of `--json`: refused before anything is computed if it cannot be written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import typer

from spinodal.errors import SpinodalError
from spinodal.files import write_whole


def check_json(target: str | None) -> None:
    """Refuse a JSON file that cannot be written, before anything is computed."""
    if target is None or target == "-":
        return
    for name in (target, f"{target}.part"):
        try:
            os.stat(name)
        except FileNotFoundError:
            pass  # it will be made
        except OSError as cause:  # a name too long, a loop of links, a file where a folder should be
            raise _unwritable(target, cause.strerror) from cause
    place = Path(target).resolve()
    if place.is_dir():
        raise _unwritable(target, "it is a folder")
    if not place.parent.is_dir():
        raise _unwritable(target, f"there is no folder {Path(target).parent}")
    needed = [Path(target)] if _is_stream(target) else [path for path in (place, place.parent) if path.exists()]
    if not all(os.access(path, os.W_OK) for path in needed):
        raise _unwritable(target, "permission denied")


def checked_json(context: typer.Context, target: str | None) -> str | None:
    """Return the file that `--json` names, or refuse it; a shell that completes a command line writes nothing."""
    if not context.resilient_parsing:
        check_json(target)
    return target


def _is_stream(target: str) -> bool:
    """Tell a device or a pipe, which is no file to be replaced."""
    return os.path.exists(target) and not os.path.isfile(target)


def _unwritable(target: str | None, why: str | None) -> SpinodalError:
    return SpinodalError(
        got=f"{target} cannot be written: {why}",
        allowed="a file in an existing, writable folder is allowed",
        do="check --json",
    )


def write_json_file(target: str | None, value: Any) -> None:
    """Write a value as JSON to a file, whole or not at all, or to standard output for "-"; None writes nothing."""
    if target is None:
        return
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        if _is_stream(target):
            Path(target).write_text(text, encoding="utf-8")
        else:
            write_whole(Path(target).resolve(), text)
    except OSError as cause:
        raise _unwritable(target, cause.strerror) from cause
