"""The page of claims, from what was measured: no number of it is written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinodal.claims.claim import SOURCES
from spinodal.claims.rows import CLAIMS
from spinodal.version import __version__

HEAD = """# What the papers say

Claims and figures of the literature, what this package measured of each, and the verdict, also where it contradicts. The page
is written by a command, numbers and verdicts alike:

    spinodal claims --out docs

It takes some three minutes of one core; `--full` measures the rows that take longer, all digits in some ten and MNIST
(`--mnist FILE`) in hours, and goes on with `--resume` where it was stopped. The last column says which run a number is from,
and how many seconds of one core it took; maps that several rows share count for the first. Small networks stand for large ones
here: a verdict is about what was measured, and says no more.

"""


def page(measured: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    measured : mapping
        Of the numbers of claims to the records that `measure` keeps.
    """
    rows = [_row(claim.number, claim.text, claim.source, claim.command, measured.get(claim.number)) for claim in CLAIMS]
    table = ["| no. | claim | source | measured | verdict | shown by | run |", "|---|---|---|---|---|---|---|", *rows]
    sources = [f"- **{letter}**: {name}" for letter, name in SOURCES.items()]
    pictures = [_picture(claim.number, claim.text, measured.get(claim.number)) for claim in CLAIMS]
    body = "\n".join([*table, "", "## Figures", "", *filter(None, pictures), "## Sources", "", *sources])
    return f"{HEAD}{body}\n\nMade by spinodal {__version__}.\n"


def _row(number: int, text: str, source: str, command: str, found: Mapping[str, Any] | None) -> str:
    if found is None:
        return f"| {number} | {text} | {source} | | not measured | `{command}` | |"
    run = f"{'full' if found['full'] else 'quick'}, {found['seconds']:.0f} s"
    return f"| {number} | {text} | {source} | {found['text']} | **{found['verdict']}** | `{command}` | {run} |"


def _picture(number: int, text: str, found: Mapping[str, Any] | None) -> str:
    return "" if found is None or not found["figure"] else f"![{number}: {text}](figures/{found['figure']})\n"
