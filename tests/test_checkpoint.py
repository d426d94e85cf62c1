"""Files of checkpoints: what they are, what is read of them, and what is refused without running anything."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.store import read_checkpoint
from spinodal.tasks.models import Models


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def same(found: dict[str, torch.Tensor], model: nn.Module) -> bool:
    state = model.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def refusal(path: Path) -> str:
    """Return the refusal of a file, which names it."""
    with pytest.raises(SpinodalError) as caught:
        read_checkpoint(path)
    assert str(path.name) in str(caught.value)
    return str(caught.value)


def archive(path: Path, entries: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as held:
        return {name: held.read(name) for name in held.namelist()}


# -- a file is what its structure says --------------------------------------------------------------


def header_length(path: Path) -> int:
    return int(struct.unpack("<Q", path.read_bytes()[:8])[0])


def test_safetensors_with_headers_of_every_length_are_read(tmp_path: Path) -> None:
    path, lengths = tmp_path / "a", set()
    for length in range(1, 129):
        save_file({"a" * length: torch.tensor([float(length)])}, path)
        lengths.add(header_length(path) % 256)
        assert read_checkpoint(path)["a" * length].tolist() == [length]
    assert 0x80 in lengths  # as a pickle begins


def test_safetensors_whose_length_spells_a_zip_file_are_read(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(0x4B50)
    path = header_of(tmp_path / "a", header, struct.pack("<f", 7.0))
    assert path.read_bytes()[:2] == b"PK"
    assert load_file(path)["a"].tolist() == read_checkpoint(path)["a"].tolist() == [7.0]


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Linear(1, 1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        (layer,) = self.children()
        return layer(inputs)


def squared(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return (model(batch) - batch).square().mean()


def test_own_exports_are_read_back_whatever_the_layers_are_called(tmp_path: Path) -> None:
    task = sp.Task(Named("layer"), squared, torch.linspace(-1, 1, 5)[:, None], name="named")
    point = sp.map_phases(task, beta=(0.1, 0.11), starts=1).at(0.1)
    for length in range(1, 129):
        other = sp.Task(Named("a" * length), squared, torch.ones(1, 1), name="named")
        snapshot = sp.Snapshot(point.point, point.task, Models.of(other))
        held = read_checkpoint(snapshot.save(tmp_path / "own.safetensors"))
        assert torch.cat([value.reshape(-1) for value in held.values()]).sum() == pytest.approx(float(point.theta.sum()))
        assert set(held) == {f"{'a' * length}.weight", f"{'a' * length}.bias"}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.bin", "a"])
def test_a_file_of_torch_is_one_whatever_it_is_called(tmp_path: Path, name: str, legacy: bool) -> None:
    model = net()
    torch.save(model.state_dict(), tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert same(read_checkpoint(tmp_path / name), model)


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    model = net()
    save_file(model.state_dict(), tmp_path / "weights.pt")
    assert same(read_checkpoint(tmp_path / "weights.pt"), model)


def raw_array(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays) if arrays else np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"GGUF\x03\x00\x00\x00" + bytes(100), "GGUF"),
        (b"\x08\x08\x12\x07pytorch" + bytes(100), "ONNX"),
        (raw_array(), "is a NumPy array"),
        (raw_array(weight=np.zeros(3)), r"NumPy \(\.npz\)"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "TensorFlow Lite"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(100), "gzip; .*decompress"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"", "is empty"),
        (b"weights\n", "is no safetensors file, and none of torch.save"),
        (bytes(5000), "is no safetensors file"),
        (b'{"architectures": ["Bert"]}', "without a weight_map"),
        (b'{"weight_map": ', "is no JSON"),
        (pickle.dumps({"a": 1}), "bare pickle, which could run code"),
    ],
)
def test_what_is_given_by_mistake_is_called_what_it_is(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(SpinodalError, match=said):
        read_checkpoint(tmp_path / "a")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"a.txt": b"x"}, "torch.save did not write.*'a.txt'"),
        ({}, "torch.save did not write.*nothing"),
        ({"config.json": b"{}", "model.weights.h5": b""}, "Keras"),
        ({"m/serialized_exported_program.json": b"{}", "m/data.pkl": b""}, "exported PyTorch program"),
        ({"script/data.pkl": pickle.dumps({}), "script/code/__torch__.py": b"import os"}, "TorchScript"),
    ],
)
def test_an_archive_of_something_else_is_called_what_it_is(tmp_path: Path, held: dict[str, bytes], said: str) -> None:
    with pytest.raises(SpinodalError, match=said):
        read_checkpoint(archive(tmp_path / "a", held))


def test_a_program_of_torch_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what PyTorch calls old
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "a")
    assert "TorchScript" in refusal(tmp_path / "a")


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_every_truncation_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "whole"
    if kind == "safetensors":
        save_file(net().state_dict(), path)
    else:
        torch.save(net().state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:length])
        said = refusal(path)
        if kind == "safetensors" and length > 8:
            assert "cut off" in said
        if kind == "zip" and length > 8:
            assert "cut off or damaged" in said


def header_of(path: Path, header: bytes, numbers: bytes = b"", length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + numbers)
    return path


ONE = '{"dtype": "F32", "shape": [1], "data_offsets": [%d, %d]}'


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (f'{{"a": {ONE % (0, 4)}, "a": {ONE % (4, 8)}}}', "gives 'a' twice"),
        (f'{{"a": {ONE % (0, 4)}, "b": {ONE % (0, 4)}}}', "damaged"),
        (f'{{"a": {ONE % (0, 4)}, "b": {ONE % (2, 6)}}}', "damaged"),
        (f'{{"a": {ONE % (0, 400)}}}', "tensors end at byte"),
        (f'{{"a": {ONE % (0, 4)}, "b": {ONE % (4, 10**15)}}}', "tensors end at byte"),
        (f'{{"a": {ONE % (0, 8)}}}', "damaged"),
        ('{"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 8]}}', "damaged"),
        ('{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 8]}}', "damaged"),
        ('{"a": 3}', "damaged header"),
        ("{}", "damaged|no state dict"),
        ("{nonsense", "damaged header"),
        ("{" + '"a":{' * 5000, "damaged header"),
    ],
)
def test_a_header_that_describes_no_tensors_in_the_file_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(SpinodalError, match=said):
        read_checkpoint(header_of(tmp_path / "a", header.encode(), bytes(8)))


@pytest.mark.parametrize("length", [10**6, 10**8])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, length: int) -> None:
    assert "cut off" in refusal(header_of(tmp_path / "a", b'{"a": 1}', length=length))


@pytest.mark.parametrize("length", [10**8 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_longer_than_any_is_no_safetensors(tmp_path: Path, length: int) -> None:
    assert "would have" in refusal(header_of(tmp_path / "a.safetensors", b'{"a": 1}', length=length))


def test_a_changed_bit_in_a_weight_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "a"
    torch.save({"w": torch.tensor([7.0, 8.0])}, path)
    raw = bytearray(path.read_bytes())
    raw[raw.find(struct.pack("<f", 8.0)) + 2] ^= 1
    path.write_bytes(raw)
    assert "checksum" in refusal(path)


def test_an_archive_without_checksums_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    torch.save({"w": torch.tensor([7.0, 8.0])}, path)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as held:
        sums = [struct.pack("<I", entry.CRC) for entry in held.infolist() if entry.CRC]
    for checksum in sums:  # as with torch.serialization.set_crc32_options(False)
        raw = raw.replace(checksum, bytes(4))
    path.write_bytes(raw)
    assert read_checkpoint(path)["w"].tolist() == [7.0, 8.0]


def test_a_storage_longer_than_its_entry_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(4)}, tmp_path / "a")
    held = entries(tmp_path / "a")
    held["a/data.pkl"] = held["a/data.pkl"].replace(b"K\x04tq", b"M\x00\x40tq").replace(b"K\x04\x85", b"M\x00\x40\x85")
    assert "damaged" in refusal(archive(tmp_path / "b", {name.replace("a/", "b/", 1): raw for name, raw in held.items()}))


@pytest.mark.parametrize("size", [b"\x80\x96\x98\x7f", b"\xff\xff\xff\x7f"])
def test_an_old_file_of_torch_that_claims_more_than_it_has_is_refused(tmp_path: Path, size: bytes) -> None:
    torch.save({"w": torch.zeros(4)}, tmp_path / "a", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "a").read_bytes()
    assert raw.count(b"K\x04Nt") == 1
    (tmp_path / "a").write_bytes(raw.replace(b"K\x04Nt", b"J" + size + b"Nt"))
    assert "damaged" in refusal(tmp_path / "a")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.pt", {"bomb/data.pkl": bytes(10_000_000), "bomb/version": b"3\n"}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "compressed" in refusal(path)


# -- nothing is run --------------------------------------------------------------------------------


class Payload:
    """Calls something when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def written(path: Path, value: Any, kind: str) -> None:
    if kind == "pickle":
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=kind == "zip")


CALLS: dict[str, Callable[[Path], Payload]] = {
    "system": lambda marker: Payload(os.system, f"touch {marker}"),
    "subprocess.check_call": lambda marker: Payload(subprocess.check_call, ["touch", str(marker)]),
    "exec": lambda marker: Payload(exec, f"open({str(marker)!r}, 'w')"),
    "eval": lambda marker: Payload(eval, f"open({str(marker)!r}, 'w')"),
    "getattr": lambda marker: Payload(getattr, "text", "upper"),
    "os.mkdir": lambda marker: Payload(os.mkdir, str(marker)),
    "_load_from_bytes": lambda marker: Payload(
        torch.storage._load_from_bytes, pickle.dumps(Payload(os.system, f"touch {marker}"))
    ),
    "runstring": lambda marker: Payload(np.testing._private.utils.runstring, f"open({str(marker)!r}, 'w')", {}),
}


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("call", CALLS)
def test_nothing_in_a_checkpoint_is_run_and_what_would_be_is_named(tmp_path: Path, kind: str, call: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    written(path, {"weight": torch.zeros(2), "extra": CALLS[call](marker)}, kind)
    said = refusal(path)
    assert "could run code" in said
    assert kind == "pickle" or call.rpartition(".")[2] in said
    assert not marker.exists()


@pytest.mark.parametrize("where", ["key", "value", "state", "list"])
def test_a_payload_is_refused_wherever_it_hides(tmp_path: Path, where: str) -> None:
    marker = tmp_path / "ran"
    payload = Payload(os.system, f"touch {marker}")
    state: dict[str, Any] = dict(net().state_dict())
    values = {
        "key": {(payload,): state},
        "value": state | {"a": payload},
        "state": {"model": payload},
        "list": [state, payload],
    }
    torch.save(values[where], tmp_path / "a")
    assert "system" in refusal(tmp_path / "a")
    assert not marker.exists()


def test_what_a_process_allows_elsewhere_is_not_allowed_here(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"weight": torch.zeros(2), "extra": Payload(zipfile.ZipFile, str(marker), "w")}, tmp_path / "a")
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([zipfile.ZipFile])
    try:
        assert "zipfile.ZipFile" in refusal(tmp_path / "a")
        assert set(torch.serialization.get_safe_globals()) == {*before, zipfile.ZipFile}  # as it was
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
    assert not marker.exists()


def test_a_whole_pickled_module_is_refused_by_its_class(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "whole.pt")
    said = refusal(tmp_path / "whole.pt")
    assert "torch.nn.modules.container.Sequential" in said
    assert "save model.state_dict()" in said


def test_another_protocol_of_pickles_is_told(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "a", pickle_protocol=4)
    assert "pickle_protocol" in refusal(tmp_path / "a")


def test_a_tar_archive_that_begins_as_an_old_file_of_torch_is_not_unpacked(tmp_path: Path) -> None:
    import tarfile

    from spinodal.store.checkpoint.file_kind import MAGIC

    with tarfile.open(tmp_path / "a", "w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as made:
        entry = tarfile.TarInfo(MAGIC.decode("latin-1"))
        entry.size = 4
        made.addfile(entry, io.BytesIO(b"evil"))
    assert (tmp_path / "a").read_bytes().startswith(MAGIC)
    assert "damaged" in refusal(tmp_path / "a")


# -- what training code leaves beside the weights ---------------------------------------------------


BESIDE: dict[str, Any] = {
    "numpy float": np.float64(0.3),
    "numpy whole number": np.int64(3),
    "numpy truth": np.bool_(True),
    "numpy array": np.arange(3.0),
    "numpy words": np.array(["a", "b"]),
    "numpy random state": np.random.RandomState(0).get_state(),
    "numpy type": np.dtype("float32"),
    "namespace": argparse.Namespace(model="resnet", lr=np.float32(0.1), out=pathlib.PurePosixPath("out")),
    "simple namespace": types.SimpleNamespace(a=1),
    "path": Path("runs") / "one",
    "windows path": pathlib.PureWindowsPath("C:/runs"),
    "date": datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.UTC),
    "duration": datetime.timedelta(hours=3),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, a=[1]),
    "queue": collections.deque([1, 2], maxlen=3),
    "counter": collections.Counter("abc"),
    "shape": torch.Size([1, 2]),
    "type": torch.float32,
    "device": torch.device("cpu"),
    "version": torch.torch_version.TorchVersion("2.4.0"),
    "set": {1, 2},
    "frozen set": frozenset([1]),
    "range": range(3),
    "words": "resnet",
    "list": [1, 0.5, None, True, "a", b"bytes", 1j, 2**80],
    "random state": torch.Generator().manual_seed(0).get_state(),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", BESIDE)
def test_plain_values_beside_the_weights_are_passed_over(tmp_path: Path, name: str, legacy: bool) -> None:
    model = net()
    torch.save(
        {"epoch": 3, "beside": BESIDE[name], "state_dict": model.state_dict()},
        tmp_path / "a",
        _use_new_zipfile_serialization=not legacy,
    )
    held = read_checkpoint(tmp_path / "a")
    assert same(held.get("state_dict", held), model)


@pytest.mark.parametrize("module", ["lightning.pytorch.utilities.parsing", "pytorch_lightning.utilities.parsing"])
def test_settings_of_a_package_that_is_not_installed_are_read_without_it(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = types.ModuleType(module)
    fake.AttributeDict = type("AttributeDict", (dict,), {"__module__": module})  # type: ignore[attr-defined]
    model, parents = net(), [module.rsplit(".", depth)[0] for depth in range(module.count(".") + 1)]
    with monkeypatch.context() as installed:
        for name in parents:
            installed.setitem(sys.modules, name, fake if name == module else types.ModuleType(name))
        torch.save({"state_dict": model.state_dict(), "hyper_parameters": fake.AttributeDict(lr=0.1)}, tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)
    assert module not in sys.modules


def test_a_state_dict_of_another_kind_of_dict_is_read(tmp_path: Path) -> None:
    model = net()
    torch.save(collections.defaultdict(dict, model.state_dict()), tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model", "net", "weights", "params", "a b"])
def test_a_state_dict_is_found_alone_or_beside_the_optimiser(tmp_path: Path, key: str | None) -> None:
    model = net()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    torch.save(model.state_dict() if key is None else {"opt": optimiser.state_dict(), key: model.state_dict()}, tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)


def test_of_several_state_dicts_all_are_returned(tmp_path: Path) -> None:
    one, other = net(), net()
    torch.save({"model": one.state_dict(), "ema": other.state_dict()}, tmp_path / "a")
    held = read_checkpoint(tmp_path / "a")
    assert same(held["model"], one)
    assert same(held["ema"], other)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "found list"),
        ({"epoch": 3}, "found 'epoch': int"),
        ({}, "holds no state dict"),
        (torch.zeros(3), "found Tensor"),
        ({"0.weight": np.zeros((4, 3))}, "'0.weight': a number or array of NumPy"),
        ({"0.weight": [[1.0]]}, "'0.weight': list"),
        (3.0, "found float"),
        (None, "found NoneType"),
    ],
)
def test_what_holds_no_state_dict_says_what_it_holds(tmp_path: Path, value: Any, said: str) -> None:
    torch.save(value, tmp_path / "a")
    with pytest.raises(SpinodalError, match=said):
        read_checkpoint(tmp_path / "a")


def test_a_dict_that_holds_itself_is_read(tmp_path: Path) -> None:
    model = net()
    value: dict[str, Any] = {"model": model.state_dict()}
    value["self"] = [value]
    torch.save(value, tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)


def test_dicts_in_dicts_of_any_depth_are_read(tmp_path: Path) -> None:
    model = net()
    value: dict[str, Any] = {"model": model.state_dict()}
    for _ in range(150):
        value = {"inner": value, "again": value}
    torch.save(value, tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)


# -- no file ---------------------------------------------------------------------------------------


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert "is a folder without model.safetensors" in refusal(tmp_path)
    assert "not there" in refusal(tmp_path / "nowhere")
    with pytest.raises(SpinodalError, match="cannot be read"):
        read_checkpoint(tmp_path / ("a" * 300))
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in refusal(tmp_path / "pipe")
