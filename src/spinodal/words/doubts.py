"""What a map does not prove, in sentences, once for terminal and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.words.numbers import half, significant, to_error
from spinodal.words.sentences import joined


def doubts(result: Mapping[str, Any]) -> list[str]:
    """Return where a macroscopic jump may have been passed over, and which order lacks what evidence.

    Parameters
    ----------
    result : mapping
        The JSON result.

    Examples
    --------
    >>> doubts({"incomplete": [[0.1, 0.2, "the point at its end did not converge"]], "transitions": []})
    ['A jump may have been passed over between beta = 0.1 and 0.2: the point at its end did not converge.']
    """
    stretches = [_stretch(*item) for item in result.get("incomplete", ())]
    unproven: dict[tuple[str, str], list[str]] = {}
    for item in result["transitions"]:
        if item.get("missing") and not item["minor"]:
            kind = item["kind"].partition(",")[0]
            unproven.setdefault((kind, item["missing"]), []).append(to_error(item["beta"], half(item["bracket"])))
    return stretches + [_orders(kind, missing, places) for (kind, missing), places in unproven.items()]


def _stretch(low: float, high: float, reason: str) -> str:
    ends = f"beta = {significant(low, 5)} and {significant(high, 5)}"
    return f"A jump may have been passed over between {ends}: {reason.rstrip('.')}."


def _orders(kind: str, missing: str, places: Sequence[str]) -> str:
    which = f"order of the {kind}" if len(places) == 1 else f"orders of the {kind}s"
    return f"The {which} at beta = {joined(places)} {'is' if len(places) == 1 else 'are'} not proven; missing: {missing}."
