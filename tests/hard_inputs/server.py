"""A process that has imported the program, and forks a fresh one per request: real standard streams without the imports.

Reads requests as JSON, one per line, from standard input; answers each with the exit code, one per line. A request has
`arguments`, `folder`, `environment`, `streams` (for each of "stdin", "stdout", "stderr" a path, "closed" or "broken") and
`limits` (of the operating system, by name).
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from typing import Any

NAMES = ("stdin", "stdout", "stderr")


def main() -> None:
    """Serve requests until standard input ends; the forked process ends as an interpreter does."""
    import xarray  # noqa: F401

    from spinodal import cli

    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _dress(request)
            cli.main()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _dress(request: dict[str, Any]) -> None:
    """Give this process the arguments, streams and limits of a request."""
    os.chdir(request["folder"])
    if request.get("gone"):
        os.rmdir(request["folder"])
    os.environ.update(request["environment"])
    sys.argv = ["spinodal", *request["arguments"]]
    for number, name in enumerate(NAMES):
        _point(number, request["streams"].get(name, os.devnull))
    coding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    for number, name in enumerate(NAMES):
        setattr(sys, name, _stream(number, coding, errors or ("backslashreplace" if name == "stderr" else "strict")))
    for name, most in request.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (most, most))


def _point(number: int, where: str) -> None:
    """Let a file descriptor be a file, a pipe that nobody reads, or nothing."""
    os.close(number)
    if where == "closed":
        return
    if where == "broken":
        reader, writer = os.pipe()
        os.close(reader if reader != number else writer)
        os.dup2(writer, number)
        return
    opened = os.open(where, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o666)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _stream(number: int, coding: str, errors: str) -> io.TextIOWrapper | None:
    """Return the stream of a file descriptor, None if it is closed, as Python makes it when it starts."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return open(number, "r" if number == 0 else "w", encoding=coding, errors=errors, closefd=False)  # type: ignore[return-value]


if __name__ == "__main__":
    main()
