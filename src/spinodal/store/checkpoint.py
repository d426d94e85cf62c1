"""Parameters from a checkpoint file: safetensors, or a PyTorch state dict read without running anything."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.store.disk import reading

NESTED = ("state_dict", "model_state_dict", "model")  # where training loops keep the state dict beside the rest
ALLOWED = "safetensors, or torch.save(model.state_dict(), FILE), is allowed"


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    A safetensors file, or what `torch.save` wrote of a state dict, alone or under one of `NESTED` in a
    dict. The latter is a zip file that holds a pickle; it is read by PyTorch's `weights_only` unpickler,
    which makes tensors and plain containers and calls nothing else. Pickles outside a zip file (written
    by PyTorch before 1.6) and TorchScript are refused unread.

    Parameters
    ----------
    path : a file

    Raises
    ------
    SpinodalError
        If it is no such file, is damaged, or holds no state dict.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"epoch": 3, "model": torch.nn.Linear(1, 1).state_dict()}, f"{folder}/last.pt")
    ...     sorted(read_checkpoint(f"{folder}/last.pt"))
    ['bias', 'weight']
    """
    place = Path(path)
    if not place.is_file():
        raise SpinodalError(
            got=f"{place} is {'a folder' if place.is_dir() else 'not there'}",
            allowed=f"a checkpoint file is needed: {ALLOWED}",
            do="check the path",
        )
    with reading(place), place.open("rb") as file:
        head = file.read(2)
    if head == b"PK":
        return _state_dict(_from_zip(place), place)
    if head[:1] == b"\x80":  # a bare pickle
        raise _refused(place, "is a pickle, which could run code", "write it again with torch.save of a current PyTorch")
    try:
        with reading(place):
            return dict(load_file(place))
    except (SafetensorError, ValueError, KeyError, AttributeError) as cause:
        raise _refused(place, f"is no safetensors file ({_line(cause)})", "check the path") from cause


def _from_zip(place: Path) -> Any:
    """Return what `torch.save` wrote, made of tensors and plain containers only."""
    try:
        with reading(place), zipfile.ZipFile(place) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as cause:
        raise _refused(place, f"is damaged ({_line(cause)})", "write it again") from cause
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _refused(place, "is a compressed archive", "write it with torch.save")
    if any("/code/" in entry.filename or entry.filename.endswith("constants.pkl") for entry in entries):
        raise _refused(place, "is a TorchScript program", "save model.state_dict()")
    try:
        with reading(place), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on what newer versions of PyTorch will call old
            return torch.load(place, map_location="cpu", weights_only=True)
    except SpinodalError:
        raise
    except pickle.UnpicklingError as cause:
        why = "holds objects other than tensors, or is damaged"
        raise _refused(place, why, "save model.state_dict(), which runs no code when read") from cause
    except Exception as cause:  # a damaged archive makes PyTorch raise whatever its reader meets
        raise _refused(place, f"is damaged ({_line(cause)})", "write it again") from cause


def _state_dict(value: Any, place: Path) -> dict[str, Tensor]:
    """Return the state dict in what a file held."""
    for candidate in (value, *(value.get(key) for key in NESTED if isinstance(value, Mapping))):
        if isinstance(candidate, Mapping) and candidate and all(map(_is_entry, candidate.items())):
            return dict(candidate)
    found = ", ".join(map(repr, list(value)[:5])) if isinstance(value, Mapping) else type(value).__name__
    raise _refused(place, f"holds no state dict (found {found})", f"save model.state_dict(), alone or under {NESTED[0]!r}")


def _is_entry(item: tuple[object, object]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, Tensor)


def _refused(place: Path, why: str, do: str) -> SpinodalError:
    return SpinodalError(got=f"{place} {why}", allowed=ALLOWED, do=do)


def _line(cause: BaseException) -> str:
    return " ".join(str(cause).split())[:200] or type(cause).__name__
