"""The command line: what each verb prints, for people and for programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from spinodal import cli

SMALL = ["gaussian", "--set", "activation=linear", "--set", "hidden=4,4", "--set", "samples=60", "--starts", "1"]
FAST = [*SMALL, "--beta", "0.3:0.6"]  # one transition, at .410549

OWN = """
import torch
from torch import nn
from spinodal import Task

def task(width: int = 3, kind="tanh"):
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x[:, :2] - 0.5 * x[:, 1:].square()
    model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))
    return Task(model, lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), (x, y))

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

def toy():
    return Task(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Return a function that runs `spinodal ARGUMENTS` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["spinodal", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), out, err)

    return run


def test_the_version_is_that_of_the_package(command: Command) -> None:
    done = command("--version")
    assert (done.code, done.out.strip(), done.err) == (0, f"spinodal {version('spinodal')}", "")


@pytest.mark.parametrize("verb", ["map", "show", "tasks", "theory"])
def test_every_verb_has_help(command: Command, verb: str) -> None:
    done = command(verb, "--help")
    assert done.code == 0
    assert f"spinodal {verb}" in done.out
    assert done.err == ""


def test_without_arguments_the_help_is_printed(command: Command) -> None:
    assert command() == command("--help")


def test_help_lists_every_verb_and_states_the_convention(command: Command) -> None:
    done = command("--help")
    assert done.code == 0
    text = " ".join(done.out.split())
    assert all(verb in text for verb in ("map", "show", "tasks", "theory"))
    assert "weight_decay = 2*beta" in text


def test_a_small_problem_is_mapped_alike_whatever_threads_it_is_given(command: Command) -> None:
    """Other threads round otherwise, and may end on another branch: further ones are workers."""
    found = []
    for threads in ("1", "2"):
        assert command("map", *FAST, "--threads", threads, "--out", threads, "--quiet").code == 0
        assert "threads = 1\n" in Path(threads, "config.toml").read_text()
        result = json.loads(Path(threads, "result.json").read_text())
        del result["stats"]["seconds"]
        found.append(result)
    assert found[0] == found[1]
    assert command("map", *FAST, "--threads", "2", "--resume", "--out", "1", "--quiet").code == 0


def test_map_prints_tables_an_answer_and_where_the_run_is(command: Command) -> None:
    done = command("map", *FAST, "--out", "run")
    assert (done.code, done.err) == (0, "")
    for text in ("Transitions", "Phases", "0.410549", "first", "exact", "weight_decay", "run folder: run"):
        assert text in done.out
    assert "1 transition: the followed phase" in done.out
    names = {path.name for path in Path("run").iterdir()}
    assert {"config.toml", "provenance.json", "journal.jsonl", "states", "result.json", "figures"} <= names
    assert not list(Path("run").rglob("*.part"))


def test_nothing_is_cut_off_on_a_terminal_of_80_columns(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = command("map", *FAST, "--out", "run")
    assert "0.410549" in done.out
    assert "…" not in done.out
    for row in [line for line in done.out.splitlines() if "0.410549" in line and "transition" not in line]:
        assert len(row) <= 80
    for verb in (["theory"], ["tasks"], ["show", "run"]):
        assert "…" not in command(*verb).out


def test_json_on_standard_output_stands_alone(command: Command) -> None:
    done = command("map", *FAST, "--out", "run", "--json", "-")
    assert done.code == 0
    result = json.loads(done.out)
    assert result["transitions"][0]["order"] == "first"
    assert "Transitions" in done.err
    assert json.loads(Path("run/result.json").read_text()) == result


def test_quiet_prints_nothing(command: Command) -> None:
    done = command("map", *FAST, "--out", "run", "--json", "result.json", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert json.loads(Path("result.json").read_text())["run_status"] == "complete"


def test_the_default_folder_is_the_next_free_number(command: Command) -> None:
    Path("runs/gaussian-1").mkdir(parents=True)
    assert command("map", *FAST, "--quiet").code == 0
    assert Path("runs/gaussian-2/result.json").exists()
    assert not list(Path("runs/gaussian-1").iterdir())


def test_resume_without_a_folder_continues_the_last_one(command: Command) -> None:
    assert command("map", *FAST, "--resume", "--quiet").code == 0
    Path("runs/gaussian-1").rename("runs/gaussian-0")
    assert command("map", *FAST, "--quiet").code == 0
    assert command("map", *FAST, "--quiet").code == 0
    Path("runs/gaussian-2/result.json").unlink()
    assert command("map", *FAST, "--resume", "--quiet").code == 0
    assert Path("runs/gaussian-2/result.json").exists()
    assert not Path("runs/gaussian-3").exists()


def test_show_repeats_what_map_said(command: Command) -> None:
    mapped = command("map", *FAST, "--out", "run", "--json", "-")
    shown = command("show", "run", "--json", "-")
    assert shown.code == 0
    assert json.loads(shown.out) == json.loads(mapped.out) | {"placements": []}
    people = command("show", "run")
    assert (people.code, people.err) == (0, "")
    assert "Transitions" in people.out
    assert "0.410549" in people.out


def test_load_gives_the_diagram_back(command: Command) -> None:
    mapped = command("map", *FAST, "--out", "run", "--json", "-")
    diagram = sp.load("run")
    assert json.loads(json.dumps(diagram.to_dict())) == json.loads(mapped.out)
    assert diagram.points[0].minimum.theta.shape == (sp.tasks.gaussian(hidden=(4, 4)).landscape().size,)


def test_show_changes_nothing_in_the_run(command: Command) -> None:
    command("map", *FAST, "--out", "run", "--quiet")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    command("show", "run")
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_tasks_lists_every_argument_with_its_default(command: Command) -> None:
    done = command("tasks")
    assert (done.code, done.err) == (0, "")
    assert all(text in done.out for text in ("gaussian", "digits", "singular_values = 0.9,0.5", "path/to/file.py:function"))
    listing = json.loads(command("tasks", "--json", "-").out)
    assert set(listing) == {"autoencoder", "digits", "gaussian", "mnist", "modular", "parity", "patterns"}
    assert listing["gaussian"]["arguments"]["hidden"] == [10, 10]


def test_theory_prints_the_closed_forms(command: Command) -> None:
    done = command("theory", "--singular-values", "0.9,0.8", "--matrices", "3")
    assert (done.code, done.err) == (0, "")
    assert all(text in done.out for text in ("0.35088", "0.41054", "0.29472", "0.34483", "weight_decay"))
    result = json.loads(command("theory", "--singular-values", "0.9,0.8", "--json", "-").out)
    assert [item["beta"] for item in result["transitions"]] == pytest.approx([0.350882, 0.410549], abs=1e-6)


@pytest.mark.parametrize(("matrices", "text"), [("1", "no transition"), ("2", "second")])
def test_theory_of_shallow_nets(command: Command, matrices: str, text: str) -> None:
    assert text in command("theory", "--matrices", matrices).out


def test_a_task_of_ones_own_is_mapped(command: Command) -> None:
    Path("own.py").write_text(OWN)
    done = command(
        "map", "own.py:task", "--set", "width=2", "--set", "kind=x", "--starts", "1", "--bracket", "1e-3", "--json", "-"
    )
    assert done.code == 0
    result = json.loads(done.out)
    assert result["task"]["name"] == "own.py:task"
    assert (result["task"]["width"], result["task"]["kind"]) == (2, "x")
    assert result["phases"][-1]["rank"] == 0
    assert Path("runs/own-1/result.json").exists()


def test_an_energy_without_predictions_is_mapped_in_a_given_range(command: Command) -> None:
    Path("own.py").write_text(OWN)
    done = command("map", "own.py:toy", "--beta", "0.05:0.5", "--json", "-")
    assert done.code == 0
    (found,) = json.loads(done.out)["transitions"]
    assert found["beta"] == pytest.approx(0.236235, rel=1e-5)


def test_an_energy_without_predictions_needs_a_range(command: Command) -> None:
    Path("own.py").write_text(OWN)
    done = command("map", "own.py:toy", "--quiet")
    assert done.code == 2
    assert done.err.startswith("error: the range of beta cannot be found")
    assert done.err.count("\n") == 1
    assert "--beta LOW:HIGH" in done.err
    assert not Path("runs").exists()


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spinodal", "map", "gausian", "--debug"])
    with pytest.raises(sp.SpinodalError, match="did you mean 'gaussian'"):
        cli.main()


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["map.make_task", "map.prepare", "map.map_phases", "pictures.write_figures"])
def test_an_interrupt_ends_with_130_wherever_it_comes(command: Command, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(f"spinodal.commands.{where}", interrupted)
    assert command("map", *FAST, "--out", "run").code == 130
    monkeypatch.undo()


FAILS_LATER = """
import spinodal as sp

calls = 0


def task():
    made = sp.tasks.gaussian(activation="linear", hidden=(4,), samples=40)

    def loss(model, batch):
        global calls
        calls += 1
        if calls > 900:
            raise RuntimeError("the loss broke")
        return (model(batch[0]) - batch[1]).square().sum(1).mean()

    return sp.Task(made.model, loss, made.data)
"""


def test_a_task_that_fails_on_the_way_leaves_its_points_and_says_so(command: Command) -> None:
    Path("later.py").write_text(FAILS_LATER)
    done = command("map", "later.py:task", "--beta", "0.01:1.2", "--out", "run")
    assert done.code == 2
    assert done.err.startswith("error: this ended in RuntimeError: the loss broke")
    assert re.search(
        r"stopped: [0-9]+ points? (are|is) kept in run; once the error is mended, continue with --resume", done.out
    )
    shown = command("show", "run")
    assert shown.code == 0
    assert "This run is unfinished." in shown.out


def test_ctrl_c_leaves_a_run_that_can_be_resumed(command: Command, tmp_path: Path) -> None:
    line = [str(Path(sys.executable).with_name("spinodal"))]
    line += ["map", *SMALL, "--direction", "loop", "--out", "run"]  # long enough to be met by a busy machine
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a job in the background ignores it
    process = subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    journal = tmp_path / "run" / "journal.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (journal.exists() and journal.read_bytes().count(b"\n") > 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, ""), out
    assert "continue with --resume --out run" in out
    assert not (tmp_path / "run" / "result.json").exists()
    assert command(*line[1:], "--resume", "--quiet").code == 0
    assert (tmp_path / "run" / "result.json").exists()


@pytest.fixture
def heeded() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("told", [signal.default_int_handler, signal.SIG_IGN], ids=["in front", "in the background"])
def test_a_map_stops_after_the_minutes_it_is_given_and_goes_on_later(command: Command, told: Any, heeded: None) -> None:
    signal.signal(signal.SIGINT, told)
    words = ["map", *FAST, "--out", "run"]
    done = command(*words, "--max-minutes", "0.01", "--set", "hidden=12,12", "--set", "samples=20000")
    assert (done.code, done.err) == (130, "")
    assert "0.01 minutes are over: " in done.out
    assert "continue with --resume --out run" in done.out
    assert signal.getsignal(signal.SIGINT) == told
    assert "--max-minutes" in command(*words, "--max-minutes", "0").err


def test_a_shell_completes_verbs_and_options(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SPINODAL_COMPLETE", "complete_bash")
    for words, found in (("spinodal hie", "hierarchy"), ("spinodal map --max", "--max-minutes")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert command().out.strip() == found
