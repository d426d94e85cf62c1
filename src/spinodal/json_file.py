"""The file of `--json`: refused before anything is computed if it cannot be written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from spinodal.errors import SpinodalError


def check_json(target: str | None) -> None:
    """Refuse a JSON file that cannot be written, before anything is computed."""
    if target in (None, "-"):
        return
    try:
        os.stat(str(target))
    except FileNotFoundError:
        pass  # it will be made
    except OSError as cause:  # a name too long, a loop of links, a file where a folder should be
        raise _unwritable(target, cause.strerror) from cause
    place = Path(str(target)).resolve()
    if place.is_dir():
        raise _unwritable(target, "it is a folder")
    if not place.parent.is_dir():
        raise _unwritable(target, f"there is no folder {Path(str(target)).parent}")
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise _unwritable(target, "permission denied")


def _unwritable(target: str | None, why: str | None) -> SpinodalError:
    return SpinodalError(
        got=f"{target} cannot be written: {why}",
        allowed="a file in an existing, writable folder is allowed",
        do="check --json",
    )


def write_json_file(target: str | None, value: Any) -> None:
    """Write a value as JSON to a file, or to standard output for "-"; None writes nothing."""
    if target is None:
        return
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as cause:
        raise _unwritable(target, cause.strerror) from cause
