"""The command line run in this process, as a shell would run it, but without the seconds that imports take."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from spinodal import cli
from spinodal.commands import map as map_verb

ENVIRONMENT = {"COLUMNS": "200", "TERM": "dumb"}
IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # as Python does by default


@dataclass(frozen=True)
class Outcome:
    """What came of a command; `crash` is what would have been a traceback."""

    code: int
    out: str
    err: str
    crash: str | None = None


class HangsError(BaseException):
    """The program took too long; no `except Exception` on the way may hold it up."""


class AcceptedError(BaseException):
    """The program took the input for a good one and was about to compute."""


def run(arguments: Sequence[str], folder: Path, *, seconds: float = 60.0, compute: bool = True) -> Outcome:
    """Run `spinodal ARGUMENTS` in a folder; figures and report are left out, and with `compute=False` the map too."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors) for errors in ("strict", "backslashreplace")]
    with _patched(arguments, compute=compute), contextlib.chdir(folder), _limited(seconds), warnings.catch_warnings():
        warnings.resetwarnings()
        for category in IGNORED:
            warnings.simplefilter("ignore", category)
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code, crash = _ended()
    out, err = (_text(stream) for stream in streams)
    return Outcome(code, out, err, crash)


def _ended() -> tuple[int, str | None]:
    try:
        cli.main()
    except SystemExit as stop:
        return (stop.code if isinstance(stop.code, int) else int(stop.code is not None)), None
    except AcceptedError:
        return 0, None
    except HangsError:
        return 1, "takes too long"
    except BaseException as cause:  # noqa: BLE001 - whatever leaves the program would be a traceback
        return 1, f"{type(cause).__name__}: {_place(cause)}"
    return 0, None


def _place(cause: BaseException) -> str:
    """Return where an exception was raised, and its message if it has one."""
    trace = cause.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    try:
        return f"{where}: {cause}"
    except Exception:  # noqa: BLE001 - a message that cannot be made is one of the inputs
        return where


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.detach()
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode("utf-8")


@contextlib.contextmanager
def _patched(arguments: Sequence[str], *, compute: bool) -> Iterator[None]:
    def accepted(*_: Any, **__: Any) -> None:
        raise AcceptedError

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", ["spinodal", *arguments]))
        stack.enter_context(mock.patch.dict(os.environ, ENVIRONMENT))
        stack.enter_context(mock.patch.object(typer.main, "get_command", return_value=_command()))
        stack.enter_context(mock.patch.object(map_verb, "write_pictures", return_value=Path("report.html")))
        if not compute:
            stack.enter_context(mock.patch.object(map_verb, "map_phases", accepted))
        yield


@cache
def _command() -> Any:
    """Return the command line with its verbs and options, which takes long to put together."""
    return typer.main.get_command(cli.app)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
