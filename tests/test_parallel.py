"""Work that is shared out: the same result for any number of workers, whatever becomes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import spinodal as sp
from small_run import lines, mixed
from spinodal.errors import SpinodalError
from spinodal.parallel import Crew, worker_pool
from spinodal.store import RunFolder
from spinodal.sweeps.memory import Memory

SETTINGS = {"activation": "linear", "inputs": 1, "outputs": 1, "hidden": [1, 1], "bias": False, "singular_values": [0.9]}
OPTIONS: dict[str, Any] = {"beta": (0.1, 0.6), "starts": 2, "bracket": 1e-3, "direction": "loop", "curvature": True}
BINARY = str(Path(sys.executable).with_name("spinodal"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def task() -> sp.Task:
    return sp.tasks.gaussian(**SETTINGS, samples=20)


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the time it took."""
    return {**json.loads(json.dumps(result)), "stats": {**result["stats"], "seconds": 0.0}}


def mapped(path: Path, executor: Executor | None = None) -> dict[str, Any]:
    """Map into a folder, or go on there, and return what result.json holds."""
    settings = {"task": {"name": "gaussian", **task().settings}, "map": {**OPTIONS, "beta": list(OPTIONS["beta"])}}
    with RunFolder(path, settings, resume=True) as folder:
        folder.save(sp.map_phases(task(), recorder=folder.journal, executor=executor, **OPTIONS))
    return lasting(json.loads((path / "result.json").read_text()))


class Here(Executor):
    """Computes at once, and counts what it is given; as if a worker died with the last call that it can do."""

    def __init__(self, calls: int = 10**9) -> None:
        self.calls, self.functions = calls, []

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.functions.append(arguments[3].__name__)
        self.calls -= 1
        if self.calls < 0:
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(function(*arguments, **named))
        return future


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    result = mapped(tmp_path_factory.mktemp("alone") / "run")
    assert result["missing"] == []
    assert result["loop"] is not None
    assert result["branches"]
    return result


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shared") / "run"
    with worker_pool(2) as executor:
        assert isinstance(executor, ProcessPoolExecutor)
        mapped(path, executor)
    return path


def test_two_workers_give_the_result_of_one_bit_for_bit(alone: dict[str, Any], shared: Path) -> None:
    assert lasting(json.loads((shared / "result.json").read_text())) == alone
    assert lasting(sp.load(shared).to_dict()) == alone
    ahead = [line for line in lines(shared) if line["kind"] == "number"]
    assert len(ahead) > 3  # points that workers made, and the map then came to


def test_everything_that_is_independent_is_given_to_workers(alone: dict[str, Any], tmp_path: Path) -> None:
    executor = Here()
    assert mapped(tmp_path / "run", executor) == alone
    assert {"search", "descended", "followed", "noted_ahead"} <= set(executor.functions)
    again = Here()
    assert mapped(tmp_path / "run", again) == alone
    assert set(again.functions) <= {"search", "_nothing"}  # a finished run asks for none of it again


def test_a_pool_of_threads_gives_the_result_of_one_worker(alone: dict[str, Any], tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        assert mapped(tmp_path / "run", executor) == alone


def test_without_a_run_folder_it_is_the_same(alone: dict[str, Any]) -> None:
    assert lasting(sp.map_phases(task(), executor=Here(), **OPTIONS).to_dict()) == alone


@pytest.mark.parametrize("calls", [2, 4, 7])
def test_what_a_dead_worker_left_undone_is_done_by_who_asked(alone: dict[str, Any], tmp_path: Path, calls: int) -> None:
    with pytest.warns(RuntimeWarning, match="a worker ended before its work was done"):
        assert mapped(tmp_path / "run", Here(calls)) == alone


def test_a_run_begun_by_two_workers_is_gone_on_with_by_one_from_anywhere(
    alone: dict[str, Any], shared: Path, tmp_path: Path
) -> None:
    whole = (shared / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in (len(whole) // 2, len(whole) - 3):
        run = tmp_path / str(count)
        run.mkdir()
        (run / "states").symlink_to(shared / "states")
        (run / "journal.jsonl").write_bytes(b"".join(whole[:count]))
        (run / "config.toml").write_bytes((shared / "config.toml").read_bytes())
        assert mapped(run) == alone


# -- crews --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """A problem that is a number."""

    start: int
    threads: int = 1
    token: str = "numbers"

    def open(self) -> int:
        if self.start < 0:
            message = f"no number below 0: {self.start}"
            raise ValueError(message)
        return self.start


def plus(start: int, job: int) -> int:
    return start + job


def fails_beyond(start: int, job: int) -> int:
    if job > 1:
        raise LookupError(job)
    return start + job


def dies_beyond(start: int, job: int) -> int:
    if job > 1:
        os._exit(1)
    return start + job


def process(_: int, __: int) -> int:
    return os.getpid()


@pytest.fixture(scope="module")
def pool() -> Any:
    with worker_pool(2) as executor:
        yield executor


def test_results_have_the_numbers_of_their_jobs(pool: Executor) -> None:
    crew: Crew[int] = Crew(pool, Numbers(10))
    assert dict(crew.results(plus, [5, 6, 7])) == {0: 15, 1: 16, 2: 17}
    assert os.getpid() not in dict(crew.results(process, [0])).values()


def test_a_job_that_fails_is_left_out(pool: Executor) -> None:
    assert dict(Crew(pool, Numbers(10)).results(fails_beyond, [1, 2, 1])) == {0: 11, 2: 11}


def test_a_crew_of_none_does_nothing() -> None:
    assert Crew[int]().is_alone
    assert list(Crew[int]().results(plus, [1, 2])) == []


def test_a_worker_that_dies_leaves_the_rest_to_who_asked() -> None:
    with worker_pool(2) as executor:
        crew: Crew[int] = Crew(executor, Numbers(10))
        with pytest.warns(RuntimeWarning, match=r"BrokenProcessPool\); the rest is computed by this process alone"):
            found = dict(crew.results(dies_beyond, [0, 1, 2]))
        assert found.items() <= {0: 10, 1: 11}.items()
        assert crew.is_alone
        assert list(crew.results(plus, [1])) == []


def test_a_problem_that_no_worker_can_open_is_refused(pool: Executor) -> None:
    crew: Crew[int] = Crew(pool, Numbers(-1, token="another"))
    with pytest.raises(SpinodalError, match=r"cannot open the task \(ValueError: no number below 0: -1\); .*; .*workers=1"):
        list(crew.results(plus, [1]))


def test_a_task_that_cannot_be_sent_is_refused_in_three_parts() -> None:
    line = nn.Linear(2, 2)
    x = torch.eye(2)
    own = sp.Task(line, lambda model, batch: (model(batch[0]) - 1).square().mean(), (x,))
    with pytest.raises(SpinodalError, match=r"a task that cannot be sent .*lambda.*; tasks by name, .*; .*or use workers=1"):
        sp.map_phases(own, beta=(0.1, 0.2), workers=2)


def test_a_task_made_of_functions_of_a_file_can_be_sent(pool: Executor) -> None:
    from spinodal.mapping.options import MapOptions
    from spinodal.mapping.preparing import prepare
    from spinodal.mapping.workplace import Workplace, problem_of

    made, options = mixed(torch.float64), MapOptions(beta=(5e-3, 6e-3), starts=1)
    made.observables.clear()  # a lambda
    problem = problem_of(made, options, prepare(made, options), "auto")
    theta = problem.landscape.vector(made.initial(0))
    found = dict(Crew(pool, Workplace.of(problem, made, options)).results(value, [theta]))
    assert found == {0: problem.landscape.value(theta)}


def value(problem: Any, theta: torch.Tensor) -> float:
    return float(problem.landscape.value(theta))


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_a_number_of_workers_that_is_none_is_refused(workers: Any) -> None:
    with pytest.raises(SpinodalError, match="workers"), worker_pool(workers):
        pass


def test_what_is_remembered_is_recalled() -> None:
    memory = Memory()
    assert not memory.knows("fact")
    assert memory.note("fact", lambda: {"value": 1}) == memory.note("fact", lambda: {"value": 2}) == {"value": 1}
    assert memory.knows("fact")
    assert memory.seconds(3.0) == 3.0


# -- the command line ----------------------------------------------------------------------------

OWN = """
import torch
from torch import nn
from spinodal import Task

def task():
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    return Task(model, lambda model, b: (model(b[0]) - b[0]).square().sum(1).mean(), (x,))
"""
LINE = ["map", "own.py:task", "--starts", "2", "--bracket", "1e-3", "--direction", "loop", "--curvature", "--quiet"]


def own(tmp_path: Path, out: str, *more: str) -> subprocess.Popen[bytes]:
    """Begin a map of a task of one's own, whose loss has no name, in a session of its own."""
    (tmp_path / "own.py").write_text(OWN)
    words = [BINARY, *LINE, "--out", out, "--resume", *more]
    return subprocess.Popen(
        words, env=ENVIRONMENT, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, preexec_fn=_hears_interrupts
    )


def _hears_interrupts() -> None:
    """Let a process hear Ctrl-C, which what a shell runs in the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def family(leader: int) -> list[int]:
    """Return the processes of a session that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at the processes of Linux")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "a kill"])
def test_workers_end_with_the_run_which_can_be_gone_on_with(tmp_path: Path, stop: signal.Signals) -> None:
    whole = own(tmp_path, "whole")
    begun = own(tmp_path, "begun", "--workers", "2")
    limit = time.monotonic() + 100
    journal = tmp_path / "begun" / "journal.jsonl"
    while time.monotonic() < limit and not (journal.exists() and b'"walk"' in journal.read_bytes()):
        time.sleep(0.005)
    assert len(family(begun.pid)) >= 3  # with its two workers
    os.killpg(begun.pid, stop) if stop == signal.SIGINT else begun.send_signal(stop)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    assert stop == signal.SIGKILL or err == b""  # after a kill, Python may tell that it cleans up
    while family(begun.pid) and time.monotonic() < limit:
        time.sleep(0.05)
    assert family(begun.pid) == []
    for process_of in (whole, own(tmp_path, "begun", "--workers", "1")):
        _, err = process_of.communicate(timeout=100)
        assert (process_of.returncode, err) == (0, b"")
    first, second = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "begun"))
    assert lasting(first) == lasting(second)


PROGRAM = """
import spinodal as sp
task = sp.tasks.gaussian(hidden=(2,), samples=10)
sp.map_phases(task, beta=(0.1, 0.2), workers=2)
"""


def test_a_program_that_begins_its_work_when_it_is_imported_is_told_how_to_begin(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, "program.py"]
    done = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "workers cannot start (BrokenProcessPool); a program whose work begins under" in done.stderr
    assert 'put the call under `if __name__ == "__main__":`; or leave executor out, or use workers=1' in done.stderr
