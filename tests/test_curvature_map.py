"""Curvature along a map: exact where it is known, kept point by point, shown beside the transitions and never one of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray
from matplotlib.backends.backend_agg import FigureCanvasAgg

import spinodal as sp
from documents import DOCS
from small_run import OPTIONS, digests, kept_as_it_is, linear, linear_run, lines, without_states, write_lines  # noqa: F401
from spinodal.curvature import survey as surveys
from spinodal.curvature.along import Curvature, curvature_at
from spinodal.curvature.gauss import ricci
from spinodal.curvature.scalar import scalar_curvature
from spinodal.curvature.survey import Survey, note_name, point_seed, survey
from spinodal.landscape.kinks import has_kinks
from spinodal.plots import curvature_record, diagram_record
from spinodal.plots.curvature_figure import draw_curvature, draw_hessian
from spinodal.report import render
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.saddle_index import SaddleIndex
from spinodal.store import RunFolder
from spinodal.sweeps.walk import Forgetful
from test_cli import Command, command  # noqa: F401 - the fixture

WORDS = ["gaussian", "--set", "activation=linear", "--set", "hidden=2", "--set", "samples=20"]
CURVED = {**OPTIONS, "curvature": True}


@pytest.fixture(scope="session")
def surveyed_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, sp.PhaseDiagram]]:
    yield from kept_as_it_is(tmp_path_factory.mktemp("surveyed") / "run", linear(), **CURVED)


# -- one weight per layer, where everything is known ----------------------------------------------


class Pair(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(2))


def pair() -> sp.Task:
    """Return `E = (1 - w1 w2)^2 / 2`, whose live phase `w1 = w2 = t, t^2 = 1 - 2 beta` ends at beta = 1/2."""
    return sp.Task(Pair(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None, name="pair")


@pytest.fixture(scope="module")
def loop() -> PhaseDiagram:
    return sp.map_phases(pair(), beta=(0.05, 0.8), direction="loop", starts=1, curvature=True)


def test_every_point_of_both_ways_has_the_curvature_of_the_closed_form(loop: PhaseDiagram) -> None:
    assert loop.back is not None
    assert loop.curvature is not None
    points = {point.index: point for point in (*loop.points, *loop.back.points)}
    assert loop.curvature.points.keys() == points.keys()
    for index, found in loop.curvature.points.items():
        beta = points[index].beta
        t = max(1 - 2 * beta, 0.0) ** 0.5
        of_error = -2 * (t**2 - 1) * (3 * t**2 - 1) / (2 * t**6 - 4 * t**4 + 2 * t**2 + 1) ** 2
        determinant = (t**2 + 2 * beta) ** 2 - (2 * t**2 - 1) ** 2  # of Hess L, with the derivatives t^2 and 2 t^2 - 1
        assert found.error.value == pytest.approx(of_error, rel=1e-6, abs=1e-6)
        assert found.loss.value == pytest.approx(2 * determinant, rel=1e-6, abs=1e-6)
        assert found.trace.value == pytest.approx(2 * t**2, abs=1e-6)
        assert (found.error.stderr, found.error.method, found.fisher_trace) == (0.0, "dense", None)
        assert (found.index_of_loss.value, found.index_of_error.is_exact) == (0, True)


@pytest.fixture(scope="module")
def plain() -> PhaseDiagram:
    return sp.map_phases(pair(), beta=(0.05, 0.8), direction="loop", starts=1)


def test_curvature_decides_nothing(loop: PhaseDiagram, plain: PhaseDiagram) -> None:
    without = {**loop.to_dict(), "curvature": None, "stats": None}
    assert without == {**plain.to_dict(), "stats": None}
    assert plain.change_points == ()


def test_the_sign_of_the_curvature_of_e_changes_inside_a_phase(loop: PhaseDiagram) -> None:
    """R of E is zero where `3 t^2 = 1`, which is beta = 1/3; the phase ends at 1/2."""
    changes = [change for change in loop.change_points if change.surface == "error" and change.direction == "up"]
    assert [change.found.kind for change in changes] == ["sign change"]
    low, high = changes[0].found.bracket
    assert low < 1 / 3 < high
    assert not any(low < transition.beta < high for transition in loop.macroscopic)


def test_what_it_costs_is_counted_once(loop: PhaseDiagram, plain: PhaseDiagram) -> None:
    assert loop.curvature is not None
    count = len(loop.curvature.points)
    assert loop.spent.hessians - plain.spent.hessians == count
    assert loop.spent.gradient_evaluations - plain.spent.gradient_evaluations == count


# -- one point ------------------------------------------------------------------------------------


def test_a_penalty_with_a_centre_and_a_mask_is_that_of_the_loss() -> None:
    landscape = linear().landscape()
    theta = landscape.initial + 0.1
    mask = torch.arange(landscape.size) % 3 > 0
    penalty = sp.Penalty(centre=0.2 * torch.ones_like(theta), mask=mask)
    found = curvature_at(landscape, theta, beta=0.3, penalty=penalty)
    hessian = landscape.hessian(theta) + 0.6 * torch.diag(mask.to(theta))
    gradient = landscape.gradient(theta) + 0.6 * mask.to(theta) * (theta - 0.2)
    assert found.loss.value == pytest.approx(ricci(gradient, hessian), rel=1e-12)
    assert found.error.value == pytest.approx(scalar_curvature(landscape, theta).value, rel=1e-12)
    assert found.index_of_loss.value == int((torch.linalg.eigvalsh(hessian) < -1e-8).sum())


def test_estimates_from_products_agree_with_the_dense_values_within_their_errors() -> None:
    task = sp.tasks.gaussian(hidden=(6, 6), samples=100)
    landscape = task.landscape()
    theta = sp.minimise(landscape, beta=0.05, start=task.initial(0)).theta
    exact = curvature_at(landscape, theta, beta=0.05)
    found = curvature_at(landscape, theta, beta=0.05, method="probes", budget=40, seed=3)
    for name in ("error", "loss", "trace"):
        estimate, truth = getattr(found, name), getattr(exact, name)
        assert estimate.method != "dense"
        assert 0 < estimate.stderr < 0.3 * abs(truth.value)
        assert abs(estimate.value - truth.value) < 5 * estimate.stderr
    assert not found.index_of_error.is_exact
    assert found.index_of_error.value <= exact.index_of_error.value
    assert str(found.index_of_error).startswith(">= ")
    assert found == curvature_at(landscape, theta, beta=0.05, method="probes", budget=40, seed=3)


@pytest.mark.parametrize("method", ["dense", "probes"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"beta": -0.1}, "beta = -0.1; a finite beta > 0 is allowed"),
        ({"beta": "much"}, "beta = 'much'"),
        ({"budget": "all"}, "budget = 'all'; whole numbers"),
        ({"rtol": 2.0}, "rtol = 2.0; a number between 0 and 1 is allowed"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_arguments_are_refused_whatever_the_method(method: str, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(sp.SpinodalError, match=text):
        curvature_at(linear().landscape(), linear().initial(0), **{"beta": 0.1, "method": method, **arguments})


def test_a_loss_of_one_size_of_batch_has_a_curvature() -> None:
    """Targets of its own make it fail for fewer samples than the user has."""
    inputs, targets = torch.randn(2, 9, 3, dtype=torch.float64)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
    alone = sp.Landscape(model, lambda net, x: (net(x) - targets).square().sum(1).mean(), inputs)
    pairs = sp.Landscape(model, lambda net, batch: (net(batch[0]) - batch[1]).square().sum(1).mean(), (inputs, targets))
    found, known = (curvature_at(item, item.initial, beta=0.1) for item in (alone, pairs))
    assert found.error.value == pytest.approx(known.error.value, rel=1e-9)
    assert found.caveats == known.caveats != ()


KINKED = {
    "prelu": torch.nn.PReLU(dtype=torch.float64).requires_grad_(False),
    "selu": torch.nn.SELU(),
    "softshrink": torch.nn.Softshrink(),
    "largest": lambda z: z.amax(1),
    "pooled": lambda z: torch.nn.functional.adaptive_max_pool1d(z[:, None], 2).sum((1, 2)),
    "sorted": lambda z: z.sort(1)[0][:, 0],
}
SMOOTH = {"tanh": torch.tanh, "elu": torch.nn.ELU(), "celu": torch.nn.CELU(alpha=0.5), "gelu": torch.nn.GELU()}


@pytest.mark.parametrize(("name", "kinked"), [*((name, True) for name in KINKED), *((name, False) for name in SMOOTH)])
def test_operations_with_kinks_are_told_from_smooth_ones(name: str, kinked: bool) -> None:
    bend = {**KINKED, **SMOOTH}[name]
    landscape = sp.Landscape(torch.nn.Linear(3, 4), lambda model, x: bend(model(x)).square().sum(), torch.ones(5, 3))
    assert has_kinks(landscape, landscape.initial) == kinked


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(sp.SpinodalError, match=r"unknown method 'denes'.*'dense'"):
        curvature_at(linear().landscape(), linear().initial(0), beta=0.1, method="denes")


# -- the pass over the points ---------------------------------------------------------------------


def test_the_order_of_the_points_is_irrelevant(
    surveyed_run: tuple[Path, PhaseDiagram], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "curvature_at", lambda *a, **k: curvature_at(*a, **{**k, "budget": 12}))
    diagram, landscape = surveyed_run[1], linear().landscape()
    some = diagram.points[:3]
    forward, _ = survey(some, landscape, sp.Penalty(), Forgetful(), seed=4)
    backward, _ = survey([*some[::-1], some[0]], landscape, sp.Penalty(), Forgetful(), seed=4)
    assert forward == backward
    assert {found.error.seed for found in forward.points.values()} == {point_seed(4, point.index) for point in some}


def test_a_point_without_curvature_says_why_and_the_others_have_theirs(
    surveyed_run: tuple[Path, PhaseDiagram], monkeypatch: pytest.MonkeyPatch
) -> None:
    diagram, landscape = surveyed_run[1], linear().landscape()
    bad = diagram.points[1]

    def failing(landscape: sp.Landscape, theta: torch.Tensor, **options: Any) -> Curvature:
        if options["beta"] == bad.beta:
            raise sp.SpinodalError(got="second derivatives\nof E are not finite", allowed="others are", do="look")
        return curvature_at(landscape, theta, **options)

    monkeypatch.setattr(surveys, "curvature_at", failing)
    found, _ = survey(diagram.points[:3], landscape, sp.Penalty(), Forgetful(), seed=0)
    assert found.failed == {bad.index: "second derivatives of E are not finite; others are; look"}
    result = replace(diagram, curvature=found).to_dict()["curvature"]
    assert [result["points"]["error"]["value"][k] is None for k in range(4)] == [False, True, False, True]
    assert result["failed"] == [{"point": bad.index, "text": found.failed[bad.index]}]
    shown = replace(diagram, curvature=found)
    assert "At 1 point there is none: second derivatives of E are not finite; others are; look." in render(shown)
    nothing = replace(diagram, curvature=Survey({}, {point.index: "<b>" for point in diagram.points}))
    assert f"At {len(diagram.points)} points there is none: &lt;b&gt;." in render(nothing)
    assert shown.to_xarray()["curvature_error"].isnull().values.tolist()[:3] == [False, True, False]


# -- the run folder -------------------------------------------------------------------------------


def test_every_point_is_one_line_of_the_journal_and_comes_back_from_it(surveyed_run: tuple[Path, PhaseDiagram]) -> None:
    run, diagram = surveyed_run
    names = [line["key"] for line in lines(run) if line["kind"] == "note" and line["key"].startswith("curvature")]
    assert names == [note_name(index) for index in sorted(point.index for point in diagram.points)]
    back = sp.load(run)
    assert back.to_dict() == json.loads(json.dumps(diagram.to_dict()))
    assert back.curvature is not None
    assert diagram.curvature is not None
    assert back.curvature.points.keys() == diagram.curvature.points.keys()


def test_no_states_are_needed_to_read_it(surveyed_run: tuple[Path, PhaseDiagram], tmp_path: Path) -> None:
    assert sp.load(without_states(surveyed_run[0], tmp_path)).to_dict() == sp.load(surveyed_run[0]).to_dict()


def test_a_damaged_record_is_refused(surveyed_run: tuple[Path, PhaseDiagram], tmp_path: Path) -> None:
    alone = without_states(surveyed_run[0], tmp_path)
    changed = lines(alone)
    note = next(line for line in changed if line.get("key") == note_name(0))
    note["record"]["error"]["value"] = "<script>"
    write_lines(alone, changed)
    with pytest.raises(sp.SpinodalError, match=r"the result in .* is damaged"):
        sp.load(alone)


@pytest.mark.parametrize("kept", [0, 1, 3], ids="{} points".format)
def test_a_run_cut_off_among_its_curvatures_computes_the_missing_ones_only(
    surveyed_run: tuple[Path, PhaseDiagram], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    whole, diagram = surveyed_run
    run = tmp_path / "run"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("result.*"))
    journal = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    first = next(k for k, line in enumerate(journal) if b"curvature of point" in line)
    (run / "journal.jsonl").write_bytes(b"".join(journal[: first + kept]))
    calls: list[float] = []

    def counted(*arguments: Any, **options: Any) -> Curvature:
        calls.append(options["beta"])
        return curvature_at(*arguments, **options)

    monkeypatch.setattr(surveys, "curvature_at", counted)
    settings = {"task": {"name": "gaussian", **linear().settings}, "map": {**CURVED, "beta": list(OPTIONS["beta"])}}
    with RunFolder(run, settings, resume=True) as folder:
        again = sp.map_phases(linear(), recorder=folder.journal, **CURVED)
        folder.save(again)
    assert len(calls) == len(diagram.points) - kept
    assert unhurried(run) == unhurried(whole)


def unhurried(run: Path) -> dict[str, Any]:
    """Return the result but for its seconds."""
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    result["stats"].pop("seconds")
    return result


def test_a_killed_run_goes_on_among_its_curvatures(
    surveyed_run: tuple[Path, PhaseDiagram],
    tmp_path: Path,
    command: Command,  # noqa: F811
) -> None:
    run = tmp_path / "killed"
    words = ["map", *WORDS, "--beta", "0.3:1.2", "--starts", "1", "--bracket", "1e-3", "--curvature", "--quiet"]
    line = [str(Path(sys.executable).with_name("spinodal")), *words, "--out", str(run)]
    process = subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    journal, deadline = run / "journal.jsonl", time.monotonic() + 60
    while not (journal.exists() and b"curvature of point" in journal.read_bytes()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert command(*words, "--out", str(run), "--resume").code == 0
    assert unhurried(run)["curvature"] == unhurried(surveyed_run[0])["curvature"]
    assert unhurried(run)["stats"] == unhurried(surveyed_run[0])["stats"]


def test_a_run_of_a_version_without_curvature_is_read_and_resumed(
    linear_run: tuple[Path, PhaseDiagram],  # noqa: F811
    tmp_path: Path,
) -> None:
    run, diagram = tmp_path / "old", linear_run[1]
    shutil.copytree(linear_run[0], run)
    old = lines(run)
    (result,) = [line["record"] for line in old if line.get("key") == "result"]
    assert result.pop("curvature") is None
    write_lines(run, old)
    assert sp.load(run).to_dict() == json.loads(json.dumps(diagram.to_dict()))
    before = digests(run)["journal.jsonl"]
    settings = {"task": {"name": "gaussian", **linear().settings}, "map": {**OPTIONS, "beta": list(OPTIONS["beta"])}}
    with RunFolder(run, settings, resume=True) as folder:
        folder.save(sp.map_phases(linear(), recorder=folder.journal, **OPTIONS))
    assert digests(run)["journal.jsonl"] == before


def test_labelled_arrays_say_what_they_are(surveyed_run: tuple[Path, PhaseDiagram]) -> None:
    with xarray.open_dataset(surveyed_run[0] / "result.nc") as data:
        result = surveyed_run[1].to_dict()["curvature"]["points"]
        for name, key in {"curvature_error": "error", "curvature_loss": "loss", "hessian_trace": "trace"}.items():
            assert data[name].values.tolist() == result[key]["value"]
            assert data[f"{name}_stderr"].values.tolist() == result[key]["stderr"]
            assert data[f"{name}_products"].values.tolist() == result[key]["products"]
        assert data["fisher_trace"].values.tolist() == result["fisher_trace"]["value"]
        assert data["index_error"].values.tolist() == result["index_of_error"]["value"]
        assert bool(data["index_loss_exact"].all())
        assert "R of the graph of L = E + beta * ||theta - centre||^2" in data["curvature_loss"].attrs["description"]
        assert all(variable.attrs["units"] == "1" for name, variable in data.items() if "curvature" in str(name))


def test_every_key_of_the_curvature_is_explained(surveyed_run: tuple[Path, PhaseDiagram]) -> None:
    result = surveyed_run[1].to_dict()["curvature"]
    text = (DOCS / "json.md").read_text(encoding="utf-8")
    assert result["change_points"]
    points = result["points"]
    keys = {*result, *points, *points["error"], *points["index_of_error"], *result["change_points"][0]}
    assert not [key for key in sorted(keys) if f"`{key}`" not in text]


# -- figures and report ---------------------------------------------------------------------------


def test_the_figure_has_error_curvature_and_distance_beside_transitions_and_change_points(loop: PhaseDiagram) -> None:
    record = diagram_record(loop)
    found = record.curvature
    assert found is not None
    assert [curve.name for curve in found.curvature.curves] == ["R of E", "R of L"]
    assert found.curvature.scale == "symlog"
    assert [(change.surface, change.kind) for change in found.changes] == [("error", "sign change")]
    figure = draw_curvature(record)
    assert figure is not None
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert [label.split("\n")[0] for label in labels] == ["error E", "scalar curvature R", "distance from"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"transition", "sign change of R of E"}
    assert len((draw_hessian(record) or figure).axes) == 3
    FigureCanvasAgg(figure).draw()


def test_without_curvature_there_is_no_such_figure_and_no_such_section(loop: PhaseDiagram) -> None:
    bare = replace(loop, curvature=None)
    assert curvature_record(bare) is None
    assert draw_curvature(diagram_record(bare)) is None
    assert draw_hessian(diagram_record(bare)) is None
    assert 'id="curvature"' not in render(bare)


def test_error_bars_are_drawn_where_there_are_any(surveyed_run: tuple[Path, PhaseDiagram]) -> None:
    diagram = surveyed_run[1]
    assert diagram.curvature is not None
    rough = {
        index: replace(found, error=replace(found.error, stderr=1.5, status="estimated", method="probes"))
        for index, found in diagram.curvature.points.items()
    }
    shown = replace(diagram, curvature=Survey(rough))
    record = curvature_record(shown)
    assert record is not None
    assert set(record.curvature.curves[0].spread or ()) == {1.5}
    assert record.curvature.curves[1].spread is None
    assert "± 1.5" in render(shown)


def test_a_negative_direction_that_the_margin_did_not_see_is_told(loop: PhaseDiagram) -> None:
    assert loop.curvature is not None
    assert "missed it" not in render(loop)
    saddle = SaddleIndex(2, is_exact=False, lowest=-0.1, method="lanczos", status="budget")
    first = loop.points[0].index
    points = {**loop.curvature.points, first: replace(loop.curvature.points[first], index_of_loss=saddle)}
    assert "At 1 point Hess L has a negative eigenvalue, which is proven" in render(replace(loop, curvature=Survey(points)))


def test_a_value_is_as_precise_as_its_error_bar(loop: PhaseDiagram) -> None:
    assert loop.curvature is not None
    value = Estimate(184911.285, 2.6, products=100, method="probes", status="estimated")
    points = {index: replace(found, error=value) for index, found in loop.curvature.points.items()}
    assert "184911.3 ± 2.6" in render(replace(loop, curvature=Survey(points)))


def test_the_report_lists_change_points_with_what_is_nearest_to_them(loop: PhaseDiagram) -> None:
    page = render(loop)
    section = page[page.index('<section id="curvature">') : page.index('<section id="conventions">')]
    assert "defines no transition" in section
    assert re.search(r"<td>E</td><td>sign change</td><td>up</td>", section)
    assert '<th scope="col">nearest transition</th>' in section
    assert "below the transition at β = 0.5" in section


# -- the command line -----------------------------------------------------------------------------


def test_a_map_writes_its_curvature(command: Command) -> None:  # noqa: F811
    words = ["map", *WORDS, "--beta", "0.3:1.2", "--starts", "1", "--bracket", "1e-2", "--out", "run"]
    result = json.loads(command(*words, "--curvature", "--json", "-").out)
    count = len(result["followed"])
    for name in ("error", "loss", "trace", "fisher_trace"):
        assert len([value for value in result["curvature"]["points"][name]["value"] if value is not None]) == count
    assert {path.name for path in Path("run/figures").iterdir()} >= {"curvature.png", "curvature.pdf"}
    assert 'id="curvature"' in Path("run/report.html").read_text()
    assert "curvature = true" in Path("run/config.toml").read_text()
    done = command(*words, "--resume")
    assert done.code == 2
    assert "holds another run (map.curvature: True there, False now)" in done.err


def test_one_point_agrees_with_the_map(surveyed_run: tuple[Path, PhaseDiagram], command: Command) -> None:  # noqa: F811
    run, diagram = surveyed_run
    point = diagram.points[2]
    done = command("curvature", "gaussian", "--at", f"{run}:{point.index}", "--json", "one.json")
    assert done.code == 0, done.err
    assert "scalar curvature R" in done.out
    assert "weight_decay = 2*beta" in done.out
    found = json.loads(Path("one.json").read_text())
    columns = diagram.to_dict()["curvature"]["points"]
    for name in ("error", "loss", "trace", "fisher_trace"):
        assert found["curvature"][name]["value"] == pytest.approx(columns[name]["value"][2], rel=1e-12)
    assert found["curvature"]["index"]["error"]["value"] == columns["index_of_error"]["value"][2]
    assert (found["point"], found["beta"]) == (point.index, point.beta)
    assert found["margin"] == pytest.approx(point.minimum.margin, rel=1e-9)
    assert found["eigenvalues"]["smallest"][0] == pytest.approx(columns["index_of_error"]["lowest"][2], rel=1e-6)
    text = (DOCS / "json.md").read_text(encoding="utf-8")
    assert not [key for key in {*found, *found["eigenvalues"]} if f"`{key}`" not in text]


def test_an_exported_model_has_the_curvature_of_its_point(surveyed_run: tuple[Path, PhaseDiagram], command: Command) -> None:  # noqa: F811
    run, diagram = surveyed_run
    point = diagram.points[1]
    assert command("export", f"{run}:{point.index}", "model.safetensors").code == 0
    words = ["--at", "model.safetensors", "--at-weight-decay", str(2 * point.beta), "--json", "-"]
    found = json.loads(command("curvature", *WORDS, *words).out)
    assert diagram.curvature is not None
    assert found["curvature"]["loss"]["value"] == pytest.approx(diagram.curvature.points[point.index].loss.value, rel=1e-9)
    assert found["margin"] == pytest.approx(point.minimum.margin, rel=1e-6)
    assert found["point"] is None


def test_another_beta_lifts_the_loss_surface_alone(surveyed_run: tuple[Path, PhaseDiagram], command: Command) -> None:  # noqa: F811
    run, diagram = surveyed_run
    index = diagram.points[2].index
    usual, other = (
        json.loads(command("curvature", "gaussian", "--at", f"{run}:{index}", *more, "--json", "-").out)
        for more in ([], ["--beta", "2.0"])
    )
    assert other["curvature"]["error"] == usual["curvature"]["error"]
    assert other["curvature"]["loss"] != usual["curvature"]["loss"]
    assert other["margin"] > usual["margin"]


def test_probes_of_the_command_line_have_error_bars(surveyed_run: tuple[Path, PhaseDiagram], command: Command) -> None:  # noqa: F811
    run, diagram = surveyed_run
    words = ["--at", str(run), "--at-weight-decay", "0.7", "--method", "probes", "--budget", "12", "--seed", "5", "--json", "-"]
    done = command("curvature", "gaussian", *words)
    found = json.loads(done.out)
    assert found["curvature"]["error"]["status"] != "exact"
    assert found["curvature"]["error"]["seed"] == 5
    assert found["curvature"]["index"]["error"]["exact"] is False
    assert ">= " in done.err
    assert "+- " in done.err
    assert found["point"] == diagram.at(weight_decay=0.7).point.index


Refusal = Callable[[Path, PhaseDiagram], tuple[list[str], str]]
REFUSALS: dict[str, Refusal] = {
    "unknown run": lambda run, _: (["gaussian", "--at", "runs/none:1"], "no run in runs/none"),
    "no point": lambda run, d: (["gaussian", "--at", f"{run}"], f"--at {run} names no point; .*--at {run}:{d.points[0].index}"),
    "unknown point": lambda run, _: (["gaussian", "--at", f"{run}:9999"], "point 9999; the followed points of this map"),
    "no number": lambda run, _: (["gaussian", "--at", f"{run}:last"], "RUN or RUN:POINT with the number of a point"),
    "another task": lambda run, _: (["digits", "--at", f"{run}:0"], "the model of task digits does not fit this run"),
    "other settings": lambda run, _: (["gaussian", "--set", "hidden=3", "--at", f"{run}:0"], "does not fit this run"),
    "other data": lambda run, _: (
        ["gaussian", "--set", "seed=3", "--at", f"{run}:0"],
        "E of this task is .* and was .* in the run",
    ),
    "unknown method": lambda run, _: (["gaussian", "--at", f"{run}:0", "--method", "exact"], "unknown method 'exact'"),
    "no accuracy": lambda run, _: (["gaussian", "--at", f"{run}:0", "--rtol", "0"], "--rtol 0.0; a number between 0 and 1"),
    "negative beta": lambda run, _: (["gaussian", "--at", f"{run}:0", "--beta", "-1"], "beta = -1.0; a finite beta > 0"),
    "beyond the map": lambda run, _: (["gaussian", "--at", f"{run}", "--at-weight-decay", "9"], "lies outside the map"),
    "point and place": lambda run, _: (["gaussian", "--at", f"{run}:0", "--at-weight-decay", "1"], "one of them is allowed"),
    "file alone": lambda run, _: (["gaussian", "--at", f"{run}/result.json"], "without its weight_decay"),
    "no checkpoint": lambda run, _: (["gaussian", "--at", f"{run}/result.json", "--beta", "1"], "is no safetensors file"),
    "no budget": lambda run, _: (["gaussian", "--at", f"{run}:0", "--budget", "0"], "--budget"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused_in_one_line(surveyed_run: tuple[Path, PhaseDiagram], command: Command, name: str) -> None:  # noqa: F811
    words, said = REFUSALS[name](*surveyed_run)
    done = command("curvature", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert re.search(said, done.err), done.err


def test_a_switch_that_is_none_is_refused() -> None:
    with pytest.raises(sp.SpinodalError, match="curvature = 'yes'; True or False"):
        sp.MapOptions(curvature="yes")  # type: ignore[arg-type]
