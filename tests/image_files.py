"""Small sets of images, written as an .npz file or as a folder of IDX files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

ROLES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def images(count: int = 30, test: int = 6, side: int = 4, classes: int = 3) -> dict[str, np.ndarray]:
    """Return random images of bytes whose brightness tells their class."""
    drawn = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, size in (("train", count), ("test", test)):
        labels = np.arange(size) % classes
        level = (255 * (labels + 0.5) / classes)[:, None, None]
        arrays[f"x_{part}"] = np.clip(level + drawn.normal(0, 20, (size, side, side)), 0, 255).astype(np.uint8)
        arrays[f"y_{part}"] = labels.astype(np.uint8)
    return arrays


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays as an .npz file."""
    np.savez_compressed(path, **arrays)
    return path


def write_folder(folder: Path, arrays: dict[str, np.ndarray], *, zipped: bool) -> None:
    """Write the four IDX files."""
    for name, role in ROLES.items():
        content = idx(arrays[name])
        (folder / f"{role}{'.gz' if zipped else ''}").write_bytes(gzip.compress(content) if zipped else content)


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes in the IDX form."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
