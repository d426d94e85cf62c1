"""The files that are made from a journal, for people and other programs: the same journal gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from spinodal.store.collate import collate
from spinodal.store.disk import write_json, write_whole, writing
from spinodal.store.journal import Journal
from spinodal.store.netcdf import to_bytes
from spinodal.store.recorded import recorded_diagram


def write_copies(journal: Journal) -> Path:
    """Write `result.json` and `result.nc` of a journal that holds a result; return the path of the former."""
    target = journal.folder / "result.json"
    with writing(target):
        write_json(target, journal.recorded("result"))
    labelled = journal.folder / "result.nc"
    content = to_bytes(collate(recorded_diagram(journal)))
    with writing(labelled):
        write_whole(labelled, content)
    return target
