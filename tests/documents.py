"""The documents of the repository as tests read them: their blocks, their commands, and what those should print."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer

from spinodal import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = ROOT / "README.md"
VERBS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]

FENCE = re.compile(r'^( *)```(\w*)(?: title="([^"]+)")?\n(.*?)^\1```$', flags=re.DOTALL | re.MULTILINE)
ANYTHING = "(?:.*?)"
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block; `title` is the file it shows, "" if none."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Call:
    """A command line of a console block, and what is shown below it."""

    line: str
    shown: str


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Return the fenced blocks of a page, in order."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return tuple(Block(language, title, text) for _, language, title, text in found)


def calls(block: Block) -> list[Call]:
    """Return the commands of a console block; a backslash continues a line."""
    joined = block.text.replace("\\\n", " ")
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]
    return [Call(*(part.split("\n", 1) if "\n" in part else (part, ""))) for part in parts]


def commands(page: Path) -> list[str]:
    """Return what follows `spinodal` wherever a page calls it with a verb: indented, in a console block, or quoted."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\t|\$ )\S*?\bspinodal (?=[a-z])(.*)$", text, flags=re.MULTILINE)
    quoted = re.findall(rf"`(?:\.venv/bin/)?spinodal ((?:{'|'.join(VERBS)})\b[^`]*)`", text)
    return [line.split("  #")[0].strip() for line in [*lines, *quoted]]


def options(verb: str) -> set[str]:
    """Return the options of a verb."""
    return {option for parameter in VERBS[verb].params for option in parameter.opts if option.startswith("--")}


def used_options(line: str) -> set[str]:
    """Return the options that a command line uses."""
    return {word.split("=")[0] for word in shlex.split(line) if word.startswith("--")} - {"--help"}


SO_FAR = re.compile(r"^\d+ s: beta = .*\n?", flags=re.MULTILINE)


def agrees(shown: str, printed: str) -> bool:
    """Tell whether a program printed what a page shows.

    White space counts as one blank and a rule as one stroke, `...` stands for anything, and numbers agree to a thousandth
    (or to 1e-4, as the width of a bracket means its size only). Lines that tell how far a slow map is are left out.

    >>> agrees("beta = 0.5 [...]", "beta =  0.50001 [1, 2]"), agrees("rank 2", "rank 3"), agrees("rank", "rank 3")
    (True, False, False)
    """
    pattern = r"\s+".join(map(_pattern, shown.split()))
    pattern = pattern.replace(rf"{ANYTHING}\s+", rf"{ANYTHING}\s*").replace(rf"\s+{ANYTHING}", rf"\s*{ANYTHING}")
    match = re.fullmatch(pattern, SO_FAR.sub("", printed).strip(), flags=re.DOTALL)
    if match is None:
        return False
    wanted = [number for word in shown.split() if word != "..." for number in NUMBER.findall(word)]
    return all(map(_equal, wanted, match.groups()))


def _pattern(word: str) -> str:
    """Return a pattern for a word, with a group for every number in it; a rule is as long as its table is wide."""
    if set(word) == {"─"}:
        return "─+"
    between = [re.escape(part).replace(r"\.\.\.", ANYTHING) for part in NUMBER.split(word)]
    return r"(-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)".join(between)


def _equal(wanted: str, printed: str) -> bool:
    a, b = (float(text.replace(",", "")) for text in (wanted, printed))
    return math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4)
