"""A run killed at any instant and resumed is the run that was never killed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.store import RunFolder
from test_cli import Command, command  # noqa: F401 - the fixture

SETTINGS = ["--set", "activation=linear", "--set", "hidden=4,3", "--set", "samples=40", "--starts", "2", "--bracket", "1e-3"]
LINE = ["map", "gaussian", *SETTINGS, "--quiet", "--out"]
BINARY = str(Path(sys.executable).with_name("spinodal"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def result(run: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run / "result.json").read_text())
    value["stats"].pop("seconds")
    return value


def labelled(run: Path) -> xarray.Dataset:
    """Return result.nc but for the attributes that tell seconds and the command."""
    with xarray.open_dataset(run / "result.nc") as dataset:
        loaded = dataset.load()
    loaded.attrs = {}
    return loaded


def lines(run: Path) -> list[bytes]:
    return (run / "journal.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    subprocess.run([BINARY, *LINE, str(run)], env=ENVIRONMENT, check=True, timeout=120)
    return run


@pytest.fixture
def cut(undisturbed: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that makes the run as it was when its journal had so many lines."""

    def make(count: int) -> Path:  # a negative one counts from the end, which leaves little to compute
        run = tmp_path / f"cut-{count}"
        shutil.copytree(undisturbed, run, ignore=shutil.ignore_patterns("result.*", "figures"))
        (run / "journal.jsonl").write_bytes(b"".join(lines(run)[:count]))
        kept = {json.loads(line)["state"] for line in lines(run) if b'"state"' in line}
        for path in (run / "states").iterdir():
            if f"states/{path.name}" not in kept:
                path.unlink()
        return run

    return make


def killed(run: Path, size: int) -> bool:
    """Start or resume, SIGKILL once the journal has `size` bytes; tell whether it was killed before it ended."""
    process = subprocess.Popen([BINARY, *LINE, str(run), "--resume"], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    journal = run / "journal.jsonl"
    while process.poll() is None:
        if journal.exists() and journal.stat().st_size >= size:
            process.kill()
            process.wait()
            return True
        time.sleep(0.001)
    assert process.returncode == 0
    return False


def test_killed_and_resumed_at_random_instants_gives_the_same_result(
    undisturbed: Path,
    tmp_path: Path,
    command: Command,  # noqa: F811
) -> None:
    rng = random.Random(0)
    run, whole = tmp_path / "run", (undisturbed / "journal.jsonl").stat().st_size
    kills = sum(killed(run, size) for size in sorted(rng.randrange(1, int(0.9 * whole)) for _ in range(3)))
    assert kills == 3
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)
    xarray.testing.assert_identical(labelled(run), labelled(undisturbed))


@pytest.mark.slow
def test_killed_ten_times_gives_the_same_result(undisturbed: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    rng = random.Random(1)
    run, whole = tmp_path / "run", (undisturbed / "journal.jsonl").stat().st_size
    kills = sum(killed(run, size) for size in sorted(rng.randrange(1, int(0.95 * whole)) for _ in range(10)))
    assert kills == 10
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


@pytest.mark.parametrize("count", [2, 17, -1])
def test_any_prefix_of_the_journal_is_continued(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    count: int,
) -> None:
    run = cut(count)
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)
    xarray.testing.assert_identical(labelled(run), labelled(undisturbed))


def test_without_resume_a_run_is_not_touched(cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(11)
    before = (run / "journal.jsonl").read_bytes()
    done = command(*LINE, str(run))
    assert done.code == 2
    assert "already holds a run" in done.err
    assert "--resume" in done.err
    assert (run / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("length", [1, 40, -1])
def test_a_torn_last_line_is_repaired(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    length: int,
) -> None:
    run = cut(-2)
    with (run / "journal.jsonl").open("ab") as file:
        file.write(lines(undisturbed)[12][:length])
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


def test_a_torn_header_is_repaired(undisturbed: Path, cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(1)
    (run / "journal.jsonl").write_bytes(lines(undisturbed)[0][:7])
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


@pytest.mark.parametrize("content", [None, b"", b"not a state"], ids=["missing", "empty", "damaged"])
def test_a_lost_state_of_the_last_point_is_repaired(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    content: bytes | None,
) -> None:
    run = cut(-2)
    state = run / json.loads(lines(run)[-1])["state"]
    state.unlink() if content is None else state.write_bytes(content)
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


BEGUN = {  # what a process killed while it makes the folder leaves, instant by instant
    "nothing": [],
    "an empty journal": ["journal.jsonl"],
    "half a provenance": ["journal.jsonl", "provenance.json.part"],
    "a provenance": ["journal.jsonl", "provenance.json"],
    "half a configuration": ["journal.jsonl", "provenance.json", "config.toml.part"],
    "a configuration": ["journal.jsonl", "provenance.json", "config.toml"],
}


@pytest.mark.parametrize("instant", BEGUN)
def test_a_folder_whose_making_was_interrupted_can_be_resumed(undisturbed: Path, tmp_path: Path, instant: str) -> None:
    run, config = tmp_path / "run", tomllib.loads((undisturbed / "config.toml").read_text())
    run.mkdir()
    for name in BEGUN[instant]:
        whole = b"" if name == "journal.jsonl" else (undisturbed / name.removesuffix(".part")).read_bytes()
        (run / name).write_bytes(whole[: len(whole) // 2] if name.endswith(".part") else whole)
    with RunFolder(run, config, resume=True) as folder:
        assert (folder.journal.count, folder.config) == (0, config)
    assert {path.name for path in run.iterdir()} == {"config.toml", "provenance.json", "journal.jsonl"}
    begun = [json.loads(line) for line in lines(run)]
    assert [line.get("key", line["kind"]) for line in begun] == ["header", "provenance", "settings"]
    assert begun[1]["record"] == json.loads((run / "provenance.json").read_text())
    assert begun[2]["record"] == config


@pytest.mark.parametrize("name", ["notes.txt", "provenance.json", "result.json"])
def test_a_folder_with_files_of_others_is_not_taken_for_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"years of": "work"}')
    with pytest.raises(SpinodalError, match="is not a run folder"):
        RunFolder(tmp_path, {"task": "x"}, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kept", ["provenance.json", "config.toml"])
def test_a_run_killed_while_its_folder_was_made_is_begun_again(
    undisturbed: Path,
    tmp_path: Path,
    command: Command,  # noqa: F811
    kept: str,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(undisturbed / kept, run)
    done = command(*LINE, str(run), "--resume")
    assert done.code == 0, done.err
    assert result(run) == result(undisturbed)


def refused(command: Command, run: Path, *more: str) -> str:  # noqa: F811
    """Resume, expecting a refusal that changes nothing; return what it said."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = command(*LINE, str(run), "--resume", *more)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    return done.err


def test_a_damaged_middle_line_is_refused(cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(12)
    damaged = lines(run)
    damaged[5] = damaged[5][:20] + b"\n"
    (run / "journal.jsonl").write_bytes(b"".join(damaged))
    text = refused(command, run)
    assert "line 6 of" in text
    assert "is damaged" in text


def test_a_lost_state_of_a_middle_point_is_refused(cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(12)
    (run / json.loads(lines(run)[6])["state"]).unlink()
    assert "line 7 of" in refused(command, run)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ({"kind": "header", "schema": 3, "made_by": "spinodal"}, "has schema 3"),
        ({"kind": "header", "schema": 2, "made_by": "another"}, "not a journal of this program"),
        ({"hello": "world"}, "not a journal of this program"),
    ],
)
def test_a_foreign_or_newer_journal_is_refused(
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    header: dict[str, Any],
    text: str,
) -> None:
    run = cut(12)
    (run / "journal.jsonl").write_bytes(json.dumps(header).encode() + b"\n" + b"".join(lines(run)[1:]))
    assert text in refused(command, run)


@pytest.mark.parametrize(
    "more",
    [["--seed", "1"], ["--set", "noise=0.2"], ["--solver", "lbfgs"], ["--beta", "0.1:0.5"], ["--set", "hidden=3,4"]],
    ids=lambda more: " ".join(more),
)
def test_other_settings_are_refused(cut: Callable[[int], Path], command: Command, more: list[str]) -> None:  # noqa: F811
    text = refused(command, cut(11), *more)
    assert "holds another run" in text
    assert more[1].split("=")[0] in text or more[0].strip("-") in text


def test_a_finished_run_resumes_without_computing(undisturbed: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    assert command(*LINE, str(run), "--resume", "--json", str(tmp_path / "again.json")).code == 0
    for name in ("journal.jsonl", "result.json", "result.nc", "provenance.json", "config.toml"):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert (tmp_path / "again.json").read_bytes() == (undisturbed / "result.json").read_bytes()


def test_an_unfinished_run_is_shown_as_such_and_left_alone(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
) -> None:
    run = cut(11)
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind": "poi')  # another process may be writing this very line
    before = (run / "journal.jsonl").read_bytes()
    done = command("show", str(run), "--json", "shown.json")
    assert (done.code, done.err) == (0, "")
    assert "This run is unfinished. Missing: the walk beyond beta = " in done.out
    assert "go on with spinodal map gaussian --set activation=linear " in done.out
    assert f"--resume --out {run})" in done.out
    assert (run / "journal.jsonl").read_bytes() == before
    assert not (run / "result.json").exists()
    shown, whole = json.loads(Path("shown.json").read_text()), result(undisturbed)
    assert (shown["run_status"], whole["run_status"]) == ("unfinished", "complete")
    assert shown["followed"] == whole["followed"][: len(shown["followed"])]
    assert len(shown["followed"]) > 2


def alike(transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return transitions without what depends on all of a phase, which may not be walked to its end yet."""
    return [{**item, "lost_classes": None} for item in transitions]


@pytest.mark.parametrize("count", [8, 14, 20, 30, -1])
def test_an_unfinished_run_has_the_transitions_that_it_met(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    count: int,
) -> None:
    run, whole = cut(count), result(undisturbed)
    diagram, journal = sp.load(run), lines(run)
    met = sum(b'"key": "transition ' in line for line in journal)
    found = json.loads(json.dumps(diagram.to_dict()))["transitions"]
    assert alike(found) == alike(whole["transitions"][:met])
    if count == -1:
        assert met == len(whole["transitions"]) > 1
    shown = [point.index for point in diagram.points]
    places = [whole["followed"].index(index) for index in shown if index in whole["followed"]]
    assert places == sorted(places)  # on the branch that the whole walk followed, of which its bracketing keeps other points
    assert {index for item in found for index in item["points"]} <= set(shown)
    betas = [point.beta for point in diagram.points]
    assert betas == sorted(betas)
    assert [point.beta for point in diagram.points] == sorted(point.beta for point in diagram.points)
    assert command("report", str(run)).code == 0
    assert "unfinished" in (run / "report.html").read_text()
    assert not (run / "result.json").exists()


def test_a_run_just_begun_is_shown_as_such_and_left_alone(undisturbed: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(undisturbed / "config.toml", run)
    done = command("show", str(run))
    assert (done.code, done.out) == (2, "")
    assert "is not finished: 0 points so far; " in done.err
    assert "go on with spinodal map gaussian --set " in done.err
    assert " --set activation=linear " in done.err
    assert f" --bracket 0.001 --dtype float64 --device cpu --resume --out {run}" in done.err
    assert [path.name for path in run.iterdir()] == ["config.toml"]


def test_two_processes_cannot_write_one_run(cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(11)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(run)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        assert "another process is at work on the run in" in refused(command, run)
        assert "unfinished" in command("show", str(run)).out  # reading needs no lock
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with RunFolder(run, tomllib.loads((run / "config.toml").read_text()), resume=True) as folder:
        assert folder.journal.count == sum(b'"kind": "point"' in line for line in lines(run)) > 3
    with pytest.raises(SpinodalError, match="already holds a run"):
        RunFolder(run, folder.config)
    RunFolder(run, folder.config, resume=True).close()  # nor does a refusal keep it locked


HOLDER = """
import sys, time, tomllib
from pathlib import Path
from spinodal.store import RunFolder
run = Path(sys.argv[1])
with RunFolder(run, tomllib.loads((run / "config.toml").read_text()), resume=True):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_full_disk_ends_a_run_that_can_be_resumed(undisturbed: Path, tmp_path: Path, command: Command) -> None:  # noqa: F811
    run, most = tmp_path / "run", 3 * (undisturbed / "journal.jsonl").stat().st_size // 4
    limited = [sys.executable, "-c", LIMITED, str(most), *LINE, str(run)]
    done = subprocess.run(limited, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: .*journal\.jsonl cannot be written: .*; .*--resume.*\n", done.stderr)
    assert not (run / "result.json").exists()
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


LIMITED = """
import resource, sys
from spinodal import cli
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # no file may be longer: as on a disk that is full
cli.main()
"""


@pytest.mark.parametrize("where", ["states/000003.safetensors", "result.json", "result.nc", "figures"])
def test_a_place_that_cannot_be_written_ends_a_run_that_can_be_resumed(
    undisturbed: Path,
    cut: Callable[[int], Path],
    command: Command,  # noqa: F811
    where: str,
) -> None:
    run = cut(-2) if where != "states/000003.safetensors" else cut(4)
    place = run / where
    if where == "figures":
        place.write_text("a file in place of a folder")
    else:
        place.unlink(missing_ok=True)
        place.mkdir()
    done = command(*LINE, str(run), "--resume")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"{where} cannot be written" in done.err
    place.unlink() if where == "figures" else place.rmdir()
    assert command(*LINE, str(run), "--resume").code == 0
    assert result(run) == result(undisturbed)


def test_seconds_add_up_over_the_processes_of_a_run(cut: Callable[[int], Path], command: Command) -> None:  # noqa: F811
    run = cut(-2)
    spent = max(json.loads(line).get("elapsed", 0.0) for line in lines(run))
    command(*LINE, str(run), "--resume")
    assert json.loads((run / "result.json").read_text())["stats"]["seconds"] > spent


UNSEEDED = """
import torch
from torch import nn
from spinodal import Task

def task():
    generator = torch.Generator()
    generator.seed()  # by the system: the global generator is seeded before a task is made
    x = torch.randn(30, 3, dtype=torch.float64, generator=generator)
    model = nn.Sequential(nn.Linear(3, 2, bias=False)).double()
    return Task(model, lambda model, b: (model(b[0]) - b[0][:, :2]).square().sum(1).mean(), (x,))
"""


def test_a_run_is_not_resumed_on_other_data_though_its_settings_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(UNSEEDED)
    words = ["map", "own.py:task", "--beta", "0.1:0.2", "--starts", "1", "--out", "run", "--quiet"]
    line = [BINARY, *words]
    assert subprocess.run(line, cwd=tmp_path, check=False).returncode == 0
    again = subprocess.run([*line, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "E at the first random start is" in again.stderr
