"""A run that is killed at random instants, over and over, and resumed until it is done: the same run as the undisturbed one?

    OMP_NUM_THREADS=1 python bench/kills.py                  # 200 kills
    OMP_NUM_THREADS=1 python bench/kills.py --kills 5        # a check of the script
    OMP_NUM_THREADS=1 python bench/kills.py --workers 2      # each process with two workers, which end with it

A small linear net is mapped by the command line in a process of its own (forked from one that has imported everything, so
that the instants fall where there is work to lose), which gets SIGKILL at an instant drawn anew: while it starts, while
it maps (when the journal has a length drawn at random, and up to 20 ms later) or while it writes result and figures. It is
resumed and killed again, 3 to 10 times, further on each time, and then resumed to its end. Every result must equal that of
a run that was never killed but for the seconds, every point and state too, and no point that was in the journal at a
kill may be missing at the end. The undisturbed run has no workers; with some, a run may hold more points than it, and others
have no number in their names, so that results and points that were there at a kill are compared alone.

Prints where the kills fell, and how many runs ended otherwise than the undisturbed one (which has to be none).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware import print_table
from script import run

from spinodal import cli

TASK = [
    "gaussian",
    "--set",
    "activation=linear",
    "--set",
    "hidden=4,3",
    "--set",
    "samples=40",
    "--starts",
    "2",
    "--bracket",
    "1e-3",
]
FIRST = 0.2  # part of the kills that is aimed at the start of a process
LAST = 0.3  # and at what comes after the last point, in parts of the time before it
LATER = 0.02  # seconds that a kill may come after the journal has its length


@dataclass(frozen=True)
class Undisturbed:
    """The run that was never killed, and when it did what, in seconds from its start."""

    folder: Path
    mapped: float  # the journal has its last line
    ends: float

    @property
    def size(self) -> int:
        """Return the bytes of the journal."""
        return (self.folder / "journal.jsonl").stat().st_size


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)


def main(options: argparse.Namespace) -> bool:
    """Kill, resume, compare, and print where the kills fell."""
    began, rng, fell, different = time.perf_counter(), random.Random(options.seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        whole = undisturbed(Path(folder) / "undisturbed")
        print(
            f"undisturbed: mapped after {whole.mapped:.1f} s, done after {whole.ends:.1f} s",
            flush=True,
        )
        runs = 0
        while fell.total() < options.kills:
            run, runs = Path(folder) / f"run-{runs}", runs + 1
            wanted = min(rng.randint(3, 10), options.kills - fell.total())
            seen = tormented(run, whole, wanted, rng, fell, options.workers)
            different += [f"{run.name}: {what}" for what in differences(run, whole.folder, seen, alone=options.workers == 1)]
    print_table(["the process was killed", "kills"], [[where, str(count)] for where, count in sorted(fell.items())])
    seconds = time.perf_counter() - began
    print(f"\n{fell.total()} kills, {runs} runs, {len(different)} differences from the undisturbed run, {seconds:.0f} s")
    print("\n".join(different))
    return bool(different)


class Process:
    """The command line at work on a run folder, in a process forked from this one."""

    def __init__(self, run: Path, workers: int = 1) -> None:
        self.code: int | None = None
        self.id = os.fork()
        if self.id == 0:
            os._exit(mapped(run, workers))

    def poll(self) -> int | None:
        """Return the exit code once there is one; minus the signal's number after a signal."""
        if self.code is None:
            ended, status = os.waitpid(self.id, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self) -> int:
        """Return the exit code when there is one."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.id, 0)[1])
        return self.code

    def kill(self) -> None:
        """Send SIGKILL, if it is not done yet."""
        if self.poll() is None:
            os.kill(self.id, signal.SIGKILL)


def mapped(run: Path, workers: int) -> int:
    """Map, or go on with it; return the exit code."""
    sys.argv = ["spinodal", "map", *TASK, "--quiet", "--resume", "--out", str(run), "--workers", str(workers)]
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 1


def undisturbed(run: Path) -> Undisturbed:
    """Map once, and look on."""
    process, began, sizes = Process(run), time.perf_counter(), [(0.0, 0)]
    while process.poll() is None:
        now, size = time.perf_counter() - began, length(run)
        if size != sizes[-1][1]:
            sizes.append((now, size))
        time.sleep(0.002)
    finished(process)
    return Undisturbed(run, sizes[-1][0], time.perf_counter() - began)


def finished(process: Process) -> None:
    """Wait for a process that must end well."""
    if process.wait() != 0:
        raise SystemExit(f"a run ended with exit code {process.wait()}")


def tormented(
    run: Path, whole: Undisturbed, wanted: int, rng: random.Random, fell: Counter[str], workers: int
) -> list[set[str]]:
    """Kill and resume a run until it is done; return the points that were in its journal at every kill."""
    seen = []
    for aim in sorted(rng.uniform(0.0, 1.0 + LAST) for _ in range(wanted)):
        process = Process(run, workers)
        await_instant(process, run, whole, aim, rng)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            finished(process)
            return seen  # it was faster than the kill
        fell[place(run)] += 1
        seen.append(points(run))
    finished(Process(run, workers))
    return seen


def await_instant(process: Process, run: Path, whole: Undisturbed, aim: float, rng: random.Random) -> None:
    """Wait until the journal has its length times `aim`, or beyond 1 until its end and longer; or until the process is done."""
    least, later = min(aim, 1.0) * whole.size, LATER if aim < 1.0 else whole.ends - whole.mapped
    if rng.random() < FIRST:
        least, later = 0.0, whole.mapped / 4
    while process.poll() is None and length(run) < 0.99 * least:
        time.sleep(0.001)
    until = time.perf_counter() + later * rng.random()
    while process.poll() is None and time.perf_counter() < until:
        time.sleep(0.0005)


def length(run: Path) -> int:
    """Return the bytes in the journal of a run."""
    try:
        return (run / "journal.jsonl").stat().st_size
    except FileNotFoundError:
        return 0


def place(run: Path) -> str:
    """Return what there is of a run, in words that sort by progress."""
    if not run.exists():
        return "1 before there was a folder"
    names = {path.name for path in run.iterdir()}
    if not points(run):
        return "2 before the first point" if "config.toml" in names else "2 while the folder was made"
    if "figures" in names:
        return (
            "5 while figures were written, or after" if len(list((run / "figures").iterdir())) else "5 before the first figure"
        )
    return "4 with the result written" if "result.json" in names else "3 with points and no result"


def points(run: Path) -> set[str]:
    """Return the points that are whole in a journal, without what may differ."""
    found = set()
    for line in (run / "journal.jsonl").read_bytes().split(b"\n")[:-1] if length(run) else ():
        record = json.loads(line)
        if record["kind"] == "point":
            found.add(json.dumps({key: value for key, value in record.items() if key in LASTING}))
    return found


LASTING = ("key", "number", "record", "state")


def differences(run: Path, whole: Path, seen: list[set[str]], *, alone: bool) -> list[str]:
    """Return in what a run differs from the undisturbed one."""
    found = []
    if result(run) != result(whole):
        found.append("another result")
    if alone and points(run) != points(whole):
        found.append("other points")
    if any(not before <= points(run) for before in seen):
        found.append("a point that was in the journal is gone")
    states = [{path.name: path.read_bytes() for path in (folder / "states").iterdir()} for folder in (run, whole)]
    if alone and states[0] != states[1]:
        found.append("other states")
    return found


def result(run: Path) -> dict[str, Any]:
    """Return a result without its seconds."""
    value: dict[str, Any] = json.loads((run / "result.json").read_text())
    value["stats"].pop("seconds")
    return value


if __name__ == "__main__":
    run(main, arguments)
