"""Reading and writing a run folder: whole files or none, and a refusal where the operating system says no."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from safetensors import SafetensorError

from spinodal.errors import RunFolderError, refusing


def reading(place: Path) -> AbstractContextManager[None]:
    """Refuse a place that cannot be read (no permission, a folder where a file should be)."""
    return refusing(
        OSError,
        lambda cause: f"{place} cannot be read: {_reason(cause)}",
        allowed="a run folder with all its files is needed",
        do="check its permissions, or restore it from a copy",
        by=RunFolderError,
    )


def writing(
    place: Path, *, do: str = "mend that and go on with --resume, or give another --out"
) -> AbstractContextManager[None]:
    """Refuse a place that cannot be written (a full disk, no permission)."""
    return refusing(
        (OSError, SafetensorError),
        lambda cause: f"{place} cannot be written: {_reason(cause)}",
        allowed="a writable place with free space is needed",
        do=do,
        by=RunFolderError,
    )


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old or the new one, never half of it, even after a power cut."""
    draft = path.parent / f"{path.name}.part"  # of "." too, which is refused below
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, whole."""
    write_whole(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or " ".join(str(cause).split())
