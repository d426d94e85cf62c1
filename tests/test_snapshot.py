"""The models of a map come back: from memory, from the run folder, with and without the code of their task."""

from __future__ import annotations

import ast
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

import spinodal as sp
from small_run import (  # noqa: F401 - the fixtures
    linear,
    linear_run,
    lines,
    mixed,
    mixed_model,
    mixed_run,
    squared,
    without_states,
    write_lines,
)
from spinodal.errors import SpinodalError
from spinodal.landscape.layout import Layout
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.tasks.models import Models

Run = tuple[Path, PhaseDiagram]


def error(task: sp.Task, model: nn.Module) -> float:
    with torch.no_grad():
        return float(task.loss(model, task.data))


# -- in memory ----------------------------------------------------------------------------------


def test_the_module_has_the_error_that_was_measured(linear_run: Run) -> None:  # noqa: F811
    task = linear()
    for point in linear_run[1].points:
        snapshot = linear_run[1].at(point.beta)
        assert error(task, snapshot.module()) == pytest.approx(snapshot.error, abs=1e-12)


def test_frozen_tied_and_buffered_tensors_are_in_it(mixed_run: Run) -> None:  # noqa: F811
    task = mixed(torch.float64)
    snapshot = replace(mixed_run[1], models=Models.of(task)).at(5e-3)
    fresh = mixed_model(seed=1).double()
    assert abs(error(task, fresh) - snapshot.error) > 0.1
    fresh.load_state_dict(snapshot.state_dict(), strict=True)
    assert error(task, fresh) == pytest.approx(snapshot.error, abs=1e-12)
    assert error(task, snapshot.module()) == pytest.approx(snapshot.error, abs=1e-12)


def test_the_module_is_as_the_task_gave_it(mixed_run: Run) -> None:  # noqa: F811
    own, made = mixed_model(), mixed_run[1].at(5e-3).module()
    assert type(made) is type(own)
    assert not any(module.training for module in made.modules())
    assert made.again.weight is made.once.weight
    for ours, theirs in zip(own.named_parameters(), made.named_parameters(), strict=True):
        assert (ours[0], ours[1].dtype, ours[1].requires_grad) == (theirs[0], theirs[1].dtype, theirs[1].requires_grad)
    assert made.rounds.dtype == torch.int64
    assert error(mixed(), made) == pytest.approx(mixed_run[1].at(5e-3).error, rel=1e-5)  # its own dtype is float32


def test_a_module_is_fresh(linear_run: Run) -> None:  # noqa: F811
    snapshot = linear_run[1].at(0.4)
    before, module = snapshot.theta.clone(), snapshot.module()
    with torch.no_grad():
        for value in [*module.parameters(), *snapshot.state_dict().values()]:
            value.zero_()
    assert snapshot.theta.equal(before)
    assert error(linear(), snapshot.module()) == pytest.approx(snapshot.error, abs=1e-12)


def test_no_gradient_of_the_users_model_comes_along() -> None:
    task = linear()
    task.loss(task.model, task.data).backward()
    models = Models.of(task)
    assert all(value.grad is None for value in models.module(task.initial()).parameters())
    assert all(value.grad is not None for value in task.model.parameters())


def test_later_changes_of_the_users_model_do_not_matter() -> None:
    task = mixed()
    models, theta = Models.of(task), task.initial()
    before = models.state_dict(theta)
    with torch.no_grad():
        for value in [*task.model.parameters(), task.model.norm.running_mean]:
            value.add_(1.0)
    after = models.module(theta).state_dict()
    assert all(value.equal(after[name]) for name, value in before.items())


def test_module_and_state_dict_agree(mixed_run: Run) -> None:  # noqa: F811
    snapshot = mixed_run[1].at(5e-3)
    made, state = snapshot.module().state_dict(), snapshot.state_dict()
    assert list(made) == list(state)
    assert all(value.equal(made[name]) and value.dtype == made[name].dtype for name, value in state.items())


def test_no_two_tensors_of_a_state_dict_share_memory(mixed_run: Run) -> None:  # noqa: F811
    state = mixed_run[1].at(5e-3).state_dict()
    assert state["again.weight"].equal(state["once.weight"])
    for (_, one), (_, other) in itertools.combinations(state.items(), 2):
        assert one.untyped_storage().data_ptr() != other.untyped_storage().data_ptr()


# -- as a file ----------------------------------------------------------------------------------


def test_a_saved_model_loads_into_the_users_own(mixed_run: Run, tmp_path: Path) -> None:  # noqa: F811
    snapshot = mixed_run[1].at(5e-3)
    path = snapshot.save(tmp_path / "model.safetensors")
    assert path == tmp_path / "model.safetensors"
    fresh = mixed_model(seed=1)
    fresh.load_state_dict(load_file(path), strict=True)
    inputs = mixed().data[0]
    assert fresh(inputs).equal(snapshot.module()(inputs))
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_says_what_it_is(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    snapshot = linear_run[1].at(0.4)
    with safe_open(snapshot.save(tmp_path / "model.safetensors"), "pt") as file:
        metadata = file.metadata()
    assert metadata == {
        "task": "gaussian",
        "beta": repr(snapshot.beta),
        "weight_decay": repr(2 * snapshot.beta),
        "convention": "E + beta*||theta||^2, weight_decay = 2*beta",
        "error": repr(snapshot.error),
        "point": str(snapshot.point.index),
    }


def test_an_old_file_is_replaced_and_a_folder_is_not(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    path, snapshot = tmp_path / "model.safetensors", linear_run[1].at(0.4)
    path.write_text("old")
    assert set(load_file(snapshot.save(path))) == set(snapshot.state_dict())
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "no" / "where", path / "below"):
        with pytest.raises(SpinodalError, match=r"cannot be written: .*; .*; check the path and the free space"):
            snapshot.save(place)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["folder", "model.safetensors"]


# -- which point --------------------------------------------------------------------------------


def test_the_nearest_point_is_nearest_on_a_log_scale(linear_run: Run) -> None:  # noqa: F811
    diagram = linear_run[1]
    for a, b in itertools.pairwise(sorted(point.beta for point in diagram.points)):
        middle = (a * b) ** 0.5
        assert diagram.at(middle * (1 - 1e-9)).beta == a
        assert diagram.at(middle * (1 + 1e-9)).beta == b
    assert diagram.at(1e-300).beta == 0.3
    assert diagram.at(1e300).beta == 1.2


def test_weight_decay_is_twice_beta(linear_run: Run) -> None:  # noqa: F811
    diagram = linear_run[1]
    assert diagram.at(weight_decay=0.8).point is diagram.at(0.4).point
    assert diagram.at(0.4).weight_decay == 2 * diagram.at(0.4).beta


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "neither beta nor weight_decay"),
        ({"beta": 0.1, "weight_decay": 0.2}, "both beta and weight_decay"),
        ({"beta": 0.0}, "beta = 0.0; a finite beta > 0"),
        ({"beta": "much"}, "beta = 'much'"),
        ({"beta": float("nan")}, "beta = nan"),
        ({"weight_decay": -1}, "weight_decay = -1"),
    ],
    ids=str,
)
def test_a_beta_that_means_nothing_is_refused(linear_run: Run, arguments: dict[str, Any], text: str) -> None:  # noqa: F811
    with pytest.raises(SpinodalError, match=text):
        linear_run[1].at(**arguments)


def test_points_are_found_by_their_number(linear_run: Run) -> None:  # noqa: F811
    diagram = linear_run[1]
    sides = [side for found in diagram.transitions for side in (found.before, found.after)]
    for point in [*diagram.points, *sides]:
        assert diagram.at_point(point.index).point.index == point.index
        assert diagram.at_point(point.index).theta.equal(point.minimum.theta)


def test_an_unknown_number_is_refused_with_the_known_ones(linear_run: Run) -> None:  # noqa: F811
    with pytest.raises(SpinodalError, match=r"point 99; the followed points of this map are allowed: 0, 2-"):
        linear_run[1].at_point(99)


def test_a_snapshot_is_printed_in_one_line(linear_run: Run) -> None:  # noqa: F811
    assert str(linear_run[1].at(0.3)).startswith(
        "Model of gaussian at beta = 0.3 (weight_decay = 0.6): E = 0.2, rank 2, point 0"
    )


def test_a_diagram_without_models_says_so(linear_run: Run) -> None:  # noqa: F811
    with pytest.raises(SpinodalError, match="this diagram knows no model"):
        replace(linear_run[1], models=None).at(0.4).module()


# -- from the run folder ------------------------------------------------------------------------


def test_a_state_dict_needs_no_code_of_the_user(mixed_run: Run) -> None:  # noqa: F811
    path, diagram = mixed_run
    here, there = diagram.at(5e-3).state_dict(), sp.load(path).at(5e-3).state_dict()
    assert list(here) == list(there)
    assert all(value.equal(there[name]) and value.dtype == there[name].dtype for name, value in here.items())


def test_a_built_in_task_is_made_again(linear_run: Run) -> None:  # noqa: F811
    snapshot = sp.load(linear_run[0]).at(0.4)
    assert error(linear(), snapshot.module()) == pytest.approx(snapshot.error, abs=1e-12)


def test_a_task_of_the_user_must_be_passed(mixed_run: Run) -> None:  # noqa: F811
    path, diagram = mixed_run
    with pytest.raises(
        SpinodalError, match=r"the task 'mixed' .* is not built in, and no code is run .*; .*; load\(run, task="
    ):
        sp.load(path).at(5e-3).module()
    made = sp.load(path, task=mixed()).at(5e-3).module()
    inputs = mixed().data[0]
    assert made(inputs).equal(diagram.at(5e-3).module()(inputs))


def test_what_the_run_recorded_counts_and_not_what_the_task_passed_has(mixed_run: Run) -> None:  # noqa: F811
    task = mixed()
    task.model = mixed_model(seed=1)
    path, diagram = mixed_run
    made = sp.load(path, task=task).at(5e-3).module().state_dict()
    assert all(value.equal(made[name]) for name, value in diagram.at(5e-3).state_dict().items())


def test_a_task_that_does_not_fit_is_refused_at_once(mixed_run: Run, linear_run: Run) -> None:  # noqa: F811
    with pytest.raises(SpinodalError, match=r"task gaussian does not fit this run \(rounds: \(2,\) int64 fixed there, nothing"):
        sp.load(mixed_run[0], task=linear())
    wider = sp.tasks.gaussian(activation="linear", hidden=[3], samples=20)
    with pytest.raises(SpinodalError, match=r"0.weight: \(2, 3\) float64 at 0 in theta there, \(3, 3\) float64"):
        sp.load(linear_run[0], task=wider)


def renamed(run: Path, to: Path, **task: Any) -> Path:
    """Copy a run, and change its task in the result that the journal holds."""
    shutil.copytree(run, to)
    changed = lines(to)
    changed[-1]["record"]["task"] |= task
    write_lines(to, changed)
    return to


def test_no_code_is_run_because_a_file_names_it(mixed_run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\ndef make(): return 1 / 0\n")
    run = renamed(mixed_run[0], tmp_path / "run", name=f"{tmp_path}/evil.py:make")
    diagram = sp.load(run)
    with pytest.raises(SpinodalError, match="no code is run because a file names it"):
        diagram.at(5e-3).module()
    assert diagram.at(5e-3).state_dict()
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "task", [{"name": "digits"}, {"hidden": [2, 2]}, {"samples": 1}, {"samples": "x"}, {"speed": 3}], ids=str
)
def test_a_built_in_task_of_other_settings_is_refused(linear_run: Run, tmp_path: Path, task: dict[str, Any]) -> None:  # noqa: F811
    diagram = sp.load(renamed(linear_run[0], tmp_path / "run", **task))
    with pytest.raises(SpinodalError, match=r"is not built in|does not fit this run"):
        diagram.at(0.4).module()


def test_the_journal_alone_gives_tables_and_no_models(mixed_run: Run, tmp_path: Path) -> None:  # noqa: F811
    path, diagram = mixed_run
    loaded = sp.load(without_states(path, tmp_path))
    assert loaded.to_dict() == sp.load(path).to_dict() == diagram.to_dict()
    assert loaded.to_pandas().equals(diagram.to_pandas())
    assert loaded.answer() == diagram.answer()
    for ask in (lambda s: s.theta, lambda s: s.state_dict(), lambda s: s.save(tmp_path / "model.safetensors")):
        with pytest.raises(SpinodalError, match=r"are not here: .*; .*; copy states/ beside journal.jsonl"):
            ask(loaded.at(5e-3))
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("content", [None, b"", b"no tensors"], ids=["missing", "empty", "damaged"])
def test_lost_frozen_tensors_are_missed_by_models_only(mixed_run: Run, tmp_path: Path, content: bytes | None) -> None:  # noqa: F811
    run = shutil.copytree(mixed_run[0], tmp_path / "run")
    place = run / "states" / "fixed.safetensors"
    place.unlink() if content is None else place.write_bytes(content)
    loaded = sp.load(run)
    assert loaded.to_dict() == mixed_run[1].to_dict()
    with pytest.raises(SpinodalError, match=r"fixed.safetensors is missing or damaged"):
        loaded.at(5e-3).state_dict()


def test_a_state_of_another_network_is_refused(mixed_run: Run, linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    run = shutil.copytree(mixed_run[0], tmp_path / "run")
    shutil.copy(linear_run[0] / "states" / "000002.safetensors", run / "states")
    with pytest.raises(SpinodalError, match=r"000002.safetensors is missing or damaged"):
        sp.load(run)


def test_a_flipped_bit_of_a_state_is_missed_by_the_model_of_that_point_only(mixed_run: Run, tmp_path: Path) -> None:  # noqa: F811
    run = shutil.copytree(mixed_run[0], tmp_path / "run")
    place = run / "states" / "000000.safetensors"
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 1
    place.write_bytes(damaged)
    loaded = sp.load(run)
    assert loaded.to_dict() == mixed_run[1].to_dict()
    for ask in (lambda s: s.theta, lambda s: s.state_dict()):
        with pytest.raises(SpinodalError, match=r"000000.safetensors is missing or damaged"):
            ask(loaded.at_point(0))
    assert loaded.at_point(2).theta.equal(mixed_run[1].at_point(2).theta)


# -- layouts ------------------------------------------------------------------------------------


def test_a_layout_survives_json(mixed_run: Run) -> None:  # noqa: F811
    layout = Layout.of(mixed_model())
    recorded = next(line["record"] for line in lines(mixed_run[0]) if line.get("key") == "layout")
    assert Layout.from_dict(recorded) == layout
    assert {entry.name for entry in layout.fixed} == {
        "norm.weight", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
        "frozen.weight", "frozen.bias", "rounds",
    }  # fmt: skip
    starts = {entry.name: entry.start for entry in layout.entries}
    assert starts["again.weight"] == starts["once.weight"] is not None


class Extra(nn.Linear):
    """A layer whose state dict holds more than tensors."""

    words = "given"

    def get_extra_state(self) -> Any:
        return {"words": self.words}

    def set_extra_state(self, state: Any) -> None:
        self.words = state["words"]


class Stateless(nn.Linear):
    """A layer that gives no state dict."""

    def state_dict(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no state")


class Computed(nn.Linear):
    """A layer whose state dict holds what it computes."""

    def state_dict(self, *arguments: Any, **settings: Any) -> Any:
        return {"twice": 2 * self.weight, "bias": self.bias}


@pytest.mark.parametrize(
    ("kind", "entry"),
    [(Extra, "_extra_state"), (Stateless, r"state_dict\(\)"), (Computed, "twice")],
    ids=lambda item: str(item),
)
def test_a_model_with_more_than_tensors_is_mapped_and_given_back(kind: type[nn.Linear], entry: str) -> None:
    inputs = torch.eye(3, dtype=torch.float64)
    task = sp.Task(kind(3, 3).double(), squared, (inputs, inputs))
    snapshot = sp.map_phases(task, beta=(0.01, 0.02), starts=1).at(0.01)
    assert error(task, snapshot.module()) == pytest.approx(snapshot.error, abs=1e-12)
    with pytest.raises(SpinodalError, match=rf"the model's state dict has {entry}, which theta does not determine"):
        snapshot.state_dict()


def test_theta_lies_where_the_layout_says() -> None:
    model, task = mixed_model(), mixed()
    theta = torch.arange(task.landscape().size, dtype=torch.float64)
    state: dict[str, Tensor] = Models.of(task).state_dict(theta)
    start = 0
    for name, value in model.named_parameters():
        if value.requires_grad:
            assert state[name].flatten().tolist() == list(range(start, start + value.numel()))
            start += value.numel()
    assert start == len(theta)


@pytest.mark.parametrize(
    "module",
    [
        "landscape/landscape",
        "minima/minimise",
        "sweeps/walk",
        "sweeps/scout",
        "mapping/map",
        "phases/diagram",
        "phases/snapshot",
    ],
)
def test_the_core_imports_no_file_format_and_no_plotting(module: str) -> None:
    tree = ast.parse((Path(sp.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    imports = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    imports |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert any(name.startswith("spinodal") for name in imports)
    for outside in ("safetensors", "xarray", "matplotlib", "plotly", "rich", "typer", "spinodal.store", "spinodal.plots"):
        assert not [name for name in imports if name == outside or name.startswith(f"{outside}.")]
