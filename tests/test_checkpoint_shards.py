"""Checkpoints in several files, by their index or their folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from spinodal.errors import SpinodalError
from spinodal.store import is_checkpoint_folder, read_checkpoint
from test_checkpoint import net, refusal, same


def sharded(folder: Path, model: nn.Module, kind: str = "safetensors", change: dict[str, str] | None = None) -> Path:
    """Write a model in one file a tensor, and the index of them."""
    where = {}
    for number, (name, value) in enumerate(model.state_dict().items()):
        where[name] = f"{'model' if kind == 'safetensors' else 'pytorch_model'}-{number:05d}-of-00004.{kind}"
        raw = save({name: value})
        if kind == "bin":
            torch.save({name: value}, folder / where[name])
        else:
            (folder / where[name]).write_bytes(raw)
    index = folder / ("model.safetensors.index.json" if kind == "safetensors" else "pytorch_model.bin.index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where | (change or {})}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_read_by_their_index_or_their_folder(tmp_path: Path, kind: str) -> None:
    model = net()
    index = sharded(tmp_path, model, kind)
    assert same(read_checkpoint(index), model)
    assert same(read_checkpoint(tmp_path), model)
    assert is_checkpoint_folder(tmp_path)


def test_a_folder_with_one_file_of_weights_is_read(tmp_path: Path) -> None:
    model = net()
    assert not is_checkpoint_folder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    assert same(read_checkpoint(tmp_path), model)


def test_a_folder_with_two_is_refused_by_their_names(tmp_path: Path) -> None:
    save_file(net().state_dict(), tmp_path / "model.safetensors")
    torch.save(net().state_dict(), tmp_path / "pytorch_model.bin")
    assert "model.safetensors and pytorch_model.bin" in refusal(tmp_path)


def test_a_folder_of_distributed_checkpoints_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    assert "dcp_to_torch_save" in refusal(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path, net())
    (tmp_path / "model-00002-of-00004.safetensors").unlink()
    assert "not beside it: model-00002-of-00004.safetensors" in refusal(index)


def test_a_tensor_that_its_shard_does_not_hold_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path, net(), change={"0.weight": "model-00002-of-00004.safetensors"})
    assert "model-00002-of-00004.safetensors holds 0.weight, which it does not" in refusal(index)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path, net())
    (tmp_path / "model-00001-of-00004.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SpinodalError, match=r"model-00001-of-00004.safetensors is no safetensors file"):
        read_checkpoint(index)


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/etc/passwd", "..", "", ".", "a/../../outside", "..\\outside", "C:outside", "a\0b"]
)
def test_no_shard_lies_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    model, folder = net(), tmp_path / "inside"
    folder.mkdir()
    save_file(model.state_dict(), tmp_path / "outside.safetensors")
    assert "not beside it" in refusal(sharded(folder, model, change={"0.weight": name}))


def test_an_index_is_no_shard_of_itself(tmp_path: Path) -> None:
    assert "another index" in refusal(sharded(tmp_path, net(), change={"0.weight": "model.safetensors.index.json"}))


@pytest.mark.parametrize("value", [[], {}, None, {"a": 3}, {"a": None}, "a"])
def test_an_index_without_files_is_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": value}))
    assert "without a weight_map" in refusal(tmp_path / "model.safetensors.index.json")


def test_an_index_that_names_a_tensor_twice_is_refused(tmp_path: Path) -> None:
    index = sharded(tmp_path, net())
    index.write_text('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}')
    assert "gives 'a' twice" in refusal(index)
