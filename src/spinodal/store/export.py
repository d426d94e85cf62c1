"""The model at a point as a safetensors file."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save

from spinodal.penalty import CONVENTION
from spinodal.snapshot import Snapshot
from spinodal.store.disk import write_whole, writing


def save_snapshot(snapshot: Snapshot, path: Path) -> Path:
    """Write the state dict of a snapshot, whole or not at all, and return its path (see `Snapshot.save`)."""
    state = snapshot.state_dict()
    with writing(path, do="check the path and the free space"):
        write_whole(path, save(state, metadata=_metadata(snapshot)))
    return path


def _metadata(snapshot: Snapshot) -> dict[str, str]:
    return {
        "task": str(snapshot.task["name"]),
        "beta": repr(snapshot.beta),
        "weight_decay": repr(snapshot.weight_decay),
        "convention": CONVENTION,
        "error": repr(snapshot.error),
        "point": str(snapshot.point.index),
    }
