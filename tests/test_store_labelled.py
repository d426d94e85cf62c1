"""Labelled results: what is in result.nc, that anyone can open it, and that the journal alone makes it again."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from scipy.io import netcdf_file

import spinodal as sp
from small_run import OPTIONS, digests, linear, linear_run, mapped, mixed_run, without_states  # noqa: F401 - the fixtures
from spinodal.errors import SpinodalError
from spinodal.labelled.arrays import Arrays
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import rebuild
from spinodal.store.netcdf import to_bytes

Run = tuple[Path, PhaseDiagram]
RUNS = ("linear_run", "mixed_run")


@pytest.fixture(params=RUNS)
def any_run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.getfixturevalue(request.param)
    return found


def opened(path: Path) -> xarray.Dataset:
    with xarray.open_dataset(path / "result.nc", engine="scipy") as dataset:
        return dataset.load()


# -- opening it ---------------------------------------------------------------------------------

STRANGER = """
import sys
sys.modules["spinodal"] = None  # importing it fails
import xarray
with xarray.open_dataset(sys.argv[1]) as dataset:
    for name, variable in dataset.variables.items():
        assert set(variable.attrs) >= {"long_name", "units", "description"}, name
        assert all(variable.attrs[key].strip() for key in ("long_name", "units", "description")), name
    print(float(dataset.transition_beta[0]), dataset.transition_rank.sel(side="after").values.tolist(), dataset.convention)
    print(*sorted(name for name in sys.modules if name.startswith(("spinodal", "torch"))))
"""


def test_plain_xarray_opens_it_and_every_variable_says_what_it_is(linear_run: Run) -> None:  # noqa: F811
    path, diagram = linear_run
    line = [sys.executable, "-W", "error", "-c", STRANGER, str(path / "result.nc")]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
    first, modules = done.stdout.splitlines()
    assert first == f"{diagram.transitions[0].beta} [1, 0] E + beta*||theta||^2, weight_decay = 2*beta"
    assert modules == "spinodal"  # the name that was made to fail


def test_it_is_netcdf_of_64_bit_offsets_that_scipy_opens(any_run: Run) -> None:
    path, diagram = any_run
    assert (path / "result.nc").read_bytes()[:4] == b"CDF\x02"
    with netcdf_file(path / "result.nc", mmap=False) as file:
        assert file.variables["beta"][:].tolist() == [point.beta for point in diagram.points]
        assert file.variables["error"].long_name == b"error E"


def test_the_diagram_in_memory_gives_the_same(any_run: Run) -> None:
    path, diagram = any_run
    there, here = opened(path), diagram.to_xarray()
    recorded = {name: there.attrs.pop(name) for name in ("settings", "provenance")}
    xarray.testing.assert_identical(there, here)
    assert json.loads(recorded["provenance"]) == json.loads((path / "provenance.json").read_text())
    assert json.loads(recorded["settings"])["task"]["name"] == diagram.task["name"]


def test_a_loaded_diagram_gives_it_whole(any_run: Run) -> None:
    xarray.testing.assert_identical(opened(any_run[0]), sp.load(any_run[0]).to_xarray())
    assert to_bytes(sp.load(any_run[0]).to_xarray()) == (any_run[0] / "result.nc").read_bytes()


# -- rebuilding it ------------------------------------------------------------------------------

COPIES = {"result.nc", "result.json", "provenance.json", "config.toml"}


def test_the_journal_alone_makes_every_copy_again_bit_for_bit(any_run: Run, tmp_path: Path) -> None:
    alone = without_states(any_run[0], tmp_path)
    rebuild(alone)
    whole = digests(any_run[0])
    assert digests(alone) == {name: whole[name] for name in (*COPIES, "journal.jsonl")}


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_with_other_hashes_makes_the_same_bytes(mixed_run: Run, tmp_path: Path, seed: str) -> None:  # noqa: F811
    alone = without_states(mixed_run[0], tmp_path)
    line = [sys.executable, "-c", "import sys; from spinodal.store import rebuild; rebuild(sys.argv[1])", str(alone)]
    subprocess.run(line, check=True, timeout=120, env={**os.environ, "PYTHONHASHSEED": seed})
    assert (alone / "result.nc").read_bytes() == (mixed_run[0] / "result.nc").read_bytes()


def test_rebuilding_in_place_changes_nothing(any_run: Run) -> None:
    before = digests(any_run[0])
    rebuild(any_run[0])
    assert digests(any_run[0]) == before


def test_an_unfinished_run_is_not_rebuilt(linear_run: Run, tmp_path: Path) -> None:  # noqa: F811
    alone = without_states(linear_run[0], tmp_path)
    journal = alone / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(SpinodalError, match="is not finished"):
        rebuild(alone)
    assert [place.name for place in alone.iterdir()] == ["journal.jsonl"]


class Clock:
    """A wall clock that falls a century whenever it is read."""

    year = 2100

    @classmethod
    def now(cls, zone: tzinfo) -> datetime:
        cls.year -= 100
        return datetime(cls.year, 1, 1, tzinfo=zone)


def test_a_clock_that_jumps_changes_the_provenance_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = {"beta": (0.6, 0.8), "starts": 1}
    plain = mapped(linear(), tmp_path / "plain", **options)
    monkeypatch.setattr("spinodal.store.run.datetime", Clock)
    monkeypatch.setattr("time.time", lambda: -1e9)
    jumped = mapped(linear(), tmp_path / "jumped", **options)
    assert json.loads((tmp_path / "jumped/provenance.json").read_text())["began"].startswith("2000-01-01")
    assert 0 < jumped.seconds < 600
    assert replace(plain, seconds=0.0).to_dict() == replace(jumped, seconds=0.0).to_dict()
    here, there = (opened(tmp_path / name) for name in ("plain", "jumped"))
    here.attrs = there.attrs = {}
    xarray.testing.assert_identical(here, there)


# -- what is in it ------------------------------------------------------------------------------


def test_points_are_what_was_measured(any_run: Run) -> None:
    dataset, points = opened(any_run[0]), any_run[1].points
    assert dataset.point.values.tolist() == [point.index for point in points]
    assert dataset.weight_decay.values.tolist() == [2 * point.beta for point in points]
    for index, point in enumerate(points):
        here, view = dataset.isel(point=index), point.observation
        for name in ("error", "loss", "residual", "margin"):
            assert here[name] == getattr(point.minimum, name), name
        assert here.distance**2 == pytest.approx(point.norm_squared)
        assert here["rank"] == view.rank
        assert here.stop.item() == point.minimum.stop
        assert here.converged.item() is point.minimum.converged
        for name, values in view.singular_values.items():
            row = here.singular_values.sel(matrix=name)
            assert row.dropna("mode").values.tolist() == list(values)
            assert here.matrix_rank.sel(matrix=name) == view.ranks[name]


def test_points_know_their_phase(linear_run: Run) -> None:  # noqa: F811
    dataset, diagram = opened(linear_run[0]), linear_run[1]
    for phase in diagram.phases:
        assert dataset.point[dataset.in_phase == phase.id].values.tolist() == [point.index for point in phase.points]
        low, high = dataset.phase_beta.sel(phase=phase.id).values
        assert (low, high) == phase.beta
        assert dataset.phase_rank.sel(phase=phase.id) == phase.rank
    assert dataset.falls_to.values.tolist() == [1, 2, -1]


def test_a_walk_down_is_told_as_it_was_walked() -> None:
    diagram = sp.map_phases(linear(), direction="down", **OPTIONS)
    dataset = diagram.to_xarray()
    assert dataset.beta.values.tolist() == sorted(dataset.beta.values, reverse=True)
    assert dataset.direction.values.tolist() == ["down", "down"]
    np.testing.assert_allclose(dataset.transition_beta, [0.9, 0.5], rtol=1e-3)
    assert (dataset.transition_norm.sel(side="before") < dataset.transition_norm.sel(side="after")).all()
    assert dataset.falls_to.values.tolist() == [-1, 0, 1]
    assert dataset.in_phase.values.tolist() == sorted(dataset.in_phase.values, reverse=True)
    assert (dataset.phase_beta.sel(end="lowest") < dataset.phase_beta.sel(end="highest")).all()


def test_transitions_are_those_of_the_json_result(linear_run: Run) -> None:  # noqa: F811
    dataset, items = opened(linear_run[0]), linear_run[1].to_dict()["transitions"]
    assert dataset.sizes["transition"] == len(items) == 2
    for index, item in enumerate(items):
        here = dataset.isel(transition=index)
        assert here.transition_beta == item["beta"]
        assert here.transition_bracket.sel(bracket=["lower", "upper"]).values.tolist() == item["bracket"]
        for name in ("error", "norm", "margin", "rank"):
            assert here[f"transition_{name}"].sel(side=["before", "after"]).values.tolist() == item[name], name
        assert here.transition_point.values.tolist() == item["points"]
        assert (here.order.item(), here.direction.item()) == (item["order"], item["direction"])
        assert here.minor.item() is item["minor"]
        for name, value in item["evidence"].items():
            np.testing.assert_equal(here[f"evidence_{name}"].item(), np.nan if value is None else value)


def test_the_closed_form_lies_beside_the_measurement(linear_run: Run) -> None:  # noqa: F811
    dataset = opened(linear_run[0])
    np.testing.assert_allclose(dataset.transition_beta, dataset.exact_beta, rtol=1e-3)
    assert dataset.exact_beta.values.tolist() == [0.5, 0.9]
    assert dataset.exact_coexistence.isnull().all()  # of second order


def test_parts_classes_and_observables_are_labelled(mixed_run: Run) -> None:  # noqa: F811
    dataset, diagram = opened(mixed_run[0]), mixed_run[1]
    for index, point in enumerate(diagram.points):
        here, view = dataset.isel(point=index), point.observation
        for part in ("train", "held_out"):
            assert here.accuracy.sel(part=part) == view.accuracy[part]
            assert here.class_accuracy.sel(part=part).values.tolist() == list(view.class_accuracy[part] or ())
            assert here.confusion.sel(part=part).values.tolist() == [list(row) for row in view.confusion[part] or ()]
        assert here.custom.sel(observable="size of the bias") == view.custom["size of the bias"]
    lives = dataset.lives.isel(phase=0)
    assert tuple(lives["class"].values[lives == 1]) == diagram.phases[0].classes


def test_a_dimension_of_length_zero_is_left_out(mixed_run: Run, linear_run: Run) -> None:  # noqa: F811
    without = opened(mixed_run[0])
    assert not {"transition", "exact"} & {*without.dims, *without.variables}
    assert not any(name.startswith(("transition_", "evidence_", "exact_")) for name in without.variables)
    assert not {"class", "observable"} & {*opened(linear_run[0]).dims}


def test_what_is_missing_is_nan_or_minus_one(linear_run: Run) -> None:  # noqa: F811
    dataset = opened(linear_run[0])
    assert dataset.accuracy.isnull().all()
    assert dataset.origin[0] == -1
    assert dataset.missing == "NaN for a measurement, -1 for a whole number; a dimension of length zero is left out"


def test_the_whole_is_described(any_run: Run) -> None:
    dataset, diagram = opened(any_run[0]), any_run[1]
    assert dataset.task == diagram.task["name"]
    assert {"name": dataset.task, **json.loads(dataset.task_settings)} == diagram.task
    assert dataset.seed == "0"
    assert tuple(dataset.range) == diagram.range
    assert (dataset.solver, dataset.run_status, dataset.schema) == (diagram.solver, "complete", "1")
    assert json.loads(dataset.cost) == diagram.to_dict()["stats"]
    assert dataset.summary == diagram.answer()


@pytest.mark.parametrize("seed", [-(2**31) - 1, 2**31, 2**60])
def test_seeds_and_words_of_any_size_are_kept(linear_run: Run, seed: int, tmp_path: Path) -> None:  # noqa: F811
    odd = {"name": "naïve μ\n</script>", "text": "x" * 5000, "deep": {"list": [1, None, "ß"]}}
    diagram = replace(linear_run[1], seed=seed, task=odd)
    (tmp_path / "result.nc").write_bytes(to_bytes(diagram.to_xarray()))
    dataset = opened(tmp_path)
    assert int(dataset.seed) == seed
    assert {"name": dataset.task, **json.loads(dataset.task_settings)} == odd


@pytest.mark.parametrize("most", [2**31 - 1, 2**31, 2**52])
def test_counts_of_any_size_are_kept(linear_run: Run, most: int, tmp_path: Path) -> None:  # noqa: F811
    first, *rest = linear_run[1].points
    minimum = replace(first.minimum, stats=replace(first.minimum.stats, gradient_evaluations=most))
    diagram = replace(linear_run[1], points=(replace(first, minimum=minimum), *rest))
    (tmp_path / "result.nc").write_bytes(to_bytes(diagram.to_xarray()))
    assert int(opened(tmp_path).gradient_evaluations[0]) == most


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[[1, 2], [3]], [[4]]], [[[1, 2], [3, -1]], [[4, -1], [-1, -1]]]),
        ([None, [None, [5, None]]], [[[-1, -1], [-1, -1]], [[-1, -1], [5, -1]]]),
        ([], [[[-1, -1], [-1, -1]], [[-1, -1], [-1, -1]]]),
    ],
)
def test_ragged_lists_are_filled_up(values: list[Any], expected: list[Any]) -> None:
    arrays = Arrays({"a": 2, "b": 2, "c": 2})
    arrays.whole("x", ["a", "b", "c"], values, "", "")
    assert arrays.variables["x"][1].tolist() == expected


def test_a_longer_list_than_its_dimension_is_an_error() -> None:
    with pytest.raises(IndexError):
        Arrays({"a": 1}).numbers("x", ["a"], [1.0, 2.0], "", "")


# -- as a table ---------------------------------------------------------------------------------


def test_a_table_has_one_row_per_point(any_run: Run) -> None:
    table, diagram = any_run[1].to_pandas(), any_run[1]
    assert table.index.name == "point"
    assert table.index.tolist() == [point.index for point in diagram.points]
    assert table["beta"].tolist() == [point.beta for point in diagram.points]
    assert table["error"].tolist() == [point.error for point in diagram.points]
    assert table["rank"].tolist() == [point.observation.rank for point in diagram.points]


def test_columns_name_their_labels(mixed_run: Run, linear_run: Run) -> None:  # noqa: F811
    labelled = {"accuracy_train", "accuracy_held_out", "class_accuracy_held_out_2", "matrix_rank_last.weight"}
    assert labelled <= set(mixed_run[1].to_pandas().columns)
    assert mixed_run[1].to_pandas()["custom_size of the bias"].tolist() == [
        point.observation.custom["size of the bias"] for point in mixed_run[1].points
    ]
    assert set(linear_run[1].to_pandas().columns) == {
        "beta", "weight_decay", "error", "loss", "norm", "distance", "norm_slope", "error_slope", "margin", "margin_error",
        "margin_slope", "residual", "output_variance", "error_evaluations", "gradient_evaluations", "hessian_products",
        "hessians", "in_phase", "origin", "zero_modes", "converged", "stop", "rank", "matrix_rank_0.weight",
        "matrix_rank_2.weight",
    }  # fmt: skip


def test_a_table_groups_by_phase(linear_run: Run) -> None:  # noqa: F811
    table = linear_run[1].to_pandas()
    assert table.groupby("in_phase")["beta"].max().tolist() == [phase.beta[1] for phase in linear_run[1].phases]


@pytest.mark.parametrize("ask", [PhaseDiagram.to_xarray, PhaseDiagram.to_pandas])
def test_without_xarray_it_is_said_what_to_install(linear_run: Run, monkeypatch: pytest.MonkeyPatch, ask: Any) -> None:  # noqa: F811
    real = builtins.__import__

    def without(name: str, *arguments: Any, **settings: Any) -> Any:
        if name == "xarray":
            raise ImportError("No module named 'xarray'")
        return real(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SpinodalError, match=r"xarray cannot be imported .*; labelled results need xarray; pip install xarray"):
        ask(linear_run[1])


def test_importing_the_package_imports_no_xarray() -> None:
    line = "import sys, spinodal; print(*{'xarray', 'pandas', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""
