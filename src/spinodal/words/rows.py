"""The cells of a transition and of a phase, once, for the tables of terminal and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.words.numbers import half, percent, significant, to_error, width
from spinodal.words.repeats import SPREAD, spread_cell

HALF_BRACKET = "half bracket"
BRACKET_NOTE = "half bracket: half the width of the interval in which this one branch was left; it is no error bar"


@dataclass(frozen=True)
class Style:
    """How a medium writes what every medium says.

    Attributes
    ----------
    arrow, dash, absent : str
        Between the two of a pair, between the ends of a range, and in the place of what does not apply.
    digits, places : int
        Most significant digits of a value, and most places of a percentage.
    joins : bool
        Whether two texts that are alike are written once.
    """

    arrow: str
    dash: str
    absent: str
    digits: int
    places: int
    joins: bool


TERMINAL = Style(arrow="->", dash=" - ", absent="-", digits=4, places=1, joins=False)
PAGE = Style(arrow=" → ", dash=" – ", absent="", digits=6, places=2, joins=True)


def transition_cells(item: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return what any table says of a transition; pairs are in the direction walked.

    Parameters
    ----------
    item : mapping
        Of `transitions` in the JSON result.
    """
    spread = item.get("uncertainty") or {}
    step, decay = half(item["bracket"]), weight_decay(half(item["bracket"]))
    return {
        "weight_decay": "" if item["weight_decay"] is None else to_error(item["weight_decay"], decay),
        "beta": to_error(item["beta"], step),
        HALF_BRACKET: width(item["bracket"]),
        SPREAD: spread_cell(item.get("repeats"), style.absent),
        "direction": item["direction"],
        "order": item["kind"] if item.get("missing") else item["order"],
        "E": numbers(item["error"], spread.get("error"), style),
        "norm": numbers(item["norm"], spread.get("norm"), style),
        "margin": numbers(item.get("margin"), spread.get("margin"), style),
        "rank": pair([str(rank) for rank in item.get("phase_ranks") or item["rank"]], style),
        **accuracy_cells(item["accuracy"], spread, style),
        "classes lost": listed(item["lost_classes"], style),
    }


def gained(item: Mapping[str, Any], living: Mapping[int, Sequence[int] | None]) -> list[int]:
    """Return the classes that live in the phase behind a transition and not in the one before; `living` has those of phases.

    Examples
    --------
    >>> gained({"phases": [1, 0]}, {0: (2, 8), 1: (2,)}), gained({"phases": None}, {})
    ([8], [])
    """
    before, after = (living.get(phase) or () for phase in item.get("phases") or (-1, -1))
    return sorted(set(after) - set(before))


def phase_cells(item: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return what any table says of a phase; pairs are at its lowest and its highest beta.

    Parameters
    ----------
    item : mapping
        Of `phases` in the JSON result.
    """
    spread = item.get("uncertainty") or {}
    return {
        "weight_decay": between([weight_decay(beta) for beta in item["beta"]], style),
        "beta": between(item["beta"], style),
        "rank": str(item["rank"]),
        "E": numbers(item["error"], spread.get("error"), style),
        **accuracy_cells(item["accuracy"], spread, style),
        "living classes": listed(item["classes"], style),
    }


def accuracy_cells(found: Mapping[str, Any], spread: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return accuracies to the place that one sample moves."""
    steps = spread.get("accuracy") or {}
    cells = {}
    for part, heading in (("train", "accuracy"), ("held_out", "held out")):
        values = found.get(part)
        texts = [] if values is None else [percent(value, steps.get(part), style.places) for value in values]
        cells[heading] = pair(texts, style)
    return cells


def numbers(values: Sequence[float | None] | None, errors: Sequence[float | None] | None, style: Style) -> str:
    """Return values to the digits of their errors, joined.

    Examples
    --------
    >>> numbers([0.02341, 0.32281], [1e-4, 1e-4], TERMINAL), numbers([0.25, 1.0], None, TERMINAL), numbers(None, None, TERMINAL)
    ('0.0234->0.3228', '0.25->1', '-')
    """
    if values is None:
        return style.absent
    known = errors or [None] * len(values)
    undefined = "–" if style.joins else "-"
    texts = [undefined if v is None else to_error(v, e, style.digits) for v, e in zip(values, known, strict=True)]
    return pair(texts, style)


def pair(texts: Sequence[str], style: Style) -> str:
    """Return two texts as before and after.

    Examples
    --------
    >>> pair(["9", "8"], TERMINAL), pair(["9", "9"], PAGE), pair([], TERMINAL), pair(["5 %", "4 %"], TERMINAL)
    ('9->8', '9', '-', '5%->4%')
    """
    if not any(texts):
        return style.absent
    if style.joins:
        return texts[0] if len(set(texts)) == 1 else style.arrow.join(texts)
    return style.arrow.join(text.replace(" %", "%") for text in texts)


def between(ends: Sequence[float], style: Style) -> str:
    """Return a range.

    Examples
    --------
    >>> between([0.25, 1.0], TERMINAL)
    '0.25 - 1'
    """
    return style.dash.join(significant(end, 4) for end in ends)


def listed(values: Sequence[int] | None, style: Style) -> str:
    """Return a list of classes, "none" for an empty one, or what stands for "does not apply"."""
    return style.absent if values is None else " ".join(map(str, values)) or "none"
