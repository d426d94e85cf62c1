"""Sets of labelled images: read from an .npz file or a folder of IDX files, and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinodal.errors import SpinodalError, blaming
from spinodal.tasks.idx import read_idx

NAMES = ("x_train", "y_train", "x_test", "y_test")
STEMS = dict(zip(NAMES, ("train-images", "train-labels", "t10k-images", "t10k-labels"), strict=True))  # of IDX files
FOLDERS = ("", "raw", "MNIST/raw")  # where in a folder they lie, the last two as torchvision keeps them
FORMS = "an .npz file with x_train, y_train, x_test and y_test, or a folder with the four IDX files, is allowed"
BYTE = 255
BEGINNINGS = (b"PK", b"\x93N")  # of archives that numpy saves, and of single arrays


@dataclass(frozen=True)
class Labelled:
    """Images, shape (n, ...), of bytes or of numbers from 0 to 1, and their classes, shape (n,), whole numbers."""

    images: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def pixels(self) -> int:
        """Return the number of values of one image."""
        return math.prod(self.images.shape[1:])

    def chosen(self, places: np.ndarray) -> Labelled:
        """Return some of the images, by their places or by a mask."""
        return Labelled(self.images[places], self.classes[places])

    def rows(self) -> np.ndarray:
        """Return the images as rows, shape (n, pixels), of numbers from 0 to 1 in single precision."""
        rows = self.images.reshape(len(self), -1).astype(np.float32)
        return rows / np.float32(BYTE) if _is_of_bytes(self.images) else rows


@dataclass(frozen=True)
class ImageSet:
    """Images to train on, and images kept for the test."""

    train: Labelled
    test: Labelled


def read_images(path: Path, *, outputs: int) -> ImageSet:
    """Return the images in an .npz file, or in a folder of IDX files (gzipped or not).

    Nothing in a file is run: pickled arrays are refused.

    Parameters
    ----------
    path : Path
    outputs : int
        Number of classes: labels are 0 to `outputs - 1`.

    Raises
    ------
    SpinodalError
        If there is no such file, it is damaged, arrays are missing or do not fit each other, images hold anything but bytes or
        numbers from 0 to 1, or labels lie out of range.
    """
    path = path.expanduser()
    with blaming(f"reading {path}", allowed=FORMS, do="check the path, or fetch the data again"):
        if not path.exists():
            raise SpinodalError(got=f"no file or folder {path}", allowed=FORMS, do="check the path")
        return checked(_from_folder(path) if path.is_dir() else _from_npz(path), outputs=outputs)


def checked(arrays: Mapping[str, np.ndarray], *, outputs: int) -> ImageSet:
    """Return arrays by the names of `NAMES` as a set of images, or refuse them (see `read_images`)."""
    train, test = (_part(arrays, part, outputs) for part in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise SpinodalError(
            got=f"images of shape {_shape(train)} in x_train and {_shape(test)} in x_test",
            allowed="images of one shape are allowed",
            do="give both parts of one data set",
        )
    return ImageSet(train, test)


def _shape(part: Labelled) -> str:
    return " x ".join(map(str, part.images.shape[1:]))


# -- files -------------------------------------------------------------------------------------


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        if file.read(2) not in BEGINNINGS:
            raise SpinodalError(got=f"{path} is no .npz file", allowed=FORMS, do="save the arrays with numpy.savez")
        file.seek(0)
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise SpinodalError(got=f"{path} holds one array", allowed=FORMS, do="save four with numpy.savez")
        if missing := [name for name in NAMES if name not in archive]:
            found = ", ".join(archive.files) or "nothing"
            raise SpinodalError(got=f"{path} has no {' and no '.join(missing)}", allowed=FORMS, do=f"rename: it holds {found}")
        return {name: archive[name] for name in NAMES}


def _from_folder(folder: Path) -> dict[str, np.ndarray]:
    files = {name: _found(folder, name) for name in NAMES}
    if missing := [name for name, file in files.items() if file is None]:
        wanted = " and no ".join(file_names(name)[0] for name in missing)
        raise SpinodalError(got=f"{folder} holds no {wanted}", allowed=FORMS, do="check the folder")
    return {name: read_idx(file, axes=_axes(name)) for name, file in files.items() if file is not None}


def _found(folder: Path, name: str) -> Path | None:
    places = (folder / inner / file for inner in FOLDERS for file in file_names(name))
    return next((place for place in places if place.is_file()), None)


def file_names(name: str) -> list[str]:
    """Return what the IDX file of an array may be called, the usual name first.

    Examples
    --------
    >>> file_names("y_test")[:2]
    ['t10k-labels-idx1-ubyte', 't10k-labels-idx1-ubyte.gz']
    """
    kind = f"idx{_axes(name)}-ubyte"
    return [f"{STEMS[name]}{joint}{kind}{ending}" for joint in "-." for ending in ("", ".gz")]


def _axes(name: str) -> int:
    return 3 if name.startswith("x") else 1


# -- checks ------------------------------------------------------------------------------------


def _part(arrays: Mapping[str, np.ndarray], part: str, outputs: int) -> Labelled:
    images, classes = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.ndim < 2 or images.size == 0:
        raise SpinodalError(
            got=f"x_{part} has shape {images.shape}",
            allowed="at least one image, shape (images, ...), is needed",
            do="give images along the first axis",
        )
    return Labelled(_checked_images(f"x_{part}", images), _checked_classes(f"y_{part}", classes, len(images), outputs))


def _checked_images(name: str, images: np.ndarray) -> np.ndarray:
    """Return images, or refuse what is neither bytes nor numbers from 0 to 1 (or to 255)."""
    allowed, do = "bytes, or finite numbers from 0 to 1 or to 255, are allowed", "give the images as they come"
    if images.dtype.kind not in "uif":
        raise SpinodalError(got=f"{name} is of type {images.dtype}", allowed=allowed, do=do)
    low, high = float(images.min()), float(images.max())
    if not (0 <= low <= high <= BYTE):
        raise SpinodalError(got=f"{name} goes from {low:g} to {high:g}", allowed=allowed, do=do)
    return images


def _checked_classes(name: str, classes: np.ndarray, count: int, outputs: int) -> np.ndarray:
    """Return the classes as whole numbers, or refuse those that fit neither the images nor the outputs."""
    if classes.shape not in ((count,), (count, 1)):
        raise SpinodalError(
            got=f"{name} has shape {classes.shape} for {count:,} images",
            allowed="one class for each image is needed",
            do="give both arrays of one data set",
        )
    flat = classes.reshape(-1)
    is_whole = flat.dtype.kind in "ui" or (flat.dtype.kind == "f" and bool((flat == np.round(flat)).all()))
    wrong = np.flatnonzero((flat < 0) | (flat >= outputs)) if is_whole else np.arange(1)
    if len(wrong):
        raise SpinodalError(
            got=f"label {flat[wrong[0]]} at place {wrong[0]:,} of {name}",
            allowed=f"whole numbers from 0 to {outputs - 1} are allowed",
            do="mend the labels, or set outputs to the number of classes",
        )
    return flat.astype(np.int64)


def _is_of_bytes(images: np.ndarray) -> bool:
    """Tell numbers from 0 to 255 from those from 0 to 1: whole numbers are bytes, others by their size."""
    return images.dtype.kind in "ui" or float(images.max()) > 1.0


def places_of(part: Labelled, classes: Sequence[int]) -> np.ndarray:
    """Return the places of the images of some classes, rising."""
    places: np.ndarray = np.flatnonzero(np.isin(part.classes, classes))
    return places
