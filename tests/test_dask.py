"""An ensemble made by the workers of a dask scheduler, in processes of their own; and what becomes of it when they are lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from test_cli import Command, command  # noqa: F401 - the fixture
from test_ensemble_command import LINE, kill_who_writes, linux, results, shared, whole  # noqa: F401 - a fixture, too

distributed = pytest.importorskip("distributed")
pytestmark = linux

SERVE = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    workers, port = map(int, sys.argv[1:])
    cluster = LocalCluster(
        n_workers=workers, processes=True, threads_per_worker=1, dashboard_address=None, scheduler_port=port, silence_logs=50
    )
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
    cluster.close()
"""


class Served:
    """A scheduler and its workers, in a group of processes."""

    def __init__(self, script: Path, workers: int, port: int = 0) -> None:
        script.write_text(SERVE)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(workers), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End all of it at once, as when a machine is lost."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def tell(self, statements: str) -> None:
        """Let every worker execute statements."""
        with distributed.Client(self.address, set_as_default=False) as client:
            client.run(exec, statements, {})

    def close(self) -> None:
        self.process.communicate("")


@contextmanager
def served(folder: Path, workers: int, port: int = 0) -> Iterator[Served]:
    cluster = Served(folder / "serve.py", workers, port)
    try:
        yield cluster
    finally:
        if cluster.process.poll() is None:
            cluster.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Lend a scheduler with two workers of one thread each."""
    with served(tmp_path_factory.mktemp("two"), 2) as cluster:
        yield cluster


def only_second(whole: Path) -> None:  # noqa: F811
    """Leave one member to be mapped."""
    shutil.copytree(whole / "seed-0", "both/seed-0")


def found(folder: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return results(Path(folder)), shared(Path(folder))


def test_workers_without_the_package_are_refused_in_one_line(command: Command, two: Served) -> None:  # noqa: F811
    two.tell("import sys; sys.modules['spinodal'] = None")
    try:
        done = command(*LINE, "--out", "both", "--scheduler", two.address)
    finally:
        two.tell("import sys; del sys.modules['spinodal']")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("error: a worker cannot begin (")
    assert "spinodal" in done.err.split(";")[0]


def test_two_workers_make_the_same_ensemble_to_the_last_bit(command: Command, whole: Path, two: Served) -> None:  # noqa: F811
    done = command(*LINE, "--out", "both", "--scheduler", two.address)
    assert (done.code, done.err) == (0, "")
    assert f"2 workers at {two.address}" in done.out
    assert found("both") == (results(whole), shared(whole))


def test_a_worker_that_is_killed_at_any_instant_changes_nothing(command: Command, whole: Path, two: Served) -> None:  # noqa: F811
    only_second(whole)
    instant = random.Random(os.getpid()).randint(1, 8)
    killer = Thread(target=kill_who_writes, args=(Path("both/seed-4/journal.jsonl").absolute(), instant))
    killer.start()
    done = command(*LINE, "--out", "both", "--resume", "--scheduler", two.address)
    killer.join()
    assert (done.code, done.err) == (0, ""), instant
    assert found("both") == (results(whole), shared(whole)), instant


def test_workers_of_another_version_are_refused_in_one_line(command: Command, two: Served) -> None:  # noqa: F811
    two.tell("import spinodal.parallel as here; here.kept, here.VERSIONS = here.VERSIONS, ('spinodal 0.0.1', 'torch 2.0')")
    try:
        done = command(*LINE, "--out", "both", "--scheduler", two.address)
    finally:
        two.tell("import spinodal.parallel as here; here.VERSIONS = here.kept")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "spinodal 0.0.1 and torch 2.0 at a worker" in done.err


def test_a_full_disk_at_a_worker_costs_what_it_was_at(command: Command, whole: Path, two: Served) -> None:  # noqa: F811
    only_second(whole)
    most = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({}, r.getrlimit(r.RLIMIT_FSIZE)[1]))"  # no file may be longer
    two.tell(most.format(9000))
    try:
        done = command(*LINE, "--out", "both", "--resume", "--scheduler", two.address)
    finally:
        two.tell(most.format("r.getrlimit(r.RLIMIT_FSIZE)[1]"))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("error: 1 of 2 maps missing: the map of seed-4 (")
    assert "cannot be written: File too large" in done.err
    assert [path.name for path in Path("both").glob("seed-*/result.json")] == ["result.json"]
    again = command(*LINE, "--out", "both", "--resume", "--scheduler", two.address)
    assert (again.code, again.err) == (0, "")
    assert found("both") == (results(whole), shared(whole))


def test_a_scheduler_that_is_lost_and_begun_anew_changes_nothing(
    command: Command,  # noqa: F811
    whole: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    only_second(whole)
    with served(tmp_path, 1) as first:
        killer = Thread(target=kill_once_written, args=(first, Path("both/seed-4/journal.jsonl").absolute()))
        killer.start()
        lost = command(*LINE, "--out", "both", "--resume", "--scheduler", first.address)
        killer.join()
    assert (lost.code, lost.err.count("\n")) == (2, 1), lost.err
    assert "the map of seed-4 (it was cancelled: who shared out the work is gone)" in lost.err
    with served(tmp_path, 1, int(first.address.rpartition(":")[2])) as second:
        assert second.address == first.address
        done = command(*LINE, "--out", "both", "--resume", "--scheduler", second.address)
    assert (done.code, done.err) == (0, "")
    assert found("both") == (results(whole), shared(whole))


def kill_once_written(cluster: Served, journal: Path) -> None:
    """Kill a scheduler with its workers, once a point is in a journal."""
    while not journal.exists() or b'"point"' not in journal.read_bytes():
        pass
    cluster.kill()


def test_an_address_where_somebody_is_silent_or_that_is_none_is_refused(command: Command) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        lines = [command(*LINE, "--scheduler", silent).err]
    lines += [command(*LINE, "--scheduler", address).err for address in ("nonsense", "http://127.0.0.1:1")]
    assert all(line.startswith("error: nobody answers at ") for line in lines), lines
    assert [line.count("\n") for line in lines] == [1, 1, 1]
    assert not Path("runs").exists()
