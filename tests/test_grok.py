"""`spinodal grok`: the three starts wait in order, as long as predicted, and a run that was stopped is the run that was not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spinodal import SpinodalError, tasks
from spinodal.dynamics.grokking import GrokOptions, grok
from spinodal.plots.grok_figure import draw_grok
from spinodal.plots.grok_record import grok_record
from spinodal.store import load
from test_cli import Command, command  # noqa: F401 - the fixture

SETTINGS = ("--set", "activation=linear", "--set", "hidden=3,3", "--set", "samples=20", "--set", "bias=false")
QUICK = (*SETTINGS, "--amplitude", "0.1", "--threads", "1", "--learning-rate", "0.2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grok") / "run"


def test_the_starts_wait_in_order_and_as_long_as_predicted(command: Command, run: Path) -> None:  # noqa: F811
    done = command("grok", "gaussian", *QUICK, "--out", str(run), "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found == json.loads((run / "grok.json").read_text())
    assert (run / "figures" / "grok.png").exists()
    main = {start["name"]: start for start in found["starts"] if start["amplitude"] in (None, 0.1)}
    assert main["random"]["measured"] < main["intermediate"]["measured"] < main["trivial"]["measured"]
    for start in found["starts"][1:]:
        assert start["by_flow"] == pytest.approx(start["measured"], rel=0.05, abs=2.0)
    steep = [start for start in found["starts"] if start["name"] == "intermediate"]
    assert [start["amplitude"] for start in steep] == [0.4, 0.2, 0.1, 0.05]
    assert [level["phase"] for level in found["levels"]] == [0, 1, 2]
    assert found["starts"][-1]["plateaus"]


def test_a_run_that_is_resumed_gives_the_same(command: Command, run: Path) -> None:  # noqa: F811
    before = json.loads((run / "grok.json").read_text())
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    kept = next(place for place, line in enumerate(lines) if b"levels and predictions" in line)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
    (run / "grok.json").unlink()
    assert command("grok", "gaussian", *QUICK, "--out", str(run), "--resume").code == 0
    assert json.loads((run / "grok.json").read_text()) == before


def test_a_phase_of_another_run_is_a_start(command: Command, run: Path, tmp_path: Path) -> None:  # noqa: F811
    done = command("grok", "gaussian", *QUICK, "--from", f"{run}:1", "--out", str(tmp_path / "one"), "--quiet")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "one" / "grok.json").read_text())
    assert {start["phase"] for start in found["starts"]} == {None, 1}
    refused = command("grok", "gaussian", *QUICK, "--from", f"{run}:7", "--out", str(tmp_path / "two"))
    assert (refused.code, "phase 7; phases 0 to 2 of this map are allowed" in refused.err) == (2, True)
    best = command("grok", "gaussian", *QUICK, "--from", f"{run}:0", "--out", str(tmp_path / "best"))
    assert (best.code, "phase 0, the best one; phases 1 to 2 of this map can wait" in best.err) == (2, True)
    unnamed = command("grok", "gaussian", *QUICK, "--from", str(run), "--out", str(tmp_path / "three"))
    assert (unnamed.code, "names no phase" in unnamed.err) == (2, True)


def test_a_learning_rate_that_diverges_is_refused_with_epoch_and_value(
    command: Command,  # noqa: F811
    run: Path,
    tmp_path: Path,
) -> None:
    done = command("grok", "gaussian", *QUICK, "--from", f"{run}:1", "--out", str(tmp_path / "wild"), "--learning-rate", "3")
    assert done.code == 2
    assert "diverged at epoch" in done.err


def test_the_figure_shows_every_start_with_its_prediction(run: Path) -> None:
    task = tasks.gaussian(activation="linear", hidden=(3, 3), samples=20, bias=False, held_out=50)
    diagram = load(run)
    found = grok(task, task.landscape(), diagram, GrokOptions(amplitude=0.2, epochs=300))
    figure = draw_grok(grok_record(found))
    curves, times = figure.axes
    assert curves.get_xscale() == curves.get_yscale() == times.get_yscale() == "log"
    assert {text.get_text() for text in curves.get_legend().get_texts()} >= {
        "random start",
        "trivial phase start",
        "random, held out",
    }
    assert [label.get_text() for label in times.get_xticklabels()] == ["0.1", "0.2", "0.4", "0.8"]
    assert "from the intermediate start after" in found.answer()
    assert "from the trivial start not within 300 epochs" in found.answer()
    with pytest.raises(SpinodalError, match="a map with one phase"):
        grok(task, task.landscape(), replace(diagram, points=diagram.points[:2], transitions=()), GrokOptions())
    assert torch.isfinite(found.history.theta).all()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"beta": float("nan")}, "beta = nan"),
        ({"beta": -1.0}, "beta = -1.0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"amplitude": 0.0}, "amplitude = 0.0"),
        ({"scale": float("nan")}, "scale = nan"),
        ({"epochs": 0}, "epochs = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_mapped(numbers: dict, words: str) -> None:
    with pytest.raises(SpinodalError, match=re.escape(words)):
        GrokOptions(**numbers)


def test_a_beta_at_which_the_best_phase_does_not_exist_is_refused(run: Path) -> None:
    task = tasks.gaussian(activation="linear", hidden=(3, 3), samples=20, bias=False)
    with pytest.raises(SpinodalError, match=re.escape("beta = 0.9, at which phase 0, the best one, does not exist")):
        grok(task, task.landscape(), load(run), GrokOptions(beta=0.9))
