"""One hard input, and the one rule by which its answer is judged.

A bad input is answered with exit code 2, nothing on standard output, one printable line on standard error that has
three parts, and a folder that is byte for byte what it was. Where a change may leave the input a good one (a bit of a
blank, a torn last line), exit code 0 is right as well, if the result is the one of the unchanged input.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hard_inputs.program import Outcome, run

LONGEST = 2000  # characters of an error that somebody will still read


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    label : str
        What it is; equal labels are the same case.
    arguments : tuple of str
        Of the command line.
    prepare : callable folder -> None
        Writes the files that the arguments speak of.
    harmless : callable (folder, outcome) -> complaint or None, optional
        Judges exit code 0; None where the input is bad for certain.
    compute : bool
        Whether a map may be computed to find out; otherwise getting that far is exit code 0.
    late : bool
        Whether the fault shows only when something has been computed, written and said already.
    """

    label: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None] = lambda folder: None
    harmless: Callable[[Path, Outcome], str | None] | None = None
    compute: bool = False
    late: bool = False

    def __repr__(self) -> str:
        return self.label


class WrongAnswerError(AssertionError):
    """The program answered a hard input in a way that it must not."""


def judge(case: Case, folder: Path) -> str:
    """Put a case to the program; return "refused" or "harmless", or raise `WrongAnswerError`."""
    case.prepare(folder)
    before = contents(folder)
    outcome = run(case.arguments, folder, compute=case.compute)
    complaint = _complaint(case, folder, before, outcome)
    if complaint:
        raise WrongAnswerError(
            f"{complaint}\n  case: {case.label[:600]}\n  arguments: {case.arguments!r:.600}\n  {outcome!r:.1500}"
        )
    return "harmless" if outcome.code == 0 else "refused"


def _complaint(case: Case, folder: Path, before: dict[str, object], outcome: Outcome) -> str | None:
    if outcome.crash:
        return f"ended in {outcome.crash}"
    if outcome.code == 0:
        return "was accepted" if case.harmless is None else case.harmless(folder, outcome)
    if outcome.code != 2:
        return f"ended with exit code {outcome.code}"
    after = contents(folder)
    if after != before and not case.late:
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        return f"was refused, but changed {', '.join(sorted(changed)[:5])}"
    if outcome.out and not case.late:
        return "was refused with something on standard output"
    lines = outcome.err.splitlines(keepends=True)
    return complaint_about(lines[-1] if case.late and lines else outcome.err)


def complaint_about(text: str) -> str | None:
    """Return what is wrong with a refusal, None if it is one clear line."""
    if not text.startswith("error: ") or not text.endswith("\n"):
        return "does not begin with 'error: ' or not end with a line break"
    line = text[:-1]
    if not line.isprintable():
        return "holds control characters or several lines"
    if len([part for part in line.removeprefix("error: ").split("; ") if part.strip()]) < 3:
        return "does not have three parts"
    if "this ended in" in line:
        return "is the answer to what nobody foresaw"
    return f"has {len(line)} characters" if len(line) > LONGEST else None


def contents(folder: Path) -> dict[str, object]:
    """Return everything below a folder: the bytes of files, the targets of links, the kinds of all else."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in [*folders, *files]:
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                value: object = ("link", os.readlink(path))
            else:
                value = Path(path).read_bytes() if stat.S_ISREG(mode) else stat.S_IFMT(mode)
            found[os.path.relpath(path, folder)] = value
    return found
