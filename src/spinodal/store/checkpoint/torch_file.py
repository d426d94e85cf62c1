"""What `torch.save` wrote, in the zip files of today or as it was before them, read without running anything."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from spinodal.errors import SpinodalError
from spinodal.store.checkpoint.refusal import AGAIN, line, opened, refused
from spinodal.store.checkpoint.stand_ins import only_stand_ins

ALONE = "save model.state_dict() alone, which runs no code when read"
NAMED = re.compile(r"GLOBAL (\S+)")  # how PyTorch's reader names what it does not call
OTHER_ARCHIVES = (  # (ending of an entry, what has such entries)
    (".npy", "holds arrays of NumPy (.npz)", "save tensors: {name: torch.from_numpy(array)}"),
    (".h5", "is a Keras model", "save the state dict of the PyTorch model"),
    ("serialized_exported_program.json", "is an exported PyTorch program", "save model.state_dict()"),
    (".class", "is a Java archive", "check the path"),
    ("[Content_Types].xml", "is an office document", "check the path"),
)


class _Stream(io.BufferedReader):
    """A file without a number of the operating system, of which PyTorch never unpacks a tar archive to the disk."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation


def read_archive(place: Path) -> Any:
    """Return what a zip file of `torch.save` holds, or refuse it with what it is, or with what is wrong with it."""
    _check(place)
    with opened(place), place.open("rb") as file:
        return _loaded(file, place)


def read_legacy(place: Path) -> Any:
    """Return what a file of `torch.save` from before its zip files holds."""
    with opened(place), _Stream(io.FileIO(place)) as file:
        return _loaded(file, place)


def _loaded(file: IO[bytes] | io.BufferedReader, place: Path) -> Any:
    try:
        with warnings.catch_warnings(), only_stand_ins():
            warnings.simplefilter("ignore")  # on what newer versions of PyTorch will call old
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        raise _unread(place, str(cause)) from cause
    except OSError:
        raise
    except Exception as cause:  # a damaged file makes PyTorch raise whatever its reader meets
        raise refused(place, f"is damaged ({line(cause)})", AGAIN) from cause


def _unread(place: Path, message: str) -> SpinodalError:
    """Return the refusal of a pickle that PyTorch's reader does not follow."""
    if found := NAMED.search(message):
        return refused(place, f"holds an object of {found[1]}, which could run code when it is read", ALONE)
    if "Unsupported operand" in message:
        why = "is damaged, or written with a pickle_protocol other than 2, which PyTorch does not read without running code"
        return refused(place, why, "write it with torch.save and its own pickle_protocol")
    reason = " ".join(message.partition("WeightsUnpickler error: ")[2].split() or message.split())[:150]
    return refused(place, f"holds objects other than tensors, or is damaged ({reason})", ALONE)


def _check(place: Path) -> None:
    """Refuse an archive that is none of `torch.save`, that is packed, or whose bytes have changed since they were written."""
    try:
        with opened(place), zipfile.ZipFile(place) as archive:
            entries = archive.infolist()
            _refuse_other(place, entries)
            changed = next((entry.filename for entry in entries if entry.CRC and not _is_whole(archive, entry)), None)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError) as cause:
        if isinstance(cause, SpinodalError):
            raise
        raise refused(place, f"is a zip archive that is cut off or damaged ({line(cause)})", AGAIN) from cause
    if changed is not None:
        raise refused(place, f"is damaged: {changed} in it does not have its checksum", AGAIN)


def _refuse_other(place: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise refused(place, "is a TorchScript program", "save model.state_dict()")
    for ending, what, do in OTHER_ARCHIVES:
        if any(name.endswith(ending) for name in names):
            raise refused(place, what, do)
    if not any(name.endswith("/data.pkl") for name in names):
        held = ", ".join(map(repr, names[:3])) or "nothing"
        raise refused(place, f"is a zip archive that torch.save did not write (it holds {held})", "check the path")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise refused(place, "is a compressed archive, which torch.save does not write", "write it with torch.save")


def _is_whole(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Tell whether an entry has its checksum, which PyTorch does not look at: a changed bit is a wrong weight."""
    with archive.open(entry) as file:
        try:
            while file.read(1 << 20):
                pass
        except zipfile.BadZipFile:
            return False
    return True
