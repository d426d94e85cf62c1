"""The files of a finished run, made again from its journal."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from spinodal.files import write_json, write_whole, writing
from spinodal.store.copies import write_copies
from spinodal.store.lock import Lock
from spinodal.store.run import RunFolder


def rebuild(run: str | Path) -> None:
    """Write `result.json`, `result.nc`, `provenance.json` and `config.toml` of a finished run from its journal alone.

    A run whose walk is finished, but not what builds on it, has the first two as well, marked unfinished.

    The bytes are those that the run itself wrote, where the version that rebuilds is the one that ran.

    Parameters
    ----------
    run : path of a run folder

    Raises
    ------
    SpinodalError
        If there is no run, its walk is not finished, it is damaged, or being written by another process; if the
        folder cannot be written.
    """
    folder = RunFolder(Path(run))
    folder.require_result()
    with writing(folder.path):
        lock = Lock(folder.journal.path)
    try:
        write_copies(folder.journal, folder.command)
        with writing(folder.path):
            write_json(folder.path / "provenance.json", folder.journal.recorded("provenance"))
            write_whole(folder.path / "config.toml", tomli_w.dumps(folder.journal.recorded("settings") or {}))
    finally:
        lock.release()
