"""The files that are made from a journal, for people and other programs: the same journal gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from spinodal.files import write_json, write_whole, writing
from spinodal.labelled.collate import collate
from spinodal.store.journal import Journal
from spinodal.store.latest import latest_result
from spinodal.store.netcdf import to_bytes
from spinodal.store.recorded import recorded_diagram

LABELLED = "result.nc"


def write_copies(journal: Journal, command: str) -> Path:
    """Write `result.json` and `result.nc` of a journal that holds a result or a walk; return the path of the former.

    `command` is what goes on with the run.
    """
    target = write_result(journal, command)
    write_labelled(journal, command)
    return target


def write_result(journal: Journal, command: str) -> Path:
    """Write `result.json` and return its path."""
    target = journal.folder / "result.json"
    with writing(target):
        write_json(target, latest_result(journal, command))
    return target


def write_labelled(journal: Journal, command: str) -> None:
    """Write `result.nc`."""
    target = journal.folder / LABELLED
    content = to_bytes(collate(recorded_diagram(journal, command)))
    with writing(target):
        write_whole(target, content)
