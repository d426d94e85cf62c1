"""What a map does not prove, in sentences, once for terminal and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinodal.words.numbers import half, significant, to_error


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
    return stretches + [_order(item) for item in result["transitions"] if item.get("missing") and not item["minor"]]


def _stretch(low: float, high: float, reason: str) -> str:
    ends = f"beta = {significant(low, 5)} and {significant(high, 5)}"
    return f"A jump may have been passed over between {ends}: {reason.rstrip('.')}."


def _order(item: Mapping[str, Any]) -> str:
    place = to_error(item["beta"], half(item["bracket"]))
    return f"The order of the {item['kind'].partition(',')[0]} at beta = {place} is not proven; missing: {item['missing']}."
