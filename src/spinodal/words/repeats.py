"""What the repeats of a walk say of its transitions, once for terminal and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.phases.diagram import Diagram
from spinodal.phases.repeat import Deeper
from spinodal.words.numbers import significant

SPREAD = "spread"
SPREAD_NOTE = (
    "spread: by how much beta differs in repeats of the walk from other starts, beyond the brackets (of how many that met it)"
)


def spread_cell(spread: Mapping[str, Any] | None, absent: str) -> str:
    """Return the spread of a transition, with how many repeats met it.

    Examples
    --------
    >>> spread_cell({"met": 2, "of": 3, "width": 0.00214}, "-"), spread_cell({"met": 3, "of": 3, "width": 0.0}, "-")
    ('0.0021 (2 of 3)', '0 (3 of 3)')
    """
    if spread is None:
        return absent
    return f"{significant(spread['width'], 2)} ({spread['met']} of {spread['of']})"


def repeats_line(diagram: Diagram) -> str:
    """Say how many transitions the repeats met again in the same place, and where they were deeper; "" without repeats."""
    if not diagram.repeats:
        return ""
    found = [spread for item in diagram.macroscopic if (spread := diagram.spread_of(item)) is not None]
    same = sum(spread.met == spread.of and spread.width == 0.0 for spread in found)
    times = f"{len(diagram.repeats)} time{'s' if len(diagram.repeats) > 1 else ''}"
    met = f"{same} of {len(found)} transitions were met each time in the same place, within their brackets"
    parts = [met] if found else []
    parts += [_deeper(repeat.number, item, diagram) for repeat in diagram.repeats for item in repeat.deeper]
    return f"Walked again from other starts {times}{': ' if parts else ''}{'; '.join(parts)}."


def _deeper(number: int, item: Deeper, diagram: Diagram) -> str:
    name, ends = (
        ("weight_decay", [weight_decay(item.low), weight_decay(item.high)])
        if diagram.control.is_l2
        else (diagram.control.name, [item.low, item.high])
    )
    low, high = (significant(end, 4) for end in ends)
    return (
        f"repeat {number} was on a deeper branch, which is not followed here, between {name} = {low} and {high} "
        f"(L lower by up to {significant(item.by, 2)})"
    )
