"""Sets of images: both file forms are read, and what is damaged or does not fit is refused with the reason."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spinodal as sp
from image_files import ROLES, idx, images, write_folder, write_npz
from spinodal.errors import SpinodalError
from spinodal.tasks import mnist, mnist_files
from spinodal.tasks.images import checked, read_images

SMALL = {"hidden": (5, 4), "mean": 0.0, "deviation": 1.0}


def equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one.images, other.images) and np.array_equal(one.classes, other.classes))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inner", ["", "raw", "MNIST/raw"])
def test_an_archive_and_a_folder_of_idx_files_hold_the_same_images(tmp_path: Path, zipped: bool, inner: str) -> None:
    arrays = images()
    read = read_images(write_npz(tmp_path / "set.npz", arrays), outputs=10)
    assert np.array_equal(read.train.images, arrays["x_train"])
    assert np.array_equal(read.test.classes, arrays["y_test"])
    (tmp_path / "folder" / inner).mkdir(parents=True)
    write_folder(tmp_path / "folder" / inner, arrays, zipped=zipped)
    again = read_images(tmp_path / "folder", outputs=10)
    assert equal(again.train, read.train)
    assert equal(again.test, read.test)


def test_pixels_become_numbers_from_0_to_1_less_the_mean_over_the_deviation(tmp_path: Path) -> None:
    arrays = images()
    path = write_npz(tmp_path / "set.npz", arrays)
    inputs, labels = mnist(data=path, mean=0.25, deviation=0.5, hidden=(3,)).data
    expected = (arrays["x_train"].reshape(len(inputs), -1).astype(np.float64) / 255 - 0.25) / 0.5
    np.testing.assert_allclose(inputs.numpy(), expected, atol=1e-6)
    assert inputs.dtype == torch.float32
    assert labels.tolist() == arrays["y_train"].tolist()


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint16"])
@pytest.mark.parametrize("scaled", [True, False])
def test_images_of_numbers_mean_what_the_bytes_mean(kind: str, scaled: bool) -> None:
    arrays = images()
    rows = checked(arrays, outputs=10).train.rows()
    if scaled and not kind.startswith("float"):
        return
    given = {name: values.astype(kind) / 255 if scaled else values.astype(kind) for name, values in arrays.items()}
    given |= {name: arrays[name] for name in ("y_train", "y_test")}
    np.testing.assert_allclose(checked(given, outputs=10).train.rows(), rows, atol=1e-6)


def test_a_dark_set_of_bytes_is_still_one_of_bytes() -> None:
    arrays = images() | {
        "x_train": np.ones((4, 2, 2), np.uint8),
        "y_train": np.arange(4),
        "x_test": np.ones((1, 2, 2), np.uint8),
    }
    arrays["y_test"] = np.zeros(1, int)
    assert checked(arrays, outputs=10).train.rows().max() == pytest.approx(1 / 255)


def test_samples_are_the_first_ones_or_a_random_choice_that_a_seed_fixes(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "set.npz", images())
    whole = mnist(data=path, **SMALL).data[0]
    assert torch.equal(mnist(data=path, samples=7, **SMALL).data[0], whole[:7])
    chosen, again, other = (mnist(data=path, samples=7, seed=seed, **SMALL).data[0] for seed in (1, 1, 2))
    assert torch.equal(chosen, again)
    assert not torch.equal(chosen, other)
    assert all(any(torch.equal(row, known) for known in whole) for row in chosen)


def test_chosen_classes_keep_their_labels_and_the_outputs(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "set.npz", images())
    task = mnist(data=path, classes=(2, 0), samples=5, held_out=2, **SMALL)
    assert set(task.data[1].tolist()) == set(task.held_out[1].tolist()) == {0, 2}
    assert (len(task.data[1]), len(task.held_out[1])) == (5, 2)
    assert task.model[-1].out_features == 10
    assert task.settings["classes"] == [0, 2]


def test_squared_error_is_that_on_one_hot_rows(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "set.npz", images())
    plain, squared = (mnist(data=path, loss=loss, **SMALL) for loss in ("cross_entropy", "squared_error"))
    landscape = squared.landscape(dtype=torch.float64)
    theta = squared.initial(0)
    inputs, labels = plain.data
    with landscape.at(theta) as model:
        outputs = model(inputs.double()).detach()
    expected = ((outputs - torch.eye(10, dtype=torch.float64)[labels]) ** 2).sum(1).mean()
    assert landscape.value(theta) == pytest.approx(float(expected), rel=1e-12)
    logits = outputs - outputs.logsumexp(1, keepdim=True)
    entropy = -logits[torch.arange(len(labels)), labels].mean()
    assert plain.landscape(dtype=torch.float64).value(theta) == pytest.approx(float(entropy), rel=1e-12)


def test_the_task_computes_in_single_precision_unless_told_otherwise(tmp_path: Path) -> None:
    task = mnist(data=write_npz(tmp_path / "set.npz", images()), **SMALL)
    assert task.landscape().dtype == torch.float32
    assert task.landscape(dtype=torch.float64).dtype == torch.float64
    diagram = sp.map_phases(task, beta=(0.2, 0.4), starts=1)
    assert diagram.points[0].minimum.theta.dtype == torch.float32


def test_settings_make_the_task_again(tmp_path: Path) -> None:
    task = mnist(data=write_npz(tmp_path / "set.npz", images()), samples=9, classes=(0, 1), seed=3, **SMALL)
    assert task.settings.keys() == mnist.__kwdefaults__.keys() - {"held_out_classes"}  # kept where it is given
    again = mnist(**task.settings)
    assert again.settings == task.settings
    assert torch.equal(again.data[0], task.data[0])


# -- what is refused -----------------------------------------------------------------------------


def changed(**arrays: Any) -> Callable[[Path], Path]:
    return lambda folder: write_npz(folder / "set.npz", images() | arrays)


def without(name: str) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        arrays = images()
        del arrays[name]
        return write_npz(folder / "set.npz", arrays)

    return made


def cut(folder: Path) -> Path:
    path = write_npz(folder / "set.npz", images())
    path.write_bytes(path.read_bytes()[:-200])
    return path


def garbled(folder: Path) -> Path:
    path = write_npz(folder / "set.npz", images())
    content = bytearray(path.read_bytes())
    content[200:260] = b"\x55" * 60
    path.write_bytes(content)
    return path


def text(folder: Path) -> Path:
    (folder / "set.npz").write_text("label,pixel\n")
    return folder / "set.npz"


def pickled(folder: Path) -> Path:
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(folder / "set.npz", **(images() | {"x_train": objects}), allow_pickle=True)
    return folder / "set.npz"


def one_array(folder: Path) -> Path:
    np.save(folder / "set.npy", images()["x_train"])
    return folder / "set.npy"


def folder_with(role: str, content: Callable[[bytes], bytes], name: str = "") -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        write_folder(folder, images(), zipped=False)
        path = folder / ROLES[role]
        whole = path.read_bytes()
        path.unlink()
        (folder / (name or ROLES[role])).write_bytes(content(whole))
        return folder

    return made


HUGE = struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2**31) + b"\x00" * 100
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no file": (lambda folder: folder / "none.npz", "no file or folder"),
    "an empty folder": (lambda folder: folder, "holds no train-images-idx3-ubyte and no train-labels"),
    "no test labels": (without("y_test"), "has no y_test"),
    "one array": (one_array, "holds one array"),
    "a text": (text, "set.npz is no .npz file"),
    "a truncated archive": (cut, "raised"),
    "a garbled archive": (garbled, "raised"),
    "pickled arrays": (pickled, "allow_pickle=False"),
    "images without labels": (changed(y_train=np.arange(3)), "y_train has shape (3,) for 30 images"),
    "labels in a table": (changed(y_train=np.zeros((30, 2), int)), "y_train has shape (30, 2)"),
    "a label too high": (changed(y_test=np.full(6, 10)), "label 10 at place 0 of y_test; whole numbers from 0 to 9"),
    "a negative label": (changed(y_train=np.r_[np.zeros(29, int), -1]), "label -1 at place 29 of y_train"),
    "half a label": (changed(y_train=np.full(30, 0.5)), "label 0.5"),
    "labels that are words": (changed(y_train=np.array(["a"] * 30)), "label a"),
    "labels that are no numbers": (changed(y_train=np.full(30, np.nan)), "label nan"),
    "no images": (changed(x_train=np.zeros((0, 4, 4), np.uint8)), "x_train has shape (0, 4, 4)"),
    "a row of numbers": (changed(x_train=np.zeros(30, np.uint8)), "x_train has shape (30,)"),
    "images of another size": (changed(x_test=np.zeros((6, 5, 4), np.uint8)), "4 x 4 in x_train and 5 x 4 in x_test"),
    "images of words": (changed(x_train=np.full((30, 4, 4), "a")), "x_train is of type"),
    "complex images": (changed(x_train=np.zeros((30, 4, 4), complex)), "x_train is of type complex128"),
    "negative pixels": (changed(x_train=np.full((30, 4, 4), -0.5)), "x_train goes from -0.5 to -0.5"),
    "pixels beyond a byte": (changed(x_train=np.full((30, 4, 4), 300)), "x_train goes from 300 to 300"),
    "pixels that are no numbers": (changed(x_train=np.full((30, 4, 4), np.nan)), "x_train goes from nan"),
    "a missing IDX file": (folder_with("y_test", bytes, "other"), "holds no t10k-labels-idx1-ubyte"),
    "a truncated IDX file": (folder_with("x_train", lambda b: b[:-1]), "is truncated: 479 bytes of 30 x 4 x 4"),
    "a longer IDX file": (folder_with("x_train", lambda b: b + b"\x00"), "is longer than its shape says"),
    "a shape beyond all memory": (folder_with("x_train", lambda b: HUGE), "is truncated: 100 bytes"),
    "an IDX file that ends in its shape": (folder_with("x_train", lambda b: b[:9]), "ends within its shape"),
    "an empty IDX file": (folder_with("x_train", lambda b: b""), "does not begin as an IDX file"),
    "labels in place of images": (folder_with("x_train", lambda b: idx(np.zeros(3, np.uint8))), "with 3 axes"),
    "an IDX file of floats": (folder_with("y_train", lambda b: b[:2] + b"\x0d" + b[3:]), "with 1 axis"),
    "a truncated gzip": (
        folder_with("x_train", lambda b: gzip.compress(b)[:-9], "train-images-idx3-ubyte.gz"),
        "cannot be read",
    ),
    "a garbled gzip": (
        folder_with("y_train", lambda b: gzip.compress(b)[:10] + b"\xff" * 40, "train-labels-idx1-ubyte.gz"),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(SpinodalError) as refusal:
        read_images(make(tmp_path), outputs=10)
    assert reason in refusal.value.got + "; " + refusal.value.allowed
    assert refusal.value.do


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"samples": 31}, "samples = 31; up to 30 images are there"),
        ({"samples": 0}, "samples = 0; whole numbers >= 1"),
        ({"held_out": 7}, "held_out = 7; up to 6 images are there"),
        ({"held_out": -1}, "held_out = -1"),
        ({"classes": (0,)}, "classes = [0]; at least two different labels are allowed, of 0, 1, 2"),
        ({"classes": (0, 0)}, "at least two different labels"),
        ({"classes": (0, 5)}, "of 0, 1, 2"),
        ({"classes": "01"}, "classes = '01'"),
        ({"outputs": 1}, "outputs = 1"),
        ({"outputs": 2}, "label 2 at place 2 of y_train; whole numbers from 0 to 1"),
        ({"loss": "hinge"}, "unknown loss 'hinge'"),
        ({"activation": "sigmod"}, "did you mean 'sigmoid'?"),
        ({"deviation": 0.0}, "deviation = 0.0"),
        ({"mean": float("nan")}, "mean = nan"),
        ({"seed": -1}, "seed = -1"),
        ({"data": 3}, "data = 3"),
        ({"data": ""}, "data = ''"),
    ],
    ids=repr,
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    path = write_npz(tmp_path / "set.npz", images())
    with pytest.raises(SpinodalError) as refusal:
        mnist(**({"data": path, "hidden": (3,)} | settings))
    assert reason in str(refusal.value)


# -- the published files -------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for the data set's home, with checksums of its own; the cache is another folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    write_folder(folder, images(), zipped=True)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(mnist_files, "CHECKSUMS", sums)
    monkeypatch.setattr(mnist_files, "HOMES", ("file:///nowhere/", folder.as_uri() + "/"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(mnist_files.VARIABLE, raising=False)
    return folder


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_the_files_are_fetched_once_and_kept(home: Path, tmp_path: Path) -> None:
    first = mnist(**SMALL).data[0]
    assert cached(tmp_path) == sorted(mnist_files.CHECKSUMS)
    for path in home.iterdir():
        path.unlink()
    assert torch.equal(mnist(**SMALL).data[0], first)


def test_the_environment_names_the_data_before_the_cache_does(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mnist_files.VARIABLE, str(write_npz(tmp_path / "set.npz", images(count=12))))
    assert len(mnist(**SMALL).data[0]) == 12
    assert cached(tmp_path) == []


def test_without_a_network_the_ways_are_listed_and_nothing_is_kept(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist_files, "HOMES", ("file:///nowhere/", "http://127.0.0.1:9/"))
    with pytest.raises(SpinodalError) as refusal:
        mnist(**SMALL)
    assert all(way in str(refusal.value) for way in ("--set data=PATH", "SPINODAL_MNIST", "network", "127.0.0.1"))
    assert not (tmp_path / "cache").exists()


def test_a_file_with_a_wrong_checksum_is_not_kept_nor_are_the_others(home: Path, tmp_path: Path) -> None:
    (home / "t10k-labels-idx1-ubyte.gz").write_bytes(b"an answer of a proxy")
    with pytest.raises(SpinodalError, match="its checksum is wrong"):
        mnist(**SMALL)
    assert not (tmp_path / "cache").exists()


def test_a_cached_file_that_was_damaged_is_refused(home: Path, tmp_path: Path) -> None:
    mnist(**SMALL)
    file = tmp_path / "cache" / "spinodal" / "mnist" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SpinodalError, match="damaged: its checksum is wrong") as refusal:
        mnist(**SMALL)
    assert "delete" in refusal.value.do


def test_a_cache_that_lacks_a_file_is_fetched_again(home: Path, tmp_path: Path) -> None:
    mnist(**SMALL)
    (tmp_path / "cache" / "spinodal" / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    mnist(**SMALL)
    assert cached(tmp_path) == sorted(mnist_files.CHECKSUMS)


def test_a_cache_that_cannot_be_written_is_refused_and_nothing_is_left(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(path: Path, content: bytes) -> None:
        if written:
            raise OSError(28, os.strerror(28))
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(mnist_files, "write_whole", full)
    with pytest.raises(SpinodalError, match="No space left on device"):
        mnist(**SMALL)
    assert written
    assert cached(tmp_path) == []
