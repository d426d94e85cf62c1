"""What a map does not prove, in sentences, once for terminal and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spinodal.minima.minibatch import TRAINERS
from spinodal.minima.solver import SOLVERS
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
    return stretches + [_orders(kind, missing, places, _proof(result, missing)) for (kind, missing), places in unproven.items()]


def _stretch(low: float, high: float, reason: str) -> str:
    ends = f"beta = {significant(low, 5)} and {significant(high, 5)}"
    return f"A jump may have been passed over between {ends}: {reason.rstrip('.')}."


def _proof(result: Mapping[str, Any], missing: str) -> str:
    """Return what to change in the command that would prove an order."""
    if result.get("solver") in TRAINERS:
        return "leave --grid out, which trains for a number of epochs and ends at no minimum"
    if not any(result.get(part) for part in ("branches", "coexistence", "loop")):
        return "add --branches, which follows every phase through its end"
    solver = SOLVERS.get(str(result.get("solver")))
    if "half steps" in missing and solver is not None and not solver.sees_kinks:
        return "add --solver newton_cg, which walks in half steps"
    return "add a narrower --bracket"


def _orders(kind: str, missing: str, places: Sequence[str], proof: str) -> str:
    is_one = len(places) == 1
    which = f"order of the {kind}" if is_one else f"orders of the {kind}s"
    what = f"The {which} at beta = {joined(places)} {'is' if is_one else 'are'} not proven; missing: {missing}."
    return f"{what} To prove {'it' if is_one else 'them'}, {proof}."
