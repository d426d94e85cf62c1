"""The model at a point as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from spinodal.files import write_whole, writing


def save_model(state: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> Path:
    """Write a state dict and what is to be said of it, whole or not at all, and return the path (see `Snapshot.save`)."""
    with writing(path, do="check the path and the free space"):
        write_whole(path, save(dict(state), metadata=dict(metadata)))
    return path
