"""Placements in a run folder: their points in the journal of the run, so that they survive a kill, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from spinodal.errors import printable
from spinodal.files import reading, write_json, writing
from spinodal.landscape.control_record import digest
from spinodal.store.beside import Beside
from spinodal.store.journal import Journal

if TYPE_CHECKING:
    from spinodal.results.placement import Placement

FOLDER, NAME = "placements", "placement.json"


def placement_folder(run: Path, theta: Tensor, weight_decay: float) -> Path:
    """Return where the placement of a model lies; the same parameters and weight_decay have the same place."""
    return run / FOLDER / _name(theta, weight_decay)


def placement_recorder(journal: Journal, theta: Tensor, weight_decay: float) -> Beside:
    """Return where the points of a placement are recorded, begun or to be continued."""
    return Beside(journal, f"placement {_name(theta, weight_decay)}")


def save_placement(folder: Path, placement: Placement, checkpoint: Path) -> None:
    """Write `placement.json`."""
    target = folder / NAME
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, {"file": checkpoint.name, **placement.to_dict()})


def placements(run: Path) -> list[dict[str, Any]]:
    """Return the saved placements of a run, by rising weight_decay, their words printable; damaged ones are left out."""
    found = []
    with reading(run):
        for place in sorted((run / FOLDER).glob(f"*/{NAME}")):
            try:
                value = json.loads(place.read_text(encoding="utf-8"))
                json.dumps(value, allow_nan=False)
                words = {name: printable(str(value[name])) for name in ("file", "answer")}
                found.append({**value, **words, "beta": float(value["beta"])})
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                continue  # it is made again by the command that made it
    return sorted(found, key=lambda value: float(value["beta"]))


def _name(theta: Tensor, weight_decay: float) -> str:
    return f"{digest(theta)[:12]}-{weight_decay:.12g}"
