"""What is said of the shares of basins, once for terminal, report and notebook: from their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.conventions import is_l2, weight_decay
from spinodal.words.numbers import percent, significant
from spinodal.words.rows import Style

NOT_FINISHED = "not finished"
NOTE = "95 %: Wilson's interval of the share, which such samples cover in 95 of 100"


def training_phrase(training: Mapping[str, Any]) -> str:
    """Return how starts were trained.

    Examples
    --------
    >>> training_phrase({"method": "gd", "epochs": 2000, "learning_rate": [0.25, 0.5]})
    'gradient descent, learning rate 0.25 to 0.5, at most 2,000 epochs'
    >>> training_phrase({"method": "lbfgs", "epochs": 2000, "learning_rate": None})
    'L-BFGS, at most 2,000 steps'
    """
    if training["method"] != "gd":
        return f"L-BFGS, at most {training['epochs']:,} steps"
    rates = training["learning_rate"] or ()
    known = dict.fromkeys(significant(rate, 3) for rate in (min(rates), max(rates))) if rates else ()
    rate = f", learning rate {' to '.join(known)}" if known else ""
    return f"gradient descent{rate}, at most {training['epochs']:,} epochs"


def share_sentences(found: Mapping[str, Any]) -> list[str]:
    """Return how starts were trained, and what was reached at each beta.

    Parameters
    ----------
    found : mapping
        What `Shares.to_dict` returns.
    """
    starts = len(found["seeds"])
    first = f"{starts} start{'s' if starts != 1 else ''} at each beta, trained by {training_phrase(found['training'])}."
    return [first, *(_sentence(found, lost) for lost in found["not_finished"]), *_new(found)]


def _sentence(found: Mapping[str, Any], lost: Mapping[str, Any]) -> str:
    reached = [f"{_said(item)} reach phase {item['phase']}{_rank(found, item)}" for item in at(found, lost["beta"])]
    rest = [f"{_said(lost)} are {NOT_FINISHED}: they ended at no minimum"] if lost["count"] else []
    return f"At beta = {significant(lost['beta'], 6)}: {'; '.join([*reached, *rest])}."


def _said(item: Mapping[str, Any]) -> str:
    low, high = item["interval"]
    return f"{percent(item['share'], most=0)} ({percent(low, most=0)} to {percent(high, most=0)}) of {item['of']} starts"


def _rank(found: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """Return the rank of a phase, and whether no walk met it."""
    phase = next(phase for phase in found["phases"] if phase["id"] == item["phase"])
    new = ", new" if phase["new"] and has_map(found) else ""
    return f" (rank {item['rank']}{new})"


def _new(found: Mapping[str, Any]) -> list[str]:
    """Say which phases of starts the map did not meet."""
    new = [phase["id"] for phase in found["phases"] if phase["new"]]
    if not has_map(found):
        return []
    if not new:
        return ["Every phase that starts reach is one of the map."]
    names = f"phase {new[0]}" if len(new) == 1 else f"phases {', '.join(map(str, new))}"
    return [f"Only starts find {names}; the map's walk met none of {'it' if len(new) == 1 else 'them'}."]


def has_map(found: Mapping[str, Any]) -> bool:
    """Tell whether a map was given: otherwise every phase is new."""
    return any(not phase["new"] for phase in found["phases"])


def at(found: Mapping[str, Any], beta: float) -> Sequence[Mapping[str, Any]]:
    """Return the shares at a beta that were reached, the largest first."""
    known = [item for item in found["shares"] if item["beta"] == beta and item["count"]]
    return sorted(known, key=lambda item: (-item["count"], item["phase"]))


def share_rows(found: Mapping[str, Any], style: Style) -> list[dict[str, str]]:
    """Return what any table says of shares, by rising beta, the largest first, those that are not finished last."""
    rows = []
    for lost in found["not_finished"]:
        shown = [*at(found, lost["beta"]), *([lost] if lost["count"] else [])]
        rows += [_cells(found, item, style) for item in shown]
    return rows


def _cells(found: Mapping[str, Any], item: Mapping[str, Any], style: Style) -> dict[str, str]:
    decay = significant(weight_decay(item["beta"]), 6) if is_l2(found["convention"]) else style.absent
    return {
        "beta": significant(item["beta"], 6),
        "weight_decay": decay,
        "phase": NOT_FINISHED if item["phase"] is None else str(item["phase"]),
        "found by": _finder(found, item["phase"], style),
        "rank": style.absent if item["rank"] is None else str(item["rank"]),
        "E": style.absent if item["error"] is None else significant(item["error"], style.digits),
        "starts": f"{item['count']} of {item['of']}",
        "share": percent(item["share"], most=0),
        "95 %": style.dash.join(percent(end, most=0) for end in item["interval"]),
    }


def _finder(found: Mapping[str, Any], phase: int | None, style: Style) -> str:
    """Return who found a phase, where there is a map."""
    if phase is None or not has_map(found):
        return style.absent
    return "starts only" if any(item["id"] == phase and item["new"] for item in found["phases"]) else "the map, too"
