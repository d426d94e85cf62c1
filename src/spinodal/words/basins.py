"""The cells of a basin and of a rank over several seeds, once, for the tables of terminal and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.words.numbers import percent, significant
from spinodal.words.rows import Style, between, listed


def basin_cells(item: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return what any table says of a basin.

    Parameters
    ----------
    item : mapping
        Of `basins` in `Hierarchy.to_dict`.
    """
    return {
        "basin": str(item["id"]),
        "rank": str(item["rank"]),
        "seeds": listed(item["seeds"], style),
        "beta": between(item["beta"], style),
        "ends at": _value(item["end"], style),
        "differing by": _spread(item["end_spread"], style),
        "falls to": ", ".join(_fall(fall, len(item["falls"])) for fall in item["falls"]) or style.absent,
        "living classes": listed(item["classes"], style),
        "taken for one": taken_for_one(item["told_apart"], style),
    }


def rank_cells(item: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return what any table says of the basins of one rank.

    Parameters
    ----------
    item : mapping
        Of `ranks` in `Hierarchy.to_dict`.
    """
    return {
        "rank": str(item["rank"]),
        "deepest": str(item["deepest"]),
        "as deep as the next": _value(item["coexistence_over_seeds"], style),
        "without a seed": _spread(item["over_seeds_spread"], style),
        "seeds": listed(item["seeds"], style),
        "coexistence": ", ".join(significant(value, 5) for value in item["coexistence"].values()) or style.absent,
        "they differ by": _spread(item["coexistence_spread"], style),
        "ends": ", ".join(significant(value, 5) for value in item["ends"].values()) or style.absent,
        "ends differ by": _spread(item["end_spread"], style),
        "others of this rank": listed(item["others"], style),
    }


def taken_for_one(groups: Sequence[Sequence[int]] | None, style: Style) -> str:
    """Return the classes that are mostly taken for the same one, group by group."""
    if groups is None:
        return style.absent
    return ", ".join(" ".join(map(str, group)) for group in groups if len(group) > 1) or "none"


def _value(value: float | None, style: Style) -> str:
    return style.absent if value is None else significant(value, 6)


def _spread(value: float | None, style: Style) -> str:
    return style.absent if value is None else percent(value, 1e-4, style.places)


def _fall(fall: Mapping[str, Any], ways: int) -> str:
    """Return a basin that is fallen into, with the seeds where there are others."""
    return str(fall["to"]) if ways == 1 else f"{fall['to']} (seed {' '.join(map(str, fall['seeds']))})"
