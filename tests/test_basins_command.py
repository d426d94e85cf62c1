"""`spinodal basins`: a run folder of shares, beside a map or alone, shown, resumed and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import spinodal as sp
from spinodal.store import RunFolder
from test_cli import Command, command  # noqa: F401 - the fixture

DEEP = {"activation": "linear", "hidden": (2, 2), "inputs": 2, "outputs": 2, "singular_values": (0.9, 0.5), "samples": 20}
TASK = ["gaussian", *(f"--set={key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in DEEP.items())]
COUNT = [*TASK, "--at", "0.1,0.12", "--starts", "4", "--learning-rate", "0.25", "--threads", "1"]


def write_map(place: Path, low: float) -> Path:
    """Write the run of a map that begins beyond the end of the mode of .5, which starts at lower beta keep."""
    task = sp.tasks.gaussian(**DEEP)  # type: ignore[arg-type]
    with RunFolder(place, {"task": {"name": "gaussian", **task.settings}, "map": {}}) as folder:
        folder.save(sp.map_phases(task, beta=(low, 0.5), starts=1, bracket=1e-3, recorder=folder.journal))
    return place


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_map(tmp_path_factory.mktemp("maps") / "map", 0.25)


def test_a_run_beside_a_map_has_its_phases_and_those_of_starts(command: Command, mapped: Path) -> None:  # noqa: F811
    journal = (mapped / "journal.jsonl").read_bytes()
    done = command("basins", *COUNT, "--map", str(mapped), "--out", "runs/beside", "--json", "shares.json")
    assert (done.code, done.err) == (0, "")
    for text in ("Shares of gaussian", "Phases", "starts only", "beta = 0.1: training 4 starts", "run folder: runs/beside"):
        assert text in done.out, text
    names = {path.name for path in Path("runs/beside").iterdir()}
    assert {"config.toml", "journal.jsonl", "shares.json", "shares.nc", "report.html", "figures", "provenance.json"} <= names
    assert {path.name for path in Path("runs/beside/figures").iterdir()} == {"shares.png", "shares.pdf"}
    found = json.loads(Path("shares.json").read_text())
    assert found == json.loads(Path("runs/beside/shares.json").read_text())
    assert [phase["id"] for phase in found["phases"] if phase["new"]] == [2]

    shown = command("show", "runs/beside")
    assert shown.out.strip() in done.out
    whole, alone = sp.load("runs/beside"), sp.load(mapped)
    assert [phase.id for phase in whole.phases] == [0, 1, 2]
    assert whole.to_dict()["phases"][:2] == alone.to_dict()["phases"]
    state = whole.at_point(whole.phases[2].points[0].index).state_dict()
    assert state.keys() == alone.at(0.1).state_dict().keys()
    assert (mapped / "journal.jsonl").read_bytes() == journal

    Path("runs/beside/report.html").unlink()
    assert command("report", "runs/beside").code == 0
    assert '<section id="shares">' in Path("runs/beside/report.html").read_text()


def test_a_run_that_is_cut_is_gone_on_with_to_the_same_bytes(command: Command) -> None:  # noqa: F811
    assert command("basins", *COUNT, "--out", "whole").code == 0
    wanted = Path("whole/shares.json").read_bytes()
    lines = Path("whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    Path("whole/journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 3]))
    Path("whole/shares.json").unlink()
    cut = command("show", "whole")
    assert cut.code == 2
    assert "is not finished" in cut.err
    assert "go on with spinodal basins gaussian" in cut.err
    assert "--at 0.1,0.12 --starts 4 --learning-rate 0.25 --threads 1 --resume --out whole" in cut.err
    assert command("basins", *COUNT, "--out", "whole", "--resume").code == 0
    assert Path("whole/shares.json").read_bytes() == wanted
    assert Path("whole/report.html").exists()
    assert "holds shares of basins, and no map" in command("export", "whole", "model.safetensors", "--at-beta", "0.1").err


def test_bad_input_is_refused_in_one_line(command: Command, mapped: Path) -> None:  # noqa: F811
    for words, text in (
        (["--at", "a,b"], "values of beta with commas between are allowed"),
        (["--at", "0.1", "--training", "adam"], "unknown training 'adam'"),
        (["--at", "0.1", "--starts", "0"], "starts = 0"),
        (["--at", "0.1", "--training", "lbfgs", "--learning-rate", "0.1"], "a learning rate is that of gradient descent"),
        (["--at", "0.1", "--map", "nowhere"], "no run in nowhere"),
        (["--at", "0.1", "--map", str(mapped), "--set", "singular_values=0.8,0.5"], "a map of the same task"),
        (["--at", "0.1", "--map", str(mapped), "--set", "hidden=3,3"], "does not fit this run"),
        ([], "--at"),
    ):
        done = command("basins", *TASK, *words, "--out", "none")
        assert done.code == 2, words
        assert text in done.err, (text, done.err)
        assert done.err.count("\n") == 1
    assert not Path("none").exists() or not list(Path("none").glob("shares.json"))


def test_another_map_in_its_place_is_refused(command: Command, mapped: Path) -> None:  # noqa: F811
    shutil.copytree(mapped, "map")
    words = [*TASK, "--at", "0.3", "--starts", "1", "--training", "lbfgs", "--map", "map", "--out", "beside", "--quiet"]
    assert command("basins", *words).code == 0
    Path("map").rename("gone")
    assert "the map of beside is not in map" in command("show", "beside").err
    write_map(Path("map"), 0.3)
    for again in (command("show", "beside"), command("basins", *words, "--resume")):
        assert "is another one than when that run began" in again.err
