"""Processes of one run, as a launcher starts them: forked from one that has imported everything and computed nothing.

    python tests/processes.py     # reads requests, one JSON object a line, from standard input, and answers on standard output

So that tests of several processes do not pay for their imports again and again.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

SLOW = ("torch.fx.experimental.symbolic_shapes", "scipy.optimize", "scipy.sparse.linalg", "spinodal.commands.map")
SCARCE = {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@dataclass(frozen=True)
class Run:
    """The processes of one run, by rank, and the folder they work in."""

    pids: list[int]
    folder: Path
    nursery: Nursery

    def ended(self, seconds: float = 120.0) -> list[int | None]:
        """Wait so long for all to end; return exit codes, None for those that did not."""
        return self.nursery.ask(wait=self.pids, seconds=seconds)

    def kill(self, rank: int, number: signal.Signals = signal.SIGKILL) -> float:
        """Send a signal to a process and return when."""
        os.kill(self.pids[rank], number)
        return time.monotonic()

    def said(self, rank: int) -> tuple[str, str]:
        """Return what a process wrote on standard output and standard error."""
        out, err = ((self.folder / f"{name}-{rank}").read_text() for name in ("out", "err"))
        return out, err


def _hears_interrupts() -> None:
    """Let a process hear Ctrl-C, which what a shell runs in the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Nursery:
    """Where processes are forked."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **SCARCE},
            preexec_fn=_hears_interrupts,
        )  # fmt: skip

    def ask(self, **request: Any) -> Any:
        """Send a request and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(self, folder: Path, size: int, *words: str, program: str = "", **environment: str) -> Run:
        """Start so many processes of the command line, or of a Python program, in a folder."""
        folder.mkdir(exist_ok=True, parents=True)
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)} if size else {}
        environments = [{**there, **({"RANK": str(rank)} if size else {}), **environment} for rank in range(max(size, 1))]
        pids = self.ask(start=environments, folder=str(folder), words=words, program=program)
        return Run(pids, folder, self)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(120)
        assert self.process.stdout is not None
        self.process.stdout.close()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serve() -> None:
    """Answer requests until there are no more."""
    for module in SLOW:
        import_module(module)

    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer: Any = [fork(request, environment, rank) for rank, environment in enumerate(request["start"])]
        else:
            answer = codes(request["wait"], request["seconds"])
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    os._exit(0)  # without taking apart what was imported


def fork(request: dict[str, Any], environment: dict[str, str], rank: int) -> int:
    """Begin a process, and return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(request["folder"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(environment)
        code = ran(request["words"], request["program"])
    finally:
        os._exit(code)


def ran(words: list[str], program: str) -> int:
    """Run the command line or a program, and return its exit code."""
    from spinodal.cli import main

    sys.argv = ["spinodal", *words]
    try:
        if program:
            exec(compile(program, "program", "exec"), {"__name__": "__main__"})
        else:
            main()
    except SystemExit as stopped:
        code = stopped.code or 0
    except BaseException:  # noqa: BLE001 - it is shown
        import traceback

        traceback.print_exc()
        return 71
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 72


def codes(pids: list[int], seconds: float) -> list[int | None]:
    """Return how processes ended, None for those that did not."""
    found: dict[int, int] = {}
    end = time.monotonic() + seconds
    while len(found) < len(pids) and time.monotonic() < end:
        for pid in pids:
            if pid not in found:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    found[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return [found.get(pid) for pid in pids]


if __name__ == "__main__":
    serve()
