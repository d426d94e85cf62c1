"""Is a map the same to the last bit in 1, 2 and 3 processes, how fast is it, and what does a killed process cost?

    OMP_NUM_THREADS=1 python bench/shards.py MNIST.npz     # the last transition of 10,000 images, 118,282 parameters
    OMP_NUM_THREADS=1 python bench/shards.py --quick       # a small network: a check of this script

The same command, `spinodal map mnist --shards S`, in one process and in several with RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT in their environment, one thread each. Columns: seconds, and processor seconds of the first process and of all;
gradients and Hessian products; the bracket of the last transition in weight_decay; numbers that differ from those of one
process, in the result and in the thetas of all points (bar: 0).

Then it is started under `torchrun`, one of its workers is killed on the way, and one process goes on with `--resume`. Bars: the
first process ends within 2 s; nothing differs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from hardware import print_row, print_table
from script import run

import spinodal as sp

BINARY = str(Path(sys.executable).with_name("spinodal"))
SMALL = ["gaussian", "--set", "hidden=8,8", "--set", "samples=400", "--beta", "0.05:0.6", "--solver", "lbfgs"]
COLUMNS = ["processes", "seconds", "processor, first", "processor, all", "gradients", "products", "last transition", "differ"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("data", type=Path, nargs="?", help="an .npz file, or a folder of IDX files")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--beta", default="0.038:0.0445", metavar="LOW:HIGH")
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--quick", action="store_true", help="a small network: a check of this script")


def main(options: argparse.Namespace) -> None:
    """Measure, and print the table."""
    words = [*SMALL, "--starts", "1", "--shards", str(options.shards)] if options.quick else mnist_words(options)
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / str(options.processes[0]) / "run"
        print_table(COLUMNS, [])
        for size in options.processes:
            row, place = measured(Path(folder) / str(size), size, words)
            print_row([*row, str(differences(place, first))])
        print(f"\n{killed(Path(folder) / 'killed', words, first)}")


def mnist_words(options: argparse.Namespace) -> list[str]:
    """Return the task and the options of the map of MNIST."""
    if options.data is None:
        raise SystemExit("give the data, or --quick")
    settings = [f"data={options.data.resolve()}", f"samples={options.images}"]
    chosen = ["--beta", options.beta, "--starts", "1", "--lead", "0", "--bracket", "0.003", "--shards", str(options.shards)]
    return ["mnist", *(word for setting in settings for word in ("--set", setting)), *chosen]


def measured(folder: Path, size: int, words: list[str]) -> tuple[list[str], Path]:
    """Map in so many processes; return a row of the table, and the run."""
    folder.mkdir()
    began, port = time.perf_counter(), str(free_port())
    processes = [begin(folder, ["map", *words, "--out", "run"], rank, size, port) for rank in range(size)]
    spent = []
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit((folder / "err-0").read_text())
        spent.append(usage.ru_utime + usage.ru_stime)
    seconds = time.perf_counter() - began
    result = json.loads((folder / "run" / "result.json").read_text())
    met = [item["bracket"] for item in result["transitions"] if not item["minor"]]
    last = f"{2 * met[-1][0]:.5f} to {2 * met[-1][1]:.5f}" if met else "none"
    stats = result["stats"]
    counts = [str(stats["gradient_evaluations"]), str(stats["hessian_products"])]
    return [str(size), f"{seconds:.1f}", f"{spent[0]:.1f}", f"{sum(spent):.1f}", *counts, last], folder / "run"


def begin(folder: Path, words: list[str], rank: int, size: int, port: str) -> subprocess.Popen[bytes]:
    """Start one process."""
    here = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return subprocess.Popen(
        [BINARY, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **here},
        stdout=(folder / f"out-{rank}").open("wb"),
        stderr=(folder / f"err-{rank}").open("wb"),
    )


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def differences(one: Path, other: Path) -> int:
    """Return how many numbers of two runs differ, in their results (but for seconds) and in the thetas of their points."""
    results = [json.loads((place / "result.json").read_text()) for place in (one, other)]
    for result in results:
        result["stats"]["seconds"] = 0.0
    (first, second), pairs = (sp.load(place).points for place in (one, other)), 0
    if len(first) != len(second):
        return max(len(first), len(second)) * len(first[0].minimum.theta)
    for a, b in zip(first, second, strict=True):
        pairs += int(torch.count_nonzero(a.minimum.theta != b.minimum.theta))
    return pairs + unlike(*results)


def unlike(one: Any, other: Any) -> int:
    """Return how many leaves of two nested values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return sum(unlike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return sum(unlike(a, b) for a, b in zip(one, other, strict=True))
    return int(one != other)


# -- a process that is killed ---------------------------------------------------------------------


def killed(folder: Path, words: list[str], whole: Path) -> str:
    """Kill a worker of `torchrun` on the way, go on in one process, and say what became of it."""
    folder.mkdir()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", "--master-port", str(free_port())]
    command = [*launcher, "--no-python", BINARY, "map", *words, "--out", "run"]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        launched = subprocess.Popen(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=out, stderr=err)
        half = points(whole) // 2
        while points(folder / "run") < half:
            if launched.poll() is not None:
                raise SystemExit((folder / "err").read_text())
            time.sleep(0.05)
        ranks = workers(launched.pid)
        os.kill(ranks[1], signal.SIGKILL)
        began = time.perf_counter()
        while is_alive(ranks[0]):
            time.sleep(0.005)
        noticed = time.perf_counter() - began
        code = launched.wait()
    said = [line for line in (folder / "err").read_text().splitlines() if line.startswith("error:")]
    kept = points(folder / "run")
    again = [BINARY, "map", *words, "--out", "run", "--resume"]
    subprocess.run(again, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
    return (
        f"Killed under torchrun after {kept} of {points(whole)} points: the first process of three ended {noticed:.2f} s "
        f"later, torchrun with exit code {code}:\n{said[0] if said else '(nothing said)'}\n"
        f"Gone on with in one process: {differences(folder / 'run', whole)} numbers differ."
    )


def points(run: Path) -> int:
    """Return how many points the journal of a run holds."""
    with suppress(OSError):
        return sum(b'"kind": "point"' in line for line in (run / "journal.jsonl").read_bytes().splitlines())
    return 0


def workers(launcher: int) -> list[int]:
    """Return the processes that a launcher started, by rank."""
    found = {}
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError, StopIteration):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == launcher:
                words = (place / "environ").read_bytes().split(b"\0")
                found[int(next(word[5:] for word in words if word.startswith(b"RANK=")))] = int(place.name)
    return [found[rank] for rank in sorted(found)]


def is_alive(pid: int) -> bool:
    """Tell whether a process computes still: one that is over stays until its launcher looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    run(main, arguments)
