"""Reading and writing a run folder: whole files or none, and a refusal where the operating system says no."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from spinodal.errors import SpinodalError


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """Refuse a place that cannot be read (no permission, a folder where a file should be)."""
    try:
        yield
    except OSError as cause:
        raise SpinodalError(
            got=f"{place} cannot be read: {_reason(cause)}",
            allowed="a run folder with all its files is needed",
            do="check its permissions, or restore it from a copy",
        ) from cause


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Refuse a place that cannot be written (a full disk, no permission)."""
    try:
        yield
    except (OSError, SafetensorError) as cause:
        raise SpinodalError(
            got=f"{place} cannot be written: {_reason(cause)}",
            allowed="a writable place with free space is needed",
            do="mend that and go on with --resume, or give another --out",
        ) from cause


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one, never half of it."""
    draft = path.with_name(path.name + ".part")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or " ".join(str(cause).split())
