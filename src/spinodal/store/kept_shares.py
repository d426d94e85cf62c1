"""A run of `spinodal basins`: its shares, recorded and read back, and the map that they belong to."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spinodal.errors import RunFolderError, SpinodalError, refusing
from spinodal.files import write_json, write_whole, writing
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.shares import Shares
from spinodal.store.entry import STATES
from spinodal.store.journal import Journal
from spinodal.store.log import DAMAGE
from spinodal.store.netcdf import to_bytes
from spinodal.store.run import RunFolder

BASINS = "basins"  # the settings that tell such a run
NOTE, MAP = "shares", "map of the shares"
RESULT, LABELLED = "shares.json", "shares.nc"
Load = Callable[[Path], PhaseDiagram]


def is_of_shares(folder: RunFolder) -> bool:
    """Tell a run of `spinodal basins`, finished or not."""
    return BASINS in (folder.journal.recorded("settings") or {})


def save_shares(shares: Shares, folder: RunFolder) -> dict[str, Any]:
    """Record shares, and write `shares.json` and `shares.nc`; return them in JSON types.

    Raises
    ------
    SpinodalError
        If others are recorded already; if something cannot be written.
    """
    found = json.loads(json.dumps(shares.to_dict()))
    if folder.journal.note(NOTE, lambda: found) != found:
        raise RunFolderError(
            got=f"the run in {folder.path} was finished with other shares than this version finds from the same points",
            allowed="a finished run stays as it is",
            do="read it with `spinodal show`, or start anew in another folder",
        )
    with writing(folder.path):
        write_json(folder.path / RESULT, found)
        write_whole(folder.path / LABELLED, to_bytes(shares.to_xarray()))
    return dict(found)


def map_setting(map_run: Path | None, run: Path) -> dict[str, str]:
    """Return what the settings of a run say of its map: where that lies, as seen from the run; nothing without one."""
    return {} if map_run is None else {"map_run": os.path.relpath(map_run, run)}


def settle_map(journal: Journal, diagram: PhaseDiagram) -> None:
    """Refuse to go on with a run whose map is another one than when it began."""
    if journal.note(MAP, lambda: {"crc32": _digest(diagram)})["crc32"] != _digest(diagram):
        raise _other_map(journal.folder)


def recorded_shares(folder: RunFolder, load: Load) -> Shares:
    """Return the shares of a finished run, with their map where they have one, which `load` reads.

    Raises
    ------
    SpinodalError
        If the run is not finished, or damaged; if its map is gone, or another one now.
    """
    record = folder.journal.recorded(NOTE)
    if record is None:
        raise SpinodalError(
            got=f"the run in {folder.path} is not finished: no shares are complete yet",
            allowed="a finished run of `spinodal basins` is allowed",
            do=f"go on with {folder.command}",
        )
    diagram = _map_of(folder, load)
    with refusing(
        DAMAGE,
        lambda cause: f"the shares in {folder.journal.path} are damaged ({type(cause).__name__}: {cause})",
        allowed="what `spinodal basins` wrote is needed",
        do="restore the file from a copy, or start anew in another folder",
        passing=SpinodalError,
    ):
        shares = Shares.from_dict(record, folder.journal.point, diagram)
        _verify(shares, folder)
        return shares


def _verify(shares: Shares, folder: RunFolder) -> None:
    """Refuse phases whose states are not those that were recorded, where there are states at all."""
    if (folder.path / STATES).exists():
        for points in shares.found.values():
            for point in points:
                folder.journal.verify(point.index)


def _map_of(folder: RunFolder, load: Load) -> PhaseDiagram | None:
    """Return the map of a run, None where it has none."""
    place = (folder.journal.recorded("settings") or folder.config).get("map_run")
    if place is None:
        return None
    path = Path(os.path.normpath(folder.path / str(place)))
    if not RunFolder.is_run(path):
        raise SpinodalError(
            got=f"the map of {folder.path} is not in {path}",
            allowed="a run of `spinodal basins --map RUN` is shown beside its map",
            do="move it back there; shares.json holds the shares alone",
        )
    diagram = load(path)
    noted = folder.journal.recorded(MAP)
    if noted is not None and noted["crc32"] != _digest(diagram):
        raise _other_map(folder.path)
    return diagram


def _digest(diagram: PhaseDiagram) -> int:
    """Return a checksum of the phases of a map, with the points that they are made of."""
    phases = [[phase.id, *((point.index, point.beta, point.error) for point in phase.points)] for phase in diagram.phases]
    return zlib.crc32(json.dumps(phases).encode())


def _other_map(path: Path) -> SpinodalError:
    return SpinodalError(
        got=f"the map of {path} is another one than when that run began",
        allowed="shares belong to the phases of one map",
        do="give another --out, or --map with the map as it was",
    )
