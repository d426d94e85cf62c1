"""The parameters of a model in a checkpoint: found by whatever names they have, or refused by name."""

from __future__ import annotations

import argparse
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spinodal.errors import SpinodalError
from spinodal.landscape.layout import Layout
from spinodal.landscape.parameters import Parameters
from spinodal.mapping.place import found_of, theta_of
from spinodal.store import read_checkpoint
from spinodal.tasks import Task
from spinodal.tasks.fitted import Fitted, Names, fitted
from spinodal.tasks.models import Models
from test_snapshot import Computed, Extra


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


class Holder(nn.Module):
    """A model whose own names begin as those of wrappers do."""

    def __init__(self) -> None:
        super().__init__()
        self.module = net()


class Blocks(nn.Module):
    """A model of several named parts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = net(1), nn.Sequential(nn.Linear(2, 3))


def squared(model: nn.Module, batch: Tensor) -> Tensor:
    return model(batch).square().mean()


def models_of(model: nn.Module) -> Models:
    return Models.of(Task(model, squared, torch.ones(5, 3)))


def read(held: Any, model: nn.Module | None = None) -> Fitted:
    return fitted(held, models_of(model or net()))


def theta(model: nn.Module) -> Tensor:
    return Parameters(model).flatten(model).double()


def is_that_of(found: Fitted, model: nn.Module) -> bool:
    return torch.equal(found.theta, theta(model))


def refusal(held: Any, model: nn.Module | None = None) -> str:
    with pytest.raises(SpinodalError) as caught:
        read(held, model)
    return str(caught.value)


def prefixed(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in model.state_dict().items()}


# -- prefixes and wrappers -------------------------------------------------------------------------

PREFIXES = (
    "", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.", "model.", "net.", "network.",
    "backbone.", "_forward_module.", "_forward_module.model.", "model.module.", "model._orig_mod.", "a.b.c.", "student_0.",
    "_fsdp_wrapped_module.",
)  # fmt: skip


@pytest.mark.parametrize("model", [net(), Holder(), Blocks()], ids=["net", "holder", "blocks"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_is_taken_off_and_names_of_the_model_are_not(prefix: str, model: nn.Module) -> None:
    found = read(prefixed(prefix, model), model)
    assert is_that_of(found, model)
    own = [part for part in prefix.split(".") if part and not part.startswith("_") and part != "module"]
    assert (f"names that begin with {prefix!r}" in found.remark) == bool(own)


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel])
def test_what_the_wrappers_of_torch_make_is_read(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = net(3)
    wrapped = wrap(model)
    assert is_that_of(read(wrapped.state_dict()), model)
    assert is_that_of(read(wrapped), model)
    assert is_that_of(read({"epoch": 3, "state_dict": prefixed("model.", wrapped)}), model)


def test_a_wrapper_inside_of_a_name_is_left_out() -> None:
    model = net(3)
    state = {name.replace(".", "._checkpoint_wrapped_module."): value for name, value in model.state_dict().items()}
    assert is_that_of(read(state), model)


def test_a_wrapped_model_of_a_task_takes_the_names_of_the_bare_one() -> None:
    model = net(3)
    assert torch.equal(read(model.state_dict(), nn.DataParallel(net())).theta, theta(model))


class Wrapping(nn.Module):
    """A model of a task around the one that was trained."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"body": inner})

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net["body"](inputs)


@pytest.mark.parametrize("prefix", ["", "body.", "net.body.", "model.", "module.model."])
def test_a_model_around_the_trained_one_takes_its_names(prefix: str) -> None:
    model = net(3)
    assert torch.equal(read(prefixed(prefix, model), Wrapping(net())).theta, theta(model))


def test_names_that_differ_in_a_wrapper_only_are_kept_apart() -> None:
    model = nn.ModuleDict({"module": nn.Linear(2, 2)})
    model["x"] = nn.ModuleDict({"module": nn.Linear(2, 2)})
    model["x"].register_parameter("weight", nn.Parameter(torch.ones(2, 2)))
    assert is_that_of(read(model.state_dict(), model), model)


# -- keys ------------------------------------------------------------------------------------------

KEYS = ("state_dict", "model", "model_state_dict", "net", "weights", "params", "ema", "module", "student", "state", "x y", 3)


@pytest.mark.parametrize("key", KEYS)
def test_the_state_is_found_under_any_key(key: object) -> None:
    model = net(3)
    optimiser = stepped(model)
    found = read({"optimizer": optimiser.state_dict(), key: model.state_dict(), "epoch": 3, "loss": torch.tensor(0.3)})
    assert is_that_of(found, model)
    assert f"[{key!r}]" in found.remark


def stepped(model: nn.Module) -> torch.optim.Optimizer:
    """Return an optimiser that has a state."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0)
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return optimiser


def test_the_state_is_found_at_any_depth_and_in_sequences() -> None:
    model = net(3)
    assert is_that_of(read({"a": {"b": [3, ({"c": prefixed("model.", model)},)]}}), model)
    assert is_that_of(read([model.state_dict(), stepped(model).state_dict()]), model)


def test_a_state_among_other_entries_is_read() -> None:
    model = net(3)
    assert is_that_of(read({**model.state_dict(), "epoch": 3, "args": argparse.Namespace(), "optimizer": {}}), model)


@pytest.mark.parametrize("other", ["ema", "model_ema", "teacher"])
def test_two_states_that_fit_are_refused_with_both_names(other: str) -> None:
    said = refusal({"model": net(1).state_dict(), other: net(2).state_dict()})
    assert f"by ['model'] and by ['{other}']" in said
    assert f"torch.save(held['{other}'], 'part.pt')" in said


def test_two_prefixes_that_fit_are_refused_with_both_names_and_the_advice_works(tmp_path: Path) -> None:
    other = net(2)
    torch.save({"epoch": 3, "state_dict": {**prefixed("model.", net(1)), **prefixed("ema.module.", other)}}, tmp_path / "FILE")
    said = refusal(read_checkpoint(tmp_path / "FILE"))
    assert "'model.'" in said
    assert "'ema.module.'" in said
    advice = said.rpartition("take the one you mean: ")[2].partition(" with held")[0].replace("'part.pt'", "part")
    exec(advice, {"torch": torch, "held": read_checkpoint(tmp_path / "FILE"), "part": tmp_path / "part"})
    assert is_that_of(read(read_checkpoint(tmp_path / "part")), other)


def test_two_states_of_equal_values_are_one() -> None:
    model = net(3)
    assert is_that_of(read({"model": model.state_dict(), "best": {k: v.clone() for k, v in model.state_dict().items()}}), model)
    assert is_that_of(read({**prefixed("model.", model), **prefixed("ema.", model)}), model)


def test_a_second_state_of_another_shape_is_no_rival() -> None:
    model, discriminator = net(3), nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    found = read({"discriminator": discriminator.state_dict(), "generator": model.state_dict()})
    assert is_that_of(found, model)
    assert found.remark == "read from ['generator']; not of the model, and left out: ['discriminator']"


def test_states_of_the_parts_of_a_model_are_joined() -> None:
    model = Blocks()
    held = {
        "encoder": model.encoder.state_dict(),
        "decoder": model.decoder.state_dict(),
        "optimizer": stepped(model.encoder).state_dict(),
    }
    assert is_that_of(read(held, model), model)
    assert "5.weight" in refusal({**held, "encoder": {**held["encoder"], "5.weight": torch.zeros(3, 3)}}, model)


# -- beside the model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_batches_tracked", torch.tensor(3)),
        ("0.num_batches_tracked", torch.tensor(3)),
        ("embeddings.position_ids", torch.arange(512)[None]),
        ("h.0.attn.bias", torch.ones(1, 1, 8, 8, dtype=torch.bool)),
        ("h.0.attn.masked_bias", torch.tensor(-1e4)),
        ("rotary.inv_freq", torch.ones(8)),
        ("criterion.weight", torch.ones(10)),
        ("loss_fn.pos_weight", torch.ones(10)),
        ("train_loss.centers", torch.ones(10, 2)),
        ("class_weights", torch.ones(10)),
        ("val_acc.total", torch.tensor(3.0)),
        ("train_metrics.MeanSquaredError.sum", torch.tensor(3.0)),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_counters_losses_and_metrics_are_left_out_and_said(name: str, value: Tensor, prefix: str) -> None:
    model = net(3)
    found = read({**prefixed(prefix, model), name: value})
    assert is_that_of(found, model)
    assert f"left out: {name}" in found.remark


def test_buffers_beside_a_prefix_are_left_out_and_said() -> None:
    model = net(3)
    state = {**prefixed("model.", model), "mean": torch.zeros(3), "log_sigma": torch.tensor(0.3)}
    assert read(state).remark == "read from names that begin with 'model.'; not of the model, and left out: mean, log_sigma"


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"4.weight": torch.zeros(2, 2), "4.bias": torch.zeros(2)}, "4.weight, 4.bias"),
        ({"0.gain": torch.zeros(4)}, "0.gain"),
        ({"0.scale": torch.tensor(1.0)}, "0.scale"),
        ({"1.running_mean": torch.zeros(4), "1.running_var": torch.ones(4)}, "1.running_mean"),
        ({"temperature": torch.tensor(1.0)}, "temperature"),
        ({"0.phase": torch.zeros(4, dtype=torch.complex64)}, "0.phase"),
    ],
)
def test_what_looks_like_parameters_of_another_model_is_refused(state: dict[str, Tensor], named: str) -> None:
    assert named in refusal({**net(3).state_dict(), **state})
    inside = {f"model.{name}": value for name, value in state.items()}
    assert f"model.{named.split(',')[0]}" in refusal({**prefixed("model.", net(3)), **inside})


@pytest.mark.parametrize(
    "state",
    [
        {"head.weight": torch.zeros(2, 2), "head.bias": torch.zeros(2)},
        {"norm.weight": torch.zeros(2), "norm.bias": torch.zeros(2)},
        prefixed("decoder.", nn.Sequential(nn.Linear(2, 5))),
    ],
    ids=["head", "norm", "decoder"],
)
def test_layers_beside_the_prefix_make_it_another_model(state: dict[str, Tensor]) -> None:
    said = refusal({**prefixed("encoder.", net(3)), **state})
    assert next(iter(state)) in said
    assert "name.startswith('encoder.')" in said


# -- frameworks ------------------------------------------------------------------------------------


def lightning(model: nn.Module) -> dict[str, Any]:
    return {
        "epoch": 9, "global_step": 900, "pytorch-lightning_version": "2.4.0",
        "state_dict": {**prefixed("model.", model), "criterion.weight": torch.ones(2), "val_acc.tp": torch.tensor(3)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 10}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.3), "best_k_models": {}}},
        "optimizer_states": [stepped(model).state_dict()], "lr_schedulers": [{"_last_lr": [np.float64(0.1)]}],
        "hparams_name": "kwargs", "hyper_parameters": OrderedDict(lr=0.1, decay=np.float32(0.01), out=Path("out")),
    }  # fmt: skip


def timm(model: nn.Module) -> dict[str, Any]:
    return {
        "epoch": 299, "arch": "resnet18", "version": 2, "metric": np.float64(76.1),
        "args": argparse.Namespace(model="resnet18", lr=0.1, std=(0.2, 0.2), output=Path("out")),
        "state_dict": model.state_dict(), "optimizer": stepped(model).state_dict(),
        "amp_scaler": {"scale": 65536.0, "_growth_tracker": 3},
    }  # fmt: skip


def nano(model: nn.Module) -> dict[str, Any]:
    return {
        "model": prefixed("_orig_mod.", model), "optimizer": stepped(model).state_dict(), "model_args": {"n_layer": 3},
        "iter_num": 3, "best_val_loss": torch.tensor(1.7), "config": {"out_dir": "out"},
    }  # fmt: skip


def parallel(model: nn.Module) -> dict[str, Any]:
    return {
        "net": prefixed("module.", model),
        "acc": 91.3,
        "epoch": np.int64(3),
        "rng": [torch.get_rng_state(), np.random.RandomState(0).get_state()],
    }


def deepspeed(model: nn.Module) -> dict[str, Any]:
    return {
        "module": model.state_dict(),
        "buffer_names": [],
        "optimizer": None,
        "param_shapes": [OrderedDict((name, value.shape) for name, value in model.state_dict().items())],
        "dp_world_size": 1,
        "mp_world_size": 1,
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("made", [lightning, timm, nano, parallel, deepspeed], ids=lambda made: made.__name__)
def test_files_as_training_code_leaves_them_are_read(
    tmp_path: Path, made: Callable[[nn.Module], dict[str, Any]], legacy: bool
) -> None:
    model = net(3)
    torch.save(made(model), tmp_path / "last.ckpt", _use_new_zipfile_serialization=not legacy)
    task = Task(net(), squared, torch.ones(5, 3))
    landscape = task.landscape()
    held = read_checkpoint(tmp_path / "last.ckpt")
    assert torch.equal(theta_of(held, task, landscape), theta(model))
    assert "criterion.weight" in found_of(held, task, landscape).remark or made is not lightning


def test_an_optimiser_alone_is_called_one(tmp_path: Path) -> None:
    torch.save(stepped(net()).state_dict(), tmp_path / "optimizer.pt")
    assert "the state of an optimiser and no weights" in refusal(read_checkpoint(tmp_path / "optimizer.pt"))


# -- another model ---------------------------------------------------------------------------------


def test_a_wrong_name_in_a_wrapped_state_dict_is_met_with_the_right_one() -> None:
    for prefix in ("module.", "model."):
        state = {f"{prefix}{name.replace('bias', 'bais')}": value for name, value in net().state_dict().items()}
        said = refusal(state)
        assert "'0.bais'" in said
        assert "did you mean '0.bias'" in said


def test_a_state_dict_without_one_of_the_names_shows_both() -> None:
    said = refusal({"layer1.weight": torch.zeros(3), "layer1.bias": torch.zeros(3)})
    assert "'layer1.weight', as is every other in it (found layer1.weight, layer1.bias)" in said
    assert "0.weight, 0.bias, 2.weight, 2.bias" in said


def changed(**changes: Tensor | None) -> OrderedDict[str, Tensor]:
    state = net().state_dict()
    for name, value in changes.items():
        key = name.replace("__", ".").removeprefix("_")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


META = torch.zeros(4, device="meta")


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what PyTorch calls old
        return torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (changed(_0__bias=None), "has no 0.bias"),
        (changed(_0__bias=None, _2__bias=None), r"has no 0.bias \(and 1 more\)"),
        (changed(_0__bias=None, _0__bais=torch.zeros(4)), "did you mean '0.bias'"),
        (changed(_0__bias=torch.zeros(5)), r"0.bias in the checkpoint is \(5,\)"),
        (changed(_0__weight=torch.zeros(3, 4)), r"0.weight in the checkpoint is \(3, 4\)"),
        (changed(_0__bias=torch.zeros(4, dtype=torch.complex64)), "complex64, no real numbers"),
        (changed(_0__bias=torch.zeros(4, dtype=torch.int64)), "int64, no real numbers"),
        (changed(_0__bias=torch.zeros(4, dtype=torch.bool)), "bool, no real numbers"),
        (changed(_0__bias=torch.zeros(4).to_sparse()), "is sparse"),
        (changed(_0__bias=quantised()), "is quantised"),
        (changed(_0__bias=META), "meta device"),
        (changed(_0__bias=torch.zeros(1).expand(10**7, 10**7)), "0.bias in the checkpoint is"),
        (changed(_0__bias=torch.full((4,), torch.nan)), "0.bias in the checkpoint holds numbers that are not finite"),
        (changed(_2__weight=torch.full((2, 4), -torch.inf)), "2.weight in the checkpoint holds numbers that are not finite"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_by_name(state: dict[str, Tensor], said: str) -> None:
    for held in (state, {"model": {f"net.{name}": value for name, value in state.items()}}):
        with pytest.raises(SpinodalError, match=said):
            read(held)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_weights_of_any_real_precision_are_read_as_they_are(dtype: torch.dtype) -> None:
    state = {name: value.to(dtype) for name, value in net(3).state_dict().items()}
    assert torch.equal(read(state).theta, torch.cat([value.double().reshape(-1) for value in state.values()]))


# -- tied parameters, buffers, and what theta does not determine ------------------------------------


def tied() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    return model


def test_theta_of_a_state_dict_is_the_inverse_of_the_state_dict_of_theta() -> None:
    model = net()
    model[0].bias.requires_grad_(False)
    layout = Layout.of(model)
    numbers = torch.arange(layout.size, dtype=torch.float64)
    fixed = layout.fixed_tensors(model)
    assert torch.equal(layout.theta(layout.tensors(numbers, fixed), fixed), numbers)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("left_out", ["0.weight", "1.weight"])
def test_of_tied_parameters_one_name_is_enough(left_out: str, prefix: str) -> None:
    model = tied()
    state = prefixed(prefix, model)
    del state[prefix + left_out]
    assert is_that_of(read(state, model), model)


def test_tied_parameters_that_differ_in_a_checkpoint_are_refused() -> None:
    model = tied()
    state = model.state_dict()
    assert is_that_of(read(state, model), model)
    assert "0.weight and 1.weight are tied" in refusal(state | {"1.weight": state["1.weight"] + 0.01}, model)


def test_what_theta_does_not_determine_is_not_read_from_a_state_dict() -> None:
    model = Extra(3, 3)
    assert is_that_of(read(model.state_dict(), model), model)
    assert is_that_of(read(prefixed("model.", model), model), model)


def test_a_state_dict_that_hides_parameters_is_refused() -> None:
    assert "has twice in place of parameters" in refusal(Computed(3, 3).state_dict(), Computed(3, 3))


def normed() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()


def test_fixed_tensors_must_be_those_of_the_task_and_all_that_differ_are_named() -> None:
    model = normed()
    state = model.state_dict()
    assert is_that_of(read(state, model), model)
    state["1.running_mean"], state["1.running_var"] = torch.ones(2), torch.full((2,), 3.0)
    for held in (state, {"state_dict": {f"model.{name}": value for name, value in state.items()}}):
        said = refusal(held, model)
        assert "1.running_mean in the checkpoint differs" in said
        assert "1 more: 1.running_var" in said


def test_fixed_tensors_may_be_missing() -> None:
    model = normed()
    state = {name: value for name, value in model.state_dict().items() if "running" not in name and "num" not in name}
    assert is_that_of(read(state, model), model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_rounded_to_half_precision_are_those_of_the_task(dtype: torch.dtype) -> None:
    model = nn.BatchNorm1d(50)
    model(torch.randn(200, 50) * torch.logspace(-4, 2, 50))
    models = models_of(model.eval())
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in model.state_dict().items()}
    assert torch.equal(fitted(state, models).theta[:50], torch.ones(50, dtype=torch.float64))
    with pytest.raises(SpinodalError, match="running_var in the checkpoint differs"):
        fitted(state | {"running_var": 1.05 * state["running_var"]}, models)


def test_the_counter_of_batch_normalisation_is_of_no_account() -> None:
    model = nn.BatchNorm1d(2).eval()
    assert read(model.state_dict() | {"num_batches_tracked": torch.tensor(999)}, model).theta.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("change", [{"start": -1}, {"start": 1}, {"start": 5}, {"shape": [3, 2]}, {"shape": [-2, -2]}])
def test_a_layout_whose_entries_do_not_fit_into_theta_is_refused(change: dict[str, Any]) -> None:
    value = Layout.of(nn.Linear(2, 2, bias=False)).to_dict()
    assert Layout.from_dict(value).to_dict() == value
    value["entries"][0] |= change
    with pytest.raises(ValueError, match="weight"):
        Layout.from_dict(value)


# -- cost ------------------------------------------------------------------------------------------


def test_thousands_of_names_beside_an_optimiser_are_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.ModuleList(nn.ModuleList(nn.Linear(1, 1) for _ in range(10)) for _ in range(150))
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    moments = {number: {"exp_avg": value, "exp_avg_sq": value} for number, value in enumerate(state.values())}
    readings: list[str] = []
    kept = Names._read
    monkeypatch.setattr(
        Names, "_read", lambda self, state, prefix, bare: (readings.append(prefix), kept(self, state, prefix, bare))[1]
    )
    assert is_that_of(read({"net": state, "optimizer": {"state": moments}}, model), model)
    assert readings == ["", "model."]
