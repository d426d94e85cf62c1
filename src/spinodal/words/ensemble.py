"""What the maps of an ensemble have in common, once for terminal, figures and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.words.numbers import half, significant, to_error
from spinodal.words.rows import Style, between, listed, pair

DEVIATION_NOTE = (
    "deviation: standard deviation of beta from map to map; range: of beta over the maps that met it; "
    "apart: the least by which they differ, beyond their brackets"
)


def shared_cells(item: Mapping[str, Any], style: Style) -> dict[str, str]:
    """Return what any table says of a transition of several maps.

    Parameters
    ----------
    item : mapping
        Of `transitions` in `Ensemble.to_dict`.
    """
    error = item["deviation"] or half(item["seen"][0]["bracket"])
    decay = item["weight_decay"]
    return {
        "way": item["direction"],
        "rank": pair([str(rank) for rank in item["ranks"]], style),
        "met by": f"{item['met']} of {item['of']}",
        "mean beta": to_error(item["beta"], error / 10.0),
        "w. decay": style.absent if decay is None else to_error(decay, weight_decay(error) / 10.0),
        "deviation": style.absent if item["deviation"] is None else f"{item['deviation']:.1e}",
        "range": between((item["low"], item["high"]), style),
        "apart": significant(item["width"], 2),
        "coexistence": style.absent if item["coexistence"] is None else significant(item["coexistence"], 5),
        "order": "not proven" if item["order"] == "not classified" else item["order"],
        "classes lost": listed(item["lost_classes"], style),
    }


def found_line(ensemble: Mapping[str, Any]) -> str:
    """Say how many transitions there are, how many all maps met, and which differ most from map to map.

    Parameters
    ----------
    ensemble : mapping
        What `Ensemble.to_dict` returns.
    """
    members, found = ensemble["members"], ensemble["transitions"]
    maps = f"{len(members)} map{'s' if len(members) != 1 else ''} of {ensemble['task']}"
    if not found:
        return f"{maps}: no transition."
    everywhere = len(ensemble["shared"])
    count = f"{len(found)} transition{'s' if len(found) != 1 else ''}"
    met = "met by all of them" if everywhere == len(found) else f"{everywhere} of them met by all maps"
    known = [item for item in found if item["deviation"] is not None]
    return f"{maps}: {count}, {met}.{_widest(known)}"


def _widest(known: list[Mapping[str, Any]]) -> str:
    """Say where a transition differs most from map to map, relative to its beta."""
    apart = [item for item in known if item["width"] > 0.0]
    if not apart:
        return " Maps that met the same one met it in the same place, within their brackets." if known else ""
    widest = max(apart, key=lambda item: float(item["deviation"] / item["beta"]))
    share = 100.0 * widest["deviation"] / widest["beta"]
    return f" From map to map beta deviates by up to {share:.2g} % (at beta = {significant(widest['beta'], 4)})."
