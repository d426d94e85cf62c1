"""Are maps of many seeds faster on two workers than one after the other, and the same, whatever is killed on the way?

    OMP_NUM_THREADS=1 python bench/ensemble.py             # 8 maps of the handwritten digits, and 12 kills of a small ensemble
    OMP_NUM_THREADS=1 python bench/ensemble.py --quick     # 2 maps of a small network, and 2 kills

Speed: seconds of all maps one after the other in one process with one thread each, and with `--workers`, and processor time.
Bars: at most .6 of the time on two cores that nobody else uses, and no difference in any number.

Kills: an ensemble of the command line with two workers, in which the program or one worker is killed with SIGKILL, or the
program is interrupted, at a random instant, and which is then gone on with. Bar: no difference from the undisturbed one but
for its seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from hardware import print_table
from script import run

import spinodal as sp

BINARY = str(Path(sys.executable).with_name("spinodal"))
SMALL: dict[str, Any] = {"activation": "linear", "hidden": (2,), "inputs": 2, "outputs": 2, "samples": 20}
WAYS = ("the program is killed", "a worker is killed", "Ctrl-C")
COLUMNS = ["maps", "workers", "seconds", "processor seconds", "share of the time", "difference"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a small network, two maps and two kills: a check of this script")


def main(options: argparse.Namespace) -> None:
    """Measure both, and print them."""
    if options.quick:
        speed(sp.tasks.gaussian(**SMALL), range(2), options.workers, starts=1, beta=(0.3, 1.1), bracket=1e-3)
    else:
        speed(sp.tasks.digits(), range(options.seeds), options.workers)
    print()
    kills(2 if options.quick else options.kills, random.Random(0))


# -- speed ----------------------------------------------------------------------------------------


def speed(task: sp.Task, seeds: range, workers: int, **settings: Any) -> None:
    """Print what maps cost one after the other and side by side."""
    rows, first = [], None
    for count in (1, workers):
        began, spent = time.perf_counter(), processor_seconds()
        found = lasting(sp.map_ensemble(task, seeds=seeds, workers=count, **settings).to_dict())
        seconds, processor = time.perf_counter() - began, processor_seconds() - spent
        first = first or (seconds, found)
        same = "none" if found == first[1] else "ANOTHER RESULT"
        rows.append([f"{len(seeds)}", f"{count}", f"{seconds:.1f}", f"{processor:.1f}", f"{seconds / first[0]:.2f}", same])
    print_table(COLUMNS, rows)


def processor_seconds() -> float:
    """Return the processor time of this process and of its workers that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def lasting(ensemble: dict[str, Any]) -> dict[str, Any]:
    """Return an ensemble without its seconds."""
    for member in ensemble["members"]:
        member["stats"]["seconds"] = 0.0
    return ensemble


# -- kills ----------------------------------------------------------------------------------------


def kills(wanted: int, rng: random.Random) -> None:
    """Print how often an ensemble that was disturbed came out as another one."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        began = time.perf_counter()
        finished(begun(whole))
        lasts, fell, differences = time.perf_counter() - began, dict.fromkeys(WAYS, 0), 0
        for number in range(wanted):
            run, way = Path(folder) / str(number), WAYS[number % len(WAYS)]
            process = begun(run)
            time.sleep(rng.uniform(0.3, 0.9) * lasts)
            fell[way] += disturbed(process, way)
            finished(begun(run))
            differences += result(run) != result(whole)
    print_table(["at a random instant", "times"], [[way, str(times)] for way, times in fell.items()])
    print(f"\n{differences} differences from the undisturbed ensemble")


def begun(run: Path) -> subprocess.Popen[bytes]:
    """Begin an ensemble of two maps with two workers, or go on with it."""
    settings = [
        f"--set={key}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in SMALL.items()
    ]
    words = [BINARY, "map", "gaussian", *settings, "--seeds", "0:2", "--workers", "2"]
    words += ["--starts", "1", "--beta", "0.3:1.1", "--bracket", "1e-3", "--out", str(run), "--resume", "--quiet"]
    return subprocess.Popen(words, start_new_session=True, preexec_fn=_hears_interrupts, stderr=subprocess.DEVNULL)


def _hears_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def disturbed(process: subprocess.Popen[bytes], way: str) -> bool:
    """Disturb an ensemble, wait until it has ended, and tell whether it was still at work."""
    if process.poll() is not None:
        return False
    if way == "a worker is killed":
        for worker in workers_of(process.pid)[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        process.wait()  # it goes on by itself
        return True
    process.send_signal(signal.SIGKILL if way == "the program is killed" else signal.SIGINT)
    process.wait()
    while workers_of(process.pid):
        time.sleep(0.01)
    return True


def workers_of(leader: int) -> list[int]:
    """Return the other processes of a session that compute."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            is_worker = b"spawn_main" in (place / "cmdline").read_bytes()
            if int(session) == leader and state != "Z" and is_worker:
                found.append(int(place.name))
    return found


def finished(process: subprocess.Popen[bytes]) -> None:
    """Wait for an ensemble that must end well."""
    if process.wait() != 0:
        raise SystemExit(f"an ensemble ended with exit code {process.returncode}")


def result(run: Path) -> dict[str, Any]:
    """Return an ensemble without its seconds."""
    return lasting(json.loads((run / "ensemble.json").read_text()))


if __name__ == "__main__":
    run(main, arguments)
