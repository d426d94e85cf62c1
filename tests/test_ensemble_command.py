"""`spinodal map TASK --seeds`: ordinary runs, made by any number of workers, some of which are lost; and runs compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from small_run import digests
from spinodal import cli
from spinodal.commands import cluster
from spinodal.store import RunFolder
from test_cli import Command, command  # noqa: F401 - the fixture
from test_ensemble import Elsewhere
from test_parallel import lasting

TASK = ["gaussian", "--set", "activation=linear", "--set", "hidden=1", "--set", "inputs=1", "--set", "outputs=1"]
TASK += ["--set", "singular_values=0.9", "--set", "bias=false", "--set", "samples=9"]
OPTIONS = ["--starts", "1", "--beta", "0.5:1.0", "--bracket", "1e-3"]
LINE = ["map", *TASK, *OPTIONS, "--seeds", "0,4"]
RUNS = ("seed-0", "seed-4")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two maps, made one after the other by this process."""
    folder = tmp_path_factory.mktemp("ensemble")
    with pytest.MonkeyPatch.context() as there, redirect_stdout(StringIO()) as out:
        there.chdir(folder)
        there.setattr(sys, "argv", ["spinodal", *LINE, "--out", "both"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert stopped.value.code in (0, None)
    assert "seed-4 (2 of 2): 1 transition" in out.getvalue()
    assert "2 of 2" in out.getvalue().split("Transitions of gaussian over 2 maps")[1]
    return folder / "both"


def kill_who_writes(journal: Path, points: int) -> None:
    """Kill the process, other than this one, that holds a journal, once it has so many points."""
    limit = time.monotonic() + 300
    while time.monotonic() < limit:
        begun = journal.exists() and journal.read_bytes().count(b'"point"') >= points
        for place in Path("/proc").glob("[0-9]*/fd/*") if begun else ():
            with suppress(OSError):
                if os.readlink(place) == str(journal) and int(place.parts[2]) != os.getpid():
                    os.kill(int(place.parts[2]), signal.SIGKILL)
                    return
        time.sleep(0.01)


def results(folder: Path) -> list[dict[str, Any]]:
    return [lasting(json.loads((folder / run / "result.json").read_text())) for run in RUNS]


def shared(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "ensemble.json").read_text())["transitions"]
    return found


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at the processes of Linux")


@linux
def test_a_worker_that_is_killed_loses_nothing_and_changes_nothing(command: Command, whole: Path) -> None:  # noqa: F811
    shutil.copytree(whole / "seed-0", "both/seed-0")
    killer = Thread(target=kill_who_writes, args=(Path("both/seed-4/journal.jsonl").absolute(), 3))
    killer.start()
    done = command(*LINE, "--workers", "2", "--out", "both", "--resume", "--json", "ensemble.json")
    killer.join()
    assert (done.code, done.err) == (0, "")
    assert "a worker ended before its work was done (BrokenProcessPool); what is left is begun anew" in done.out
    assert results(Path("both")) == results(whole)
    assert shared(Path("both")) == shared(whole) == json.loads(Path("ensemble.json").read_text())["transitions"]
    assert [item["met"] for item in shared(whole)] == [2]


def test_what_is_finished_is_left_and_what_was_cut_goes_on_with_the_workers_of_a_scheduler(
    command: Command,  # noqa: F811
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Cluster))
    monkeypatch.setattr(cluster, "_answers", answered)
    shutil.copytree(whole, "both")
    cut = Path("both/seed-4")
    lines = (cut / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    for name in ("result.json", "result.nc", "report.html"):
        (cut / name).unlink()
    kept = digests(Path("both/seed-0"))
    assert command(*LINE, "--out", "both").err.startswith("error: both/seed-0 already holds a run")
    assert "holds another run (map.starts" in command(*LINE, "--starts", "2", "--out", "both", "--resume").err
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        done = command(*LINE, "--out", "both", "--resume", "--scheduler", address)
    assert (done.code, done.err) == (0, "")
    assert f"1 worker at {address}" in done.out
    assert "1 of 2 maps are finished already" in done.out
    assert results(Path("both")) == results(whole)
    assert shared(Path("both")) == shared(whole)
    assert digests(Path("both/seed-0")) == kept


def test_members_are_ordinary_runs_and_all_of_them_are_shown_together(command: Command, whole: Path) -> None:  # noqa: F811
    shutil.copytree(whole, "both")
    one = command("show", "both/seed-4")
    assert (one.code, "seed 4" in one.out) == (0, True)
    assert RunFolder(Path("both/seed-4")).command.endswith("--seed 4 --resume --out both/seed-4")
    both = command("show", "both")
    assert (both.code, "Transitions of gaussian over 2 maps" in both.out) == (0, True)
    assert command("hierarchy", "both", "--out", "tree", "--quiet").code == 0
    assert json.loads(Path("tree/hierarchy.json").read_text())["seeds"] == [0, 4]
    assert "both/seed-0 holds a run of one map" in command(*LINE, "--out", "both/seed-0", "--resume").err
    assert {path.name for path in Path("both/figures").iterdir()} == {"ensemble.png", "ensemble.pdf"}


def test_any_number_of_runs_is_compared(command: Command, whole: Path) -> None:  # noqa: F811
    shutil.copytree(whole / "seed-0", "third")
    done = command("compare", str(whole), "third", "--json", "found.json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(Path("found.json").read_text())
    assert [member["name"] for member in found["members"]] == ["seed-0", "seed-4", "third"]
    assert [(item["met"], item["of"]) for item in found["transitions"]] == [(3, 3)]
    assert Path("third/figures/comparison.png").exists()
    assert "one run, third; two runs or more are allowed" in command("compare", "third").err


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--seeds", "0:2", "--seed", "3"], "--seeds together with --seed"),
        (["--seeds", "0:2", "--at-weight-decay", "0.1"], "--seeds together with --start or --at-weight-decay"),
        (["--seeds", "0"], "two or more different seeds"),
        (["--scheduler", "tcp://a:1"], "--scheduler without --seeds"),
        (["--seeds", "0:2", "--set", "hidden=0"], "hidden"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_written(command: Command, words: list[str], text: str) -> None:  # noqa: F811
    done = command("map", *TASK, *OPTIONS, *words)
    assert done.code == 2
    assert text in done.err
    assert done.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_member_that_cannot_be_written_is_told_and_costs_no_other(command: Command, whole: Path) -> None:  # noqa: F811
    shutil.copytree(whole / "seed-0", "both/seed-0")
    Path("both/seed-4").write_text("in the way")
    done = command(*LINE, "--out", "both", "--resume")
    assert done.code == 2
    assert done.err.startswith("error: 1 of 2 maps missing: the map of seed-4 (both/seed-4 exists and is not a run folder")
    assert done.err.rstrip().endswith("mend that, and go on with --resume --out both")
    assert json.loads(Path("both/ensemble.json").read_text())["missing"][0]["what"] == "the map of seed-4"


# -- a scheduler ----------------------------------------------------------------------------------


async def answered(distributed: Any, address: str) -> None:
    """Stand in for the question who a scheduler is."""


class Cluster:
    """Stands in for dask's client: a scheduler that answers, and workers that compute at once."""

    def __init__(self, address: str, timeout: float, set_as_default: bool) -> None:
        host, port = address.removeprefix("tcp://").split(":")
        socket.create_connection((host, int(port)), timeout).close()
        self.is_open = True

    def nthreads(self) -> dict[str, int]:
        return {"tcp://worker:1": 1}

    def get_executor(self) -> Elsewhere:
        return Elsewhere({})

    def close(self) -> None:
        self.is_open = False


def test_an_address_that_nobody_answers_is_refused_in_one_line(command: Command) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    done = command(*LINE, "--scheduler", address)
    assert done.code == 2
    assert done.err.startswith(f"error: nobody answers at {address} (")
    assert done.err.count("\n") == 1
    assert not Path("runs").exists()


def test_without_dask_the_extra_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = command(*LINE, "--scheduler", "tcp://127.0.0.1:8786")
    assert done.code == 2
    assert "pip install 'spinodal[cluster]'; or leave --scheduler out" in done.err
