"""The verbs that take models in and out: `map --start`, `export`, `report`."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import spinodal as sp
from spinodal.commands import map as map_verb
from spinodal.commands import show as show_verb
from spinodal.store import RunFolder
from spinodal.tasks.registry import make_task
from test_cli import FAST, Command, command

__all__ = ["command"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder that `spinodal map FAST` begins and finishes."""
    task = make_task("gaussian", {"activation": "linear", "hidden": "4,4", "samples": "60"})
    options = sp.MapOptions(beta=(0.3, 0.6), starts=1, dtype=task.dtype)
    config = {"task": {"name": task.name, **task.settings}, "map": asdict(options)}
    folder = tmp_path_factory.mktemp("finished") / "run"
    with RunFolder(folder, config) as run:
        run.save(sp.map_phases(task, options=options, recorder=run.journal))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of it in the folder in which commands run."""
    return shutil.copytree(finished, tmp_path / "run")


def test_a_checkpoint_is_placed_on_a_finished_map_without_mapping_again(command: Command, run: Path) -> None:
    before = (run / "journal.jsonl").read_bytes()
    torch.save(sp.load(run).at(0.35).module().state_dict(), run.parent / "model.pt")
    done = command("map", *FAST, "--out", "run", "--resume", "--start", "model.pt", "--at-weight-decay", "0.7", "--json", "-")
    placement = json.loads(done.out)["placement"]
    assert (done.code, placement["phase"], placement["next"]["ratio"]) == (0, 0, pytest.approx(0.410549 / 0.35, rel=1e-5))
    assert placement["answer"] in done.err
    assert (run / "journal.jsonl").read_bytes().startswith(before)
    assert "model.pt: At weight_decay = 0.7" in command("show", "run").out
    (kept,) = json.loads(command("show", "run", "--json", "-").out)["placements"]
    assert kept == placement | {"file": "model.pt"}
    assert "model.pt" in (run / "report.html").read_text(encoding="utf-8")


def test_a_map_without_a_model_has_no_placement(command: Command) -> None:
    done = command("map", *FAST, "--json", "-")
    assert json.loads(done.out)["placement"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--start", "model.pt"], "add --at-weight-decay W"),
        (["--at-weight-decay", "0.7"], "add --start FILE"),
        (["--start", "nowhere.pt", "--at-weight-decay", "0.7"], "nowhere.pt is not there"),
        (["--start", "model.pt", "--at-weight-decay", "-1"], "--at-weight-decay = -1.0"),
        (["--start", "other.pt", "--at-weight-decay", "0.7"], "unknown parameter in the checkpoint"),
        (["--start", "nan.pt", "--at-weight-decay", "0.7"], "in the checkpoint holds numbers that are not finite"),
    ],
)
def test_a_model_that_cannot_be_placed_is_refused_before_anything_is_written(
    command: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(4, 4), samples=60)
    state = task.model.state_dict()
    torch.save(state, tmp_path / "model.pt")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    torch.save({name: value * float("nan") for name, value in state.items()}, tmp_path / "nan.pt")
    done = command("map", *FAST, "--out", "run", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert not (tmp_path / "run").exists()


def test_an_exported_model_has_the_error_of_its_point(command: Command, run: Path) -> None:
    done = command("export", "run", "model.safetensors", "--at-weight-decay", "0.7")
    assert done.code == 0
    task = sp.tasks.gaussian(activation="linear", hidden=(4, 4), samples=60)
    task.model.load_state_dict(load_file(run.parent / "model.safetensors"))
    with torch.no_grad():
        error = float(task.loss(task.model, task.data))
    assert error == pytest.approx(sp.load(run).at(weight_decay=0.7).error, rel=1e-12)


def test_a_point_is_exported_by_its_number(command: Command, run: Path) -> None:
    index = sp.load(run).points[-1].index
    assert f"point {index}," in command("export", f"run:{index}", "model.safetensors").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "m"], "neither beta nor weight_decay"),
        (["run", "m", "--at-beta", "0.3", "--at-weight-decay", "0.6"], "both beta and weight_decay"),
        (["run:99999", "m"], "point 99999"),
        (["run:x", "m"], "RUN or RUN:POINT"),
        (["run:0", "m", "--at-beta", "0.3"], "one of them is allowed"),
        (["nowhere:0", "m"], "no run in nowhere"),
        (["run", "m", "--at-weight-decay", "999"], "weight_decay from 0.6 to 1.2 is allowed"),
        (["run", "m", "--at-beta", "0.1"], "weight_decay = 0.2 (beta = 0.1) lies outside the map"),
        (["run", "no/such/folder/m", "--at-beta", "0.3"], "cannot be written"),
    ],
)
def test_an_export_that_means_nothing_is_refused(command: Command, run: Path, words: list[str], said: str) -> None:
    done = command("export", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert not (run.parent / "m").exists()


def test_the_report_is_made_again_bit_for_bit(command: Command, run: Path) -> None:
    assert command("report", "run").out.split("\n")[:2] == ["report: run/report.html", "figures: run/figures"]
    first = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    command("report", "run")
    assert (run / "report.html").read_bytes() == first
    assert {place.name for place in (run / "figures").iterdir()} >= {"error.pdf", "norm.png", "phase_map.png"}
    assert command("report", "run", "--out", "no/such/folder/r.html").code == 2


def test_a_report_elsewhere_is_one_file_and_the_figures_stay_in_the_run(command: Command, run: Path) -> None:
    elsewhere = run.parent / "elsewhere"
    elsewhere.mkdir()
    assert "figures: run/figures" in command("report", "run", "--out", "elsewhere/r.html").out
    assert [place.name for place in elsewhere.iterdir()] == ["r.html"]
    assert (run / "figures" / "error.pdf").exists()


def test_paths_that_read_as_markup_are_paths(command: Command, run: Path) -> None:
    for name in ("a[", "q[", "r["):
        Path(name).mkdir()
    here = run.rename(run.parent / "a[" / "i]:heart:")
    torch.save(sp.load(here).at(0.35).module().state_dict(), "q[/b].pt")
    words = ["--out", "a[/i]:heart:", "--resume", "--start", "q[/b].pt", "--at-weight-decay", "0.7", "--json", "r[/].json"]
    done = command("map", *FAST, *words)
    assert (done.code, done.err) == (0, "")
    assert "placing q[/b].pt at" in done.out
    assert "run folder: a[/i]:heart:  (report: a[/i]:heart:/report.html)" in done.out
    assert json.loads(Path("r[/].json").read_text(encoding="utf-8"))["placement"]["phase"] == 0


def test_the_json_is_written_before_anything_is_printed(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise BrokenPipeError

    for verb in (map_verb, show_verb):
        monkeypatch.setattr(verb, "show_result", full)
    assert command("show", "run", "--json", "shown.json").code == 1
    assert command("map", *FAST, "--out", "run", "--resume", "--json", "mapped.json").code == 1
    assert all(json.loads((run.parent / name).read_text())["transitions"] for name in ("shown.json", "mapped.json"))


def test_words_of_a_received_run_do_not_steer_the_terminal(command: Command, run: Path) -> None:
    place = run / "placements" / "received" / "placement.json"
    place.parent.mkdir(parents=True)
    value = {"file": "\x1b[2Jmodel.pt", "answer": "All is well.\r\x1b]0;owned\x07", "beta": 0.3}
    place.write_text(json.dumps(value), encoding="utf-8")
    said = command("show", "run").out
    assert r"\x1b[2Jmodel.pt: All is well.\r\x1b]0;owned\x07" in said
    assert "\x1b" not in said


def test_a_placement_that_is_no_json_is_left_out(command: Command, run: Path) -> None:
    place = run / "placements" / "received" / "placement.json"
    place.parent.mkdir(parents=True)
    place.write_text('{"file": "m", "answer": "a", "beta": 0.3, "weight_decay": 1e999}', encoding="utf-8")
    assert json.loads(command("show", "run", "--json", "-").out)["placements"] == []


def test_a_placement_is_kept_in_the_journal_of_the_run_and_leaves_the_map_as_it_is(command: Command, run: Path) -> None:
    torch.save(sp.load(run).at(0.35).module().state_dict(), "m.pt")
    words = ["map", *FAST, "--out", "run", "--resume", "--start", "m.pt", "--at-weight-decay", "0.7", "--quiet"]
    journal, before = run / "journal.jsonl", (run / "result.json").read_bytes()
    alone = journal.read_bytes()
    assert command(*words, "--json", "first.json").code == 0
    placed = journal.read_bytes()
    assert placed.startswith(alone)
    assert b"placement" in placed.removeprefix(alone)
    journal.write_bytes(b"".join(placed.splitlines(keepends=True)[:-2]))  # killed while it placed the model
    assert command(*words, "--json", "again.json").code == 0
    assert Path("again.json").read_bytes() == Path("first.json").read_bytes()
    assert [line.split(b'"elapsed"')[0] for line in journal.read_bytes().splitlines()] == [
        line.split(b'"elapsed"')[0] for line in placed.splitlines()
    ]
    assert (run / "result.json").read_bytes() == before
    assert len(sp.load(run).points) == len(json.loads(before)["followed"])
