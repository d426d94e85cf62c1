"""A hostile environment: full disks, closed streams, narrow terminals, clocks that jump, folders that go away."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hard_inputs.base_run import LINE, RESUME, expected, finished, lasting, place_finished, place_midway, records
from hard_inputs.case import complaint_about
from hard_inputs.program import Outcome, run
from spinodal.store import Journal

SLOW = pytest.mark.slow


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(Path(__file__).with_name("server.py"))]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    yield process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.fixture
def ask(server: subprocess.Popen[str], tmp_path: Path) -> Ask:
    """Return a function that runs the program in a process of its own, with the streams and limits given."""

    def put(
        *arguments: str, environment: dict[str, str] | None = None, limits: dict[str, int] | None = None, **more: Any
    ) -> Answer:
        out, err = tmp_path / "stdout", tmp_path / "stderr"
        streams = {"stdout": str(out), "stderr": str(err)} | more.pop("streams", {})
        request = {"arguments": arguments, "folder": str(tmp_path), "environment": environment or {}, "streams": streams}
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({**request, "limits": limits or {}, **more}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        texts = [path.read_text() if path.exists() else "" for path in (out, err)]
        for path in (out, err):
            path.unlink(missing_ok=True)
        return Answer(code, *texts)

    return put


QUICK = [*LINE, "--quiet"]


def refused(done: Answer | Outcome) -> str:
    assert (done.code, complaint_about(done.err)) == (2, None), done
    return done.err


def complete(folder: Path) -> None:
    """Check that the run in a folder is the undisturbed one."""
    assert json.dumps(lasting(json.loads((folder / "out" / "result.json").read_text()))) == expected()
    assert records(folder / "out") == records(finished())
    assert not list((folder / "out").rglob("*.part"))


# -- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["show", "out"], ["show", "out", "--json", "-"], ["tasks"], ["theory"], ["--help"]])
def test_standard_output_on_a_full_disk_is_refused(ask: Ask, tmp_path: Path, arguments: list[str]) -> None:
    place_finished(tmp_path)
    done = ask(*arguments, streams={"stdout": "/dev/full"})
    *tables, last = done.err.splitlines(keepends=True)
    assert bool(tables) == ("--json" in arguments)  # which are for people, who look at standard error then
    assert "standard output cannot be written: No space left on device" in refused(Answer(done.code, done.out, last))


@pytest.mark.parametrize("arguments", [["show", "out"], ["show", "out", "--json", "-"], ["tasks"], ["theory"], ["--help"]])
def test_a_reader_that_goes_away_is_no_error_to_speak_of(ask: Ask, tmp_path: Path, arguments: list[str]) -> None:
    place_finished(tmp_path)
    done = ask(*arguments, streams={"stdout": "broken"})
    assert (done.code, done.err) == (1, "")


@pytest.mark.parametrize(
    "closed", [pytest.param(("stdin",), marks=SLOW), pytest.param(("stdout",), marks=SLOW), ("stdin", "stdout", "stderr")]
)
def test_closed_streams_do_not_stop_a_map(ask: Ask, tmp_path: Path, closed: tuple[str, ...]) -> None:
    assert ask(*LINE, streams=dict.fromkeys(closed, "closed")).code == 0
    complete(tmp_path)
    assert ask("map", "gausian", streams=dict.fromkeys(closed, "closed")).code == 2


TERMINALS: list[dict[str, str]] = [
    {"TERM": "dumb"}, {"TERM": ""}, {"TERM": "nonsense"}, {"COLUMNS": "1"}, {"COLUMNS": "10"}, {"COLUMNS": "0"},
    {"COLUMNS": "many"},
    {"COLUMNS": "100000"}, {"LINES": "0"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "LANG": "C"}, {"LC_ALL": "xx_YY"}, {"TZ": "nowhere"}, {"HOME": "/nowhere"},
]  # fmt: skip
WORST: list[dict[str, str]] = [{"COLUMNS": "1"}, {"PYTHONIOENCODING": "ascii"}]
OTHER_VERBS = [["tasks"], ["theory"], ["map", "--help"], ["show", "nowhere-\u2192"]]


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [
        *((environment, ["show", "out"]) for environment in TERMINALS),
        *((environment, arguments) for environment in WORST for arguments in OTHER_VERBS),
    ],
    ids=str,
)
def test_any_terminal_will_do(ask: Ask, tmp_path: Path, environment: dict[str, str], arguments: list[str]) -> None:
    place_finished(tmp_path)
    done = ask(*arguments, environment=environment)
    if arguments[-1].startswith("nowhere"):
        refused(done)
    else:
        assert (done.code, done.err) == (0, "")
        assert done.out


@pytest.mark.parametrize("name", ["r\u00fcn\u2192 a b", "r\udcffn $(x)"])
def test_a_folder_of_any_name_is_mapped_and_shown(ask: Ask, tmp_path: Path, name: str) -> None:
    place_finished(tmp_path)
    (tmp_path / "out").rename(tmp_path / name)
    assert ask(*LINE[:-1], name, "--resume", environment={"PYTHONIOENCODING": "ascii"}).code == 0
    for coding in ("ascii", "latin-1", "utf-8"):
        assert ask("show", name, environment={"PYTHONIOENCODING": coding}).code == 0


def test_a_working_folder_that_is_gone_is_refused(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    refused(ask(*QUICK, folder=str(tmp_path / "gone"), gone=True))


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1000, 8000, 20_000])
def test_files_that_may_not_grow_end_a_run_that_can_be_resumed(ask: Ask, tmp_path: Path, most: int) -> None:
    done = ask(*QUICK, limits={"RLIMIT_FSIZE": most}, streams={"stderr": "/dev/null"})
    assert done.code in (0, 2)
    assert ask(*QUICK, "--resume").code == 0
    complete(tmp_path)


def test_few_open_files_are_enough(ask: Ask, tmp_path: Path) -> None:
    place_midway(tmp_path)
    done = ask(*QUICK, "--resume", limits={"RLIMIT_NOFILE": 20})
    assert (done.code, done.err) == (0, "")
    complete(tmp_path)


# -- every single write ------------------------------------------------------------------------

CALLS = {"fsync": os.fsync, "replace": os.replace, "open": os.open}
ERRORS = {
    "ENOSPC": "No space left on device",
    "EIO": "Input/output error",
    "EROFS": "Read-only file system",
    "EACCES": "Permission denied",
}


class Failing:
    """A call of the operating system that fails once, at a given count."""

    def __init__(self, name: str, count: int, code: int) -> None:
        self.plain, self.left, self.code, self.failed = CALLS[name], count, code, False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.failed = True
            raise OSError(self.code, os.strerror(self.code))
        return self.plain(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "every"),
    [("fsync", 5), ("replace", 2), *(pytest.param(name, 1, marks=pytest.mark.slow) for name in ("fsync", "replace"))],
)
def test_a_disk_that_fails_at_any_write_ends_a_run_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, every: int
) -> None:
    failures = 0
    for count in range(1, 200, every):
        folder = tmp_path / str(count)
        folder.mkdir()
        error = sorted(ERRORS)[count % len(ERRORS)]
        call = Failing(name, count, getattr(errno, error))
        with monkeypatch.context() as patched:
            patched.setattr(os, name, call)
            done = run(QUICK, folder)
        if not call.failed:
            assert done.code == 0
            break
        failures += 1
        assert f"cannot be written: {ERRORS[error]}" in refused(done)
        again = run([*QUICK, "--resume"], folder)
        assert again.code == 0, again
        complete(folder)
        shutil.rmtree(folder)
    assert every * failures > 15  # one per point at least


def test_a_lock_that_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_midway(tmp_path)
    before = (tmp_path / "out" / "journal.jsonl").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", Failing("open", 1, errno.EROFS))
        assert "Read-only file system" in refused(run(RESUME, tmp_path))
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("at", [1, 4, 9])
@pytest.mark.parametrize("gone", ["out", "out/states", "out/journal.jsonl"])
def test_a_run_folder_that_goes_away_while_running_is_refused_or_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, gone: str
) -> None:
    plain = Journal.keep

    def keep(self: Journal, request: Any, point: Any) -> None:
        if point.index == at:
            path = tmp_path / gone
            path.unlink() if path.is_file() else shutil.rmtree(path)
        plain(self, request, point)

    monkeypatch.setattr(Journal, "keep", keep)
    text = refused(run(QUICK, tmp_path))
    assert "out" in text
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert run(QUICK, tmp_path).code == 0
    complete(tmp_path)


# -- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    plain, calls = time.time, 0

    def jumping() -> float:
        nonlocal calls
        calls += 1
        return plain() + calls * jump

    monkeypatch.setattr(time, "time", jumping)
    place_midway(tmp_path)
    for path in (tmp_path / "out").rglob("*"):
        os.utime(path, (0, 2**31 if jump > 0 else 0))
    assert run(RESUME, tmp_path).code == 0
    complete(tmp_path)
    assert 0 < json.loads((tmp_path / "out" / "result.json").read_text())["stats"]["seconds"] < 3600


# -- two at once -------------------------------------------------------------------------------


def test_two_maps_at_once_are_one_map_and_one_refusal(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "from spinodal.cli import main; main()", *QUICK]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pair = [subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [process.communicate(timeout=300)[1] for process in pair]
    assert sorted(process.returncode for process in pair) == [0, 2]
    assert complaint_about(max(texts, key=len)) is None
    assert any(text in max(texts, key=len) for text in ("another process is at work", "already holds a run"))
    complete(tmp_path)
