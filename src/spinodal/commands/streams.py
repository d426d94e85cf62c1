"""The standard streams of a command: closed, full or of few letters, they end in no traceback."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from spinodal.errors import SpinodalError


def open_streams() -> None:
    """Let a closed stream take everything, and the others spell out what their encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not os.environ.get("COLUMNS", "").strip("0"):  # a terminal that knows no width says 0, and all text would be cut off
        os.environ.pop("COLUMNS", None)


def abandon_output() -> None:
    """Send what standard output still holds nowhere: it has just failed, and would fail again at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unwritable_output(cause: OSError) -> SpinodalError:
    """Return the refusal of a standard output that takes no more."""
    return SpinodalError(
        got=f"standard output cannot be written: {cause.strerror or cause}",
        allowed="a terminal, a pipe or a file with free space is needed",
        do="send it elsewhere; a finished run is shown again with `spinodal show RUN`",
    )
