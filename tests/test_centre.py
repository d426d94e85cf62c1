"""A penalty around another point than the origin: its map, whose trivial phase is that point, its record and its refusals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import spinodal as sp
from losses import squared
from small_run import LINEAR
from spinodal.errors import SpinodalError
from spinodal.landscape.control_record import ControlRecord, digest
from spinodal.store import RunFolder
from test_cli import Command, command  # noqa: F401 - the fixture

VALUES = (0.9, 0.4)


class Shifted(nn.Module):
    """`x -> A x + (W2 - C2)(W1 - C1) x`: a linear net around (C1, C2), where it is not constant but `A x`."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.first, self.second = (nn.Parameter(torch.randn(width, 2, generator=draw)) for _ in range(2))
        self.register_buffer("centre_of_first", torch.randn(width, 2, generator=draw))
        self.register_buffer("centre_of_second", torch.randn(width, 2, generator=draw))
        self.register_buffer("fixed", torch.tensor([[1.0, 0.5], [-0.5, 2.0]]))

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.first - self.centre_of_first, self.second - self.centre_of_second
        return x @ self.fixed.T + x @ first.T @ second

    def centre(self) -> Tensor:
        return torch.cat([self.centre_of_first.reshape(-1), self.centre_of_second.reshape(-1)]).double()


def white(samples: int = 12) -> Tensor:
    x = torch.randn(samples, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(x - x.mean(0))[0] * samples**0.5


def task(*, batches: Sequence[int] = (), **settings: Any) -> sp.Task:
    """Return the fit of `(A + diag(s)) x`, whose modes die at `beta = s` around the centre, exactly."""
    model, x = Shifted(), white()
    y = x @ (model.fixed.double() + torch.diag(torch.tensor(VALUES, dtype=torch.float64))).T
    data = list(zip(x.split(list(batches)), y.split(list(batches)), strict=True)) if batches else (x, y)
    return sp.Task(model, squared, data, name="shifted", **settings)


@pytest.fixture(scope="module")
def around() -> sp.PhaseDiagram:
    made = task(batches=(5, 7))
    return sp.map_phases(made, penalty=sp.Penalty(centre=made.model.centre(), source="the test"), starts=2)


def test_a_map_around_a_centre_ends_in_the_phase_of_the_centre(around: sp.PhaseDiagram) -> None:
    assert [item.order for item in around.transitions] == ["second", "second"]
    assert [item.beta for item in around.transitions] == pytest.approx(sorted(VALUES), rel=1e-5)
    last, model = around.points[-1], Shifted().double()
    assert around.range[1] > max(VALUES)
    torch.testing.assert_close(last.minimum.theta, model.centre(), rtol=0.0, atol=1e-3)
    assert last.observation.from_centre < 1e-6 * around.points[0].observation.output_variance
    assert last.observation.output_variance > 1.0  # its outputs are not constant
    assert last.error == pytest.approx(sum(value**2 for value in VALUES))


def test_its_points_are_those_of_the_closed_form(around: sp.PhaseDiagram) -> None:
    for point in around.points:  # strength s - beta of a mode, E = beta^2, rho = 2 (s - beta)
        alive = [value for value in VALUES if value > point.beta]
        error = len(alive) * point.beta**2 + sum(value**2 for value in VALUES if value <= point.beta)
        assert point.error == pytest.approx(error, abs=1e-6)
        assert point.norm_squared == pytest.approx(sum(2.0 * (value - point.beta) for value in alive), abs=1e-4)


def test_its_result_says_what_its_centre_is(around: sp.PhaseDiagram) -> None:
    result = around.to_dict()
    assert result["convention"] == "E + beta*||theta - centre||^2, weight_decay = 2*beta"
    centre = {"sha256": digest(Shifted().centre()), "from": "the test"}
    assert result["control"]["centre"] == centre
    assert around.at(0.1).convention == result["convention"]


def test_it_agrees_with_a_map_around_the_origin_of_the_shifted_model(around: sp.PhaseDiagram) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shifted = Shifted()
            self.first = nn.Parameter(shifted.first.detach() - shifted.centre_of_first)
            self.second = nn.Parameter(shifted.second.detach() - shifted.centre_of_second)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.first.T @ self.second

    x = white()
    plain = sp.Task(Plain(), squared, (x, x @ torch.diag(torch.tensor(VALUES, dtype=torch.float64))))
    found = sp.map_phases(plain, starts=2)
    assert [t.beta for t in found.transitions] == pytest.approx([t.beta for t in around.transitions], rel=2e-5)
    assert found.to_dict()["convention"] == "E + beta*||theta||^2, weight_decay = 2*beta"


def test_a_centre_of_zeros_is_the_origin() -> None:
    made = sp.tasks.gaussian(**LINEAR)
    zeros = sp.Penalty(centre=torch.zeros(made.landscape().size))
    found = [sp.map_phases(made, beta=(0.5, 0.6), starts=1, penalty=penalty).to_dict() for penalty in (zeros, None)]
    for result in found:
        result["stats"]["seconds"] = 0.0
    assert found[0] == found[1]


def test_a_map_in_single_precision_ends_at_the_centre_as_well() -> None:
    made = task(batches=(5, 7))
    penalty = sp.Penalty(centre=made.model.centre())
    found = sp.map_phases(made, penalty=penalty, dtype="float32", beta=(0.7, 1.4), starts=1, tolerance=1e-4)
    last = found.points[-1]
    assert last.minimum.theta.dtype == torch.float32
    torch.testing.assert_close(last.minimum.theta.double(), made.model.centre(), rtol=0.0, atol=1e-2)
    assert last.error == pytest.approx(sum(value**2 for value in VALUES), rel=1e-3)


def test_parameters_that_are_not_penalised_stay_where_they_are_at_the_centre() -> None:
    made = task(include="first")
    landscape = made.landscape()
    control = made.penalty(landscape, sp.Penalty(centre=made.model.centre()))
    theta = torch.randn(landscape.size, dtype=torch.float64)
    trivial = control.trivial(theta)
    torch.testing.assert_close(trivial[:4], made.model.centre()[:4])
    assert torch.equal(trivial[4:], theta[4:])


def test_a_walk_and_a_placement_along_it_turn_the_same(around: sp.PhaseDiagram) -> None:
    made, centre = task(batches=(5, 7)), Shifted().centre()
    placed = sp.place(around, around.at(0.2).theta, beta=0.2, task=made)
    assert placed.phase == 0
    assert placed.next.beta == pytest.approx(min(VALUES), rel=1e-3)
    with pytest.raises(SpinodalError, match=r"and that of the map is E \+ beta\*\|\|theta - centre\|\|\^2"):
        sp.place(around, around.at(0.2).theta, beta=0.2, task=made, penalty=sp.Penalty(centre=centre + 1.0))
    landscape = made.landscape()
    start = sp.minimise(landscape, beta=0.2, start=around.at(0.2).theta, penalty=sp.Penalty(centre=centre))
    walk = sp.sweep(landscape, start=start, to=0.6, penalty=sp.Penalty(centre=centre))
    assert [item.beta for item in walk.transitions] == pytest.approx([min(VALUES)], rel=1e-5)


# -- run folders ----------------------------------------------------------------------------------


def test_a_run_keeps_its_centre_and_is_resumed_with_no_other(tmp_path: Path) -> None:
    made = task()
    penalty, options = sp.Penalty(centre=made.model.centre(), source="here"), {"beta": (0.5, 0.55), "starts": 1}
    settings = {"task": {"name": "shifted"}, "map": {**options, "beta": list(options["beta"])}}
    with RunFolder(tmp_path / "run", settings) as folder:
        folder.save(sp.map_phases(made, recorder=folder.journal, penalty=penalty, **options))
    record = sp.load(tmp_path / "run").control
    assert record == ControlRecord.of(penalty)
    assert record.source == "here"
    assert torch.equal(record.made.centre, made.model.centre())
    with RunFolder(tmp_path / "run", settings, resume=True) as folder:
        with pytest.raises(SpinodalError, match=r"was .* when this run began; a run is resumed with the control that began it"):
            sp.map_phases(made, recorder=folder.journal, penalty=replace(penalty, centre=made.model.centre() + 1.0), **options)
        with pytest.raises(SpinodalError, match=r"the control is E \+ beta\*\|\|theta\|\|\^2, weight_decay = 2\*beta, and was"):
            sp.map_phases(made, recorder=folder.journal, **options)


SMALL = ["gaussian", *(f"--set={key}={value[0] if isinstance(value, list) else value}" for key, value in LINEAR.items())]
FAST = [*SMALL, "--beta", "0.5:0.55", "--starts", "1"]


@pytest.fixture
def run(command: Command) -> Command:  # noqa: F811
    """Return the command, in a folder with a run of which point 0 is a centre."""
    assert command("map", *FAST, "--out", "first", "--quiet").code == 0
    return command


def test_the_command_line_maps_around_a_point_of_a_run(run: Command) -> None:
    done = run("map", *FAST, "--centre", "first:0", "--out", "second", "--json", "second.json")
    assert done.code == 0
    assert "E + beta*||theta - centre||^2" in done.out
    theta = sp.load("first").at_point(0).theta
    result = json.loads(Path("second.json").read_text())
    assert result["control"]["centre"] == {"sha256": digest(theta), "from": "first:0"}
    assert f'centre = "{digest(theta)}"' in Path("second/config.toml").read_text()
    assert "theta - centre" in run("show", "second").out
    assert "theta - centre" in Path("second/report.html").read_text()
    measured = run("curvature", *SMALL, "--at", "second:0", "--json", "-")
    point = sp.load("second").points[0]
    assert json.loads(measured.out)["L"] == pytest.approx(point.minimum.loss)
    assert json.loads(measured.out)["convention"].startswith("E + beta*||theta - centre||^2")
    around_itself = run("curvature", *SMALL, "--at", "first:0", "--centre", "first:0", "--json", "-")
    assert json.loads(around_itself.out)["L"] == pytest.approx(json.loads(around_itself.out)["E"])
    again = run("map", *FAST, "--centre", "first:0", "--out", "second", "--resume", "--quiet")
    assert again.code == 0
    last = sp.load("first").points[-1].index
    other = run("map", *FAST, "--centre", f"first:{last}", "--out", "second", "--resume", "--quiet")
    assert other.code == 2
    assert "second holds another run (control.centre: " in other.err
    none = run("map", *FAST, "--out", "second", "--resume", "--quiet")
    assert none.code == 2
    assert "None now" in none.err


def test_a_checkpoint_is_a_centre_and_the_same_model_elsewhere_resumes_the_run(run: Command) -> None:
    assert run("export", "first:0", "centre.safetensors").code == 0
    assert run("map", *FAST, "--centre", "centre.safetensors", "--out", "second", "--quiet").code == 0
    assert run("map", *FAST, "--centre", "first:0", "--out", "second", "--resume", "--quiet").code == 0
    assert sp.load("second").control.source == "centre.safetensors"
    placing = ["--start", "centre.safetensors", "--at-weight-decay", "1.02"]
    placed = run("map", *FAST, "--centre", "first:0", "--out", "second", "--resume", *placing)
    assert placed.code == 0
    assert "At weight_decay = 1.02 your model" in placed.out
    state = {name: value * float("nan") for name, value in load_file("centre.safetensors").items()}
    save_file(state, "nan.safetensors")
    refused = run("map", *FAST, "--centre", "nan.safetensors", "--out", "third", "--quiet")
    assert refused.code == 2
    assert "not finite" in refused.err
    assert not Path("third").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--centre", "first"],
            "--centre first: this names no point of the run; RUN:POINT, or a checkpoint, is allowed",
        ),
        (["--centre", "first:99999"], "--centre first:99999: point 99999; "),
        (["--centre", "nowhere:0"], "--centre nowhere:0: no run in nowhere; "),
        (["--centre", "first:0", "--set=hidden=5"], "--centre first:0: the model of task gaussian does not fit"),
    ],
    ids=["no point", "a missing point", "no run", "another network"],
)
def test_a_centre_that_is_not_there_or_does_not_fit_is_refused(run: Command, words: list[str], text: str) -> None:
    done = run("map", *FAST, *words, "--out", "second", "--quiet")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert text in done.err
    assert not Path("second").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_centre_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(SpinodalError, match="the penalty's centre is not finite; finite numbers are allowed"):
        sp.map_phases(task(), penalty=sp.Penalty(centre=torch.full((8,), bad)))
