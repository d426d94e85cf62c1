"""What several verbs of the command line take and do alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from spinodal.errors import SpinodalError, refusing

T = TypeVar("T")


def console_for(json_file: str | None, **options: Any) -> Console:
    """Return where tables go: standard error where the JSON has the output. Text is printed as it is."""
    return Console(stderr=json_file == "-", highlight=False, markup=False, emoji=False, **options)


@dataclass(frozen=True)
class Form(Generic[T]):
    """The form of an option's text.

    Attributes
    ----------
    option : str
    read : callable
        From the text to what it says; a ValueError refuses it.
    allowed, example : str
    """

    option: str
    read: Callable[[str], T]
    allowed: str
    example: str

    def of(self, text: str) -> T:
        """Return what a text says, or refuse it."""
        do = f"for example {self.option} {self.example}"
        with refusing(ValueError, f"{self.option} {text!r}", allowed=self.allowed, do=do):
            return self.read(text)

    def given(self, text: str | None) -> T | None:
        """Return the same, None where nothing is given."""
        return None if text is None else self.of(text)


def pairs(settings: list[str] | None) -> dict[str, str]:
    """Return the task arguments of `--set key=value`."""
    return dict(map(SET.of, settings or ()))


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ValueError(text)
    return key.strip(), value


def _ends(text: str) -> tuple[float, float]:
    low, high = text.split(":", maxsplit=1)
    return float(low), float(high)


SET = Form("--set", _pair, "key=value is allowed", "hidden=10,10")
BETA = Form("--beta", _ends, "LOW:HIGH with two numbers is allowed", "1e-4:0.1")


def run_and_point(text: str) -> tuple[Path, int | None]:
    """Return the folder and the point of `RUN:POINT`; a folder whose own name ends so is taken as a folder."""
    run, colon, point = text.rpartition(":")
    if not colon or os.path.isdir(text):  # which, unlike `Path.is_dir`, answers for names too long as well
        return Path(text), None
    if not point.isdecimal():
        raise SpinodalError(
            got=f"{text!r}", allowed="RUN or RUN:POINT with the number of a point is allowed", do=f"for example {run}:3"
        )
    return Path(run), int(point)


def text_of(value: Any) -> str:
    """Return a value as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
