"""What a checkpoint holds, whatever it is called and however it was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from spinodal.store.checkpoint.file_kind import FileKind, kind_of
from spinodal.store.checkpoint.refusal import opened, refused
from spinodal.store.checkpoint.safetensors_file import read_safetensors
from spinodal.store.checkpoint.shards import INDICES, WHOLE, main_file, read_shards
from spinodal.store.checkpoint.torch_file import read_archive, read_legacy
from spinodal.tasks.states import states_in


def read_checkpoint(path: str | Path) -> Any:
    """Return the tensors of a checkpoint by name or, where it holds several such sets, all of it as it is nested.

    It may be a safetensors file; what `torch.save` wrote, with the state of the optimiser and plain settings
    beside the weights or without; the index of a checkpoint in several files (`model.safetensors.index.json`,
    `pytorch_model.bin.index.json`), or a folder with one of these. What a file is, its structure says, not its name.

    Nothing is run: pickles are read by PyTorch's `weights_only` unpickler, which makes tensors and plain
    containers. Numbers of NumPy, paths, dates and namespaces beside the weights are passed over, unmade. Whatever
    else a file names is refused by that name.

    Parameters
    ----------
    path : a file or a folder

    Raises
    ------
    SpinodalError
        If it is no such file, is damaged, or holds no tensor by name.

    Examples
    --------
    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"epoch": 3, "model": torch.nn.Linear(1, 1).state_dict()}, f"{folder}/last.pt")
    ...     sorted(read_checkpoint(f"{folder}/last.pt"))
    ['bias', 'weight']
    """
    place = Path(path)
    with opened(place):
        place.stat()
    if place.is_dir():
        place = main_file(place)
    held = _held(place)
    states = states_in(held)
    if not states:
        raise refused(place, f"holds no state dict (found {_found(held)})", "save model.state_dict(), alone or under a key")
    weights = [state for state in states if not state.of_optimiser]
    return dict(weights[0].tensors) if len(weights) == 1 else held


def is_checkpoint_folder(path: str | Path) -> bool:
    """Tell a folder that holds the weights of a model under a name that Hugging Face gives them."""
    return any(os.path.isfile(os.path.join(path, name)) for name in (*INDICES, *WHOLE))


def _held(place: Path) -> Any:
    if not place.is_file():
        raise refused(place, "is no file")
    kind = kind_of(place)
    if kind is FileKind.TEXT:
        return read_shards(place, _held)
    read = {
        FileKind.SAFETENSORS: read_safetensors,
        FileKind.ARCHIVE: read_archive,
        FileKind.LEGACY: read_legacy,
    }  # fmt: skip
    return read[kind](place)


def _found(value: Any) -> str:
    """Say what a file holds in place of tensors by name."""
    if isinstance(value, dict) and value:
        return ", ".join(f"{name!r}: {_kind(item)}" for name, item in list(value.items())[:5])
    return _kind(value)


def _kind(value: Any) -> str:
    kind = type(value)
    if isinstance(value, Tensor) or kind.__module__ == "builtins":
        return kind.__name__
    return "a number or array of NumPy" if kind.__module__.startswith("numpy") else f"{kind.__module__}.{kind.__qualname__}"
