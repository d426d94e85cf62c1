"""A claim of the literature, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spinodal.claims.workshop import Workshop
from spinodal.codec import Record

HOLDS, PARTLY, CONTRADICTED, UNSEEN, UNMEASURED = "holds", "holds in part", "contradicted", "not seen", "not measured"
SOURCES = {
    "A": "Ersoy & Wiesner, arXiv 2505.06597",
    "B": "Ersoy, Cardozo Licha & Wiesner, arXiv 2512.11866",
    "C": "Ersoy & Wiesner, arXiv 2606.17120",
    "Z": "Ziyin & Ueda, arXiv 2205.12510",
    "W": "Wang & Jacot, arXiv 2305.16038",
}


@dataclass(frozen=True)
class Measured(Record):
    """What was measured of a claim.

    Attributes
    ----------
    text : str
        With the numbers, in a sentence or two.
    verdict : str
    values : mapping
        The same numbers in JSON types.
    figure : str
        Name of the file of a figure, or "".
    """

    text: str
    verdict: str
    values: Mapping[str, Any] = field(default_factory=dict)
    figure: str = ""


@dataclass(frozen=True)
class Claim:
    """One row of the page.

    Attributes
    ----------
    number : int
    text : str
    source : str
        Letters of `SOURCES`.
    command : str
        What shows it to somebody who wants to see it alone.
    measure : callable Workshop -> Measured
    is_long : bool
        Whether the measurement takes much longer, or another form, in a full run.
    """

    number: int
    text: str
    source: str
    command: str
    measure: Callable[[Workshop], Measured]
    is_long: bool = False


def verdict(holds: bool, *, partly: bool = False) -> str:
    """Return the verdict of a measurement."""
    return HOLDS if holds else PARTLY if partly else CONTRADICTED
