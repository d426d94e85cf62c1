"""One process at a time writes a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spinodal.errors import SpinodalError

if sys.platform != "win32":
    import fcntl


class Lock:
    """The right to write a file, held until `release` or until the process ends, however it ends.

    The file is made if it is not there. Where the file system has no locks, nothing is locked.

    Raises
    ------
    SpinodalError
        If another process holds it.
    OSError
        If the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take()
        except BlockingIOError as cause:
            self.release()
            raise SpinodalError(
                got=f"another process is at work on the run in {path.parent}",
                allowed="one process at a time is allowed",
                do="wait for it or stop it, or give another --out",
            ) from cause
        except OSError:
            pass  # no locks here

    def release(self) -> None:
        """Let others write."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self) -> None:
        if sys.platform != "win32" and self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
