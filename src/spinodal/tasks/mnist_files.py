"""The published MNIST files: fetched once, checked against their checksums, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

from spinodal.errors import SpinodalError, told
from spinodal.files import write_whole

VARIABLE = "SPINODAL_MNIST"  # path of the data, where none is given
HOMES = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
CHECKSUMS = {  # SHA-256 of the files as published
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
PATIENCE, LARGEST = 20.0, 2**24  # seconds without an answer; bytes, more than any of the files has
WAYS = (
    f"--set data=PATH or {VARIABLE}=PATH (an .npz file with x_train, y_train, x_test and y_test, or a folder with the four "
    "IDX files, gzipped or not), or a network to fetch them once, is allowed"
)


def mnist_place() -> Path:
    """Return where the MNIST images lie: what the environment names, else the cache, fetched if it is not there.

    Raises
    ------
    SpinodalError
        If a file of the cache has not the checksum it was published with, or the files cannot be fetched or kept. Nothing is
        kept then: the cache holds all four files or none.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    folder = cache_folder()
    if all((folder / name).is_file() for name in CHECKSUMS):
        _check_cached(folder)
    else:
        _keep(folder, {name: _fetched(name) for name in CHECKSUMS})
    return folder


def cache_folder() -> Path:
    """Return the folder in which the files are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "spinodal" / "mnist"


def _check_cached(folder: Path) -> None:
    for name, checksum in CHECKSUMS.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as cause:
            raise _unusable(got=f"{folder / name} cannot be read: {cause.strerror}", do="check its permissions") from cause
        if _digest(content) != checksum:
            raise _unusable(
                got=f"{folder / name} is damaged: its checksum is wrong", do=f"delete {folder}, and it is fetched again"
            )


def _fetched(name: str) -> bytes:
    """Return a file from the first home that has it as it was published."""
    failures = []
    for home in HOMES:
        try:
            with urlopen(home + name, timeout=PATIENCE) as response:
                content: bytes = response.read(LARGEST)
        except Exception as cause:  # noqa: BLE001 - no network, no such host, a proxy's answer: the next home is tried
            failures.append(f"{home}{name}: {told(cause)}")
            continue
        if _digest(content) == CHECKSUMS[name]:
            return content
        failures.append(f"{home}{name}: its checksum is wrong")
    raise _unusable(
        got=f"no MNIST images here, and they cannot be fetched ({'; '.join(failures)})", do="give a path to the data"
    )


def _keep(folder: Path, contents: dict[str, bytes]) -> None:
    """Write all files, or none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(folder / name, content)
    except BaseException as cause:
        _removed(folder, contents)
        if isinstance(cause, OSError):
            do = "free space, set XDG_CACHE_HOME to a folder that can be written, or give a path to the data"
            raise _unusable(got=f"{folder} cannot be written: {cause.strerror}", do=do) from cause
        raise


def _removed(folder: Path, names: dict[str, bytes]) -> None:
    for name in names:
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unusable(got: str, do: str) -> SpinodalError:
    return SpinodalError(got=got, allowed=WAYS, do=do)
