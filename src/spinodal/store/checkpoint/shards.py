"""A checkpoint in several files: the index says which of them holds which tensor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from spinodal.store.checkpoint.refusal import line, opened, refused
from spinodal.store.checkpoint.safetensors_file import without_doubles

WHOLE = ("model.safetensors", "pytorch_model.bin")  # as Hugging Face calls the file of a folder,
INDICES = tuple(f"{name}.index.json" for name in WHOLE)  # and the index of its parts


def main_file(folder: Path) -> Path:
    """Return the weights of a folder as Hugging Face writes it: one file, or the index of several."""
    with opened(folder):
        found = [folder / name for name in (*INDICES, *WHOLE) if (folder / name).is_file()]
        distributed = any(folder.glob("*.distcp"))
    if distributed and not found:
        do = "write one file: torch.distributed.checkpoint.format_utils.dcp_to_torch_save(FOLDER, FILE)"
        raise refused(folder, "is a folder of torch.distributed.checkpoint", do)
    if not found:
        raise refused(folder, f"is a folder without {', '.join((*INDICES, *WHOLE))}", "give the checkpoint file in it")
    if len(found) > 1:
        raise refused(folder, f"is a folder with {' and '.join(path.name for path in found)}", "give the one you mean")
    return found[0]


def read_shards(index: Path, read: Callable[[Path], Any]) -> dict[str, Tensor]:
    """Return the tensors that an index names, from the files beside it."""
    where, folder = _weight_map(index), index.parent
    missing = sorted({name for name in where.values() if not (folder / name).is_file()})
    if missing:
        raise refused(index, f"names files that are not beside it: {', '.join(missing[:5])}", "copy them there")
    held = {name: read(folder / name) for name in sorted(set(where.values()))}
    lost = [tensor for tensor, name in where.items() if not isinstance(_entry(held[name], tensor), Tensor)]
    if lost:
        more = f" (and {len(lost) - 1} more)" if lost[1:] else ""
        raise refused(index, f"says that {where[lost[0]]} holds {lost[0]}, which it does not{more}", "copy the files again")
    return {tensor: held[name][tensor] for tensor, name in where.items()}


def _entry(held: Any, name: str) -> Any:
    return held.get(name) if isinstance(held, dict) else None


def _weight_map(index: Path) -> dict[str, str]:
    """Return the file of every tensor; no name of a file may lead out of the folder of the index."""
    with opened(index):
        raw = index.read_bytes()
    try:
        value = json.loads(raw, object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as cause:
        raise refused(index, f"is no JSON ({line(cause)})") from cause
    found = value.get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise refused(index, "is no safetensors file, but JSON without a weight_map, and so no index of such files")
    for name in found.values():
        if name in ("", ".", "..") or not name.isprintable() or any(sign in name for sign in "/\\:"):
            raise refused(index, f"names the file {name!r}, which is not beside it", "name files of its own folder")
        if name.endswith(".json"):
            raise refused(index, f"names the file {name!r}, which is another index", "name files of tensors")
    return found
