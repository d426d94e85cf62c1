"""Checkpoints: what is read, and what is refused without running anything."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spinodal.errors import SpinodalError
from spinodal.layout import Layout
from spinodal.parameters import Parameters
from spinodal.store import read_checkpoint
from test_snapshot import Computed, Extra


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def same(found: dict[str, torch.Tensor], model: nn.Module) -> bool:
    state = model.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_a_state_dict_is_found_alone_or_beside_the_optimiser(tmp_path: Path, key: str | None) -> None:
    model = net()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.save(model.state_dict() if key is None else {key: model.state_dict(), "opt": optimiser.state_dict()}, tmp_path / "a")
    assert same(read_checkpoint(tmp_path / "a"), model)


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    model = net()
    save_file(model.state_dict(), tmp_path / "weights.pt")
    assert same(read_checkpoint(tmp_path / "weights.pt"), model)


class Holder(nn.Module):
    """A model whose own names begin as those of wrappers do."""

    def __init__(self) -> None:
        super().__init__()
        self.module = net()


@pytest.mark.parametrize("model", [net(), Holder()], ids=["net", "holder"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."])
def test_prefixes_of_wrappers_are_taken_off_and_those_of_the_model_are_not(prefix: str, model: nn.Module) -> None:
    state = {prefix + name: value for name, value in model.state_dict().items()}
    assert torch.equal(Layout.of(model).theta(state, {}), Parameters(model).flatten(model).double())


def test_a_wrong_name_in_a_wrapped_state_dict_is_met_with_the_right_one() -> None:
    state = {f"module.{name.replace('bias', 'bais')}": value for name, value in net().state_dict().items()}
    with pytest.raises(SpinodalError, match=r"'0\.bais'.*did you mean '0\.bias'"):
        Layout.of(net()).theta(state, {})


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def with_payload(path: Path, marker: Path, kind: str) -> None:
    value = {"weight": torch.zeros(2), "extra": Payload(marker)}
    if kind == "zip":
        torch.save(value, path)
    elif kind == "legacy":
        torch.save(value, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "ran"
    with_payload(tmp_path / "evil.pt", marker, kind)
    with pytest.raises(SpinodalError, match=r"objects other than tensors|could run code"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not marker.exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "whole.pt")
    with pytest.raises(SpinodalError, match=r"save model\.state_dict"):
        read_checkpoint(tmp_path / "whole.pt")


def test_a_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/data.pkl", pickle.dumps({}))
        archive.writestr("script/code/__torch__.py", "import os")
    with pytest.raises(SpinodalError, match="TorchScript"):
        read_checkpoint(tmp_path / "script.pt")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(SpinodalError, match="compressed"):
        read_checkpoint(tmp_path / "bomb.pt")


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_every_truncation_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"whole.{ending}"
    if ending == "pt":
        torch.save(net().state_dict(), path)
    else:
        save_file(net().state_dict(), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:length])
        with pytest.raises(SpinodalError):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [([1, 2], "found list"), ({"epoch": 3}, "found 'epoch'"), ({}, "holds no state dict"), (torch.zeros(3), "found Tensor")],
)
def test_what_holds_no_state_dict_says_what_it_holds(tmp_path: Path, value: Any, said: str) -> None:
    torch.save(value, tmp_path / "a")
    with pytest.raises(SpinodalError, match=said):
        read_checkpoint(tmp_path / "a")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpinodalError, match="is a folder"):
        read_checkpoint(tmp_path)
    with pytest.raises(SpinodalError, match="not there"):
        read_checkpoint(tmp_path / "nowhere")


def test_theta_of_a_state_dict_is_the_inverse_of_the_state_dict_of_theta() -> None:
    model = net()
    model[0].bias.requires_grad_(False)
    layout = Layout.of(model)
    theta = torch.arange(layout.size, dtype=torch.float64)
    fixed = layout.fixed_tensors(model)
    assert torch.equal(layout.theta(layout.tensors(theta, fixed), fixed), theta)


def test_of_tied_parameters_one_name_is_enough() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = model.state_dict()
    del state["1.weight"]
    assert Layout.of(model).theta(state, {})[:4].tolist() == model[0].weight.detach().double().reshape(-1).tolist()


def test_tied_parameters_that_differ_in_a_checkpoint_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = model.state_dict()
    assert torch.isfinite(Layout.of(model).theta(state, {})).all()
    with pytest.raises(SpinodalError, match=r"0\.weight and 1\.weight are tied"):
        Layout.of(model).theta(state | {"1.weight": state["1.weight"] + 0.01}, {})


def test_what_theta_does_not_determine_is_not_read_from_a_state_dict() -> None:
    model = Extra(3, 3)
    assert torch.equal(Layout.of(model).theta(model.state_dict(), {}), Parameters(model).flatten(model).double())


def test_a_state_dict_that_hides_parameters_is_refused() -> None:
    with pytest.raises(SpinodalError, match="has twice in place of parameters"):
        Layout.of(Computed(3, 3)).theta(Computed(3, 3).state_dict(), {})


def changed(**changes: torch.Tensor | None) -> OrderedDict[str, torch.Tensor]:
    state = net().state_dict()
    for name, value in changes.items():
        key = name.replace("__", ".").removeprefix("_")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (changed(_0__bias=None), "has no 0.bias"),
        (changed(_0__bais=torch.zeros(4)), "did you mean '0.bias'"),
        (changed(_0__bias=torch.zeros(5)), r"0.bias in the checkpoint is \(5,\)"),
        (changed(_0__bias=torch.zeros(4, dtype=torch.complex64)), "complex64"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_by_name(state: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(SpinodalError, match=said):
        Layout.of(net()).theta(state, {})


def test_fixed_tensors_must_be_those_of_the_task() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    layout, state = Layout.of(model), model.state_dict()
    fixed = layout.fixed_tensors(model)
    state["1.running_mean"] = state["1.running_mean"] + 1.0
    with pytest.raises(SpinodalError, match=r"1\.running_mean in the checkpoint differs"):
        layout.theta(state, fixed)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_rounded_to_half_precision_are_those_of_the_task(dtype: torch.dtype) -> None:
    model = nn.BatchNorm1d(50)
    model(torch.randn(200, 50) * torch.logspace(-4, 2, 50))
    layout = Layout.of(model)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in model.state_dict().items()}
    theta = layout.theta(state, layout.fixed_tensors(model))
    assert torch.equal(theta[:50], torch.ones(50, dtype=torch.float64))
    with pytest.raises(SpinodalError, match="running_var in the checkpoint differs"):
        layout.theta(state | {"running_var": 1.05 * state["running_var"]}, layout.fixed_tensors(model))


def test_the_counter_of_batch_normalisation_is_of_no_account() -> None:
    model = nn.BatchNorm1d(2)
    layout, fixed = Layout.of(model), Layout.of(model).fixed_tensors(model)
    assert layout.theta(model.state_dict() | {"num_batches_tracked": torch.tensor(999)}, fixed).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("change", [{"start": -1}, {"start": 1}, {"start": 5}, {"shape": [3, 2]}, {"shape": [-2, -2]}])
def test_a_layout_whose_entries_do_not_fit_into_theta_is_refused(change: dict[str, Any]) -> None:
    value = Layout.of(nn.Linear(2, 2, bias=False)).to_dict()
    assert Layout.from_dict(value).to_dict() == value
    value["entries"][0] |= change
    with pytest.raises(ValueError, match="weight"):
        Layout.from_dict(value)
