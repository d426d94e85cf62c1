"""A transition back from its JSON types, given its points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinodal.errors import printable
from spinodal.store.record import number, optional, positive, text
from spinodal.sweeps.order import Evidence
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


def read_transition(item: Mapping[str, Any], points: Mapping[int, Point]) -> Transition:
    """Return the transition of a record of a result or of a walk.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is no such one, or names other points.
    """
    before, after = item["points"]
    low, high = map(positive, item["bracket"])
    return Transition(
        beta=positive(item["beta"]),
        bracket=(low, high),
        direction=_words(item["direction"]),
        order=_words(item["order"]),
        minor=bool(item["minor"]),
        status=_words(item["status"]),
        before=points[before],
        after=points[after],
        evidence=_evidence(item["evidence"]),
    )


def _evidence(item: Mapping[str, Any]) -> Evidence:
    return Evidence(
        exponent=optional(number, item["exponent"]),
        margin=number(item["margin"]),
        reach=optional(number, item["reach"]),
        halved_step=bool(item["halved_step"]),
        jump_norm_squared=number(item["jump_norm_squared"]),
        jump_curvature=number(item["jump_curvature"]),
    )


def _words(value: object) -> str:
    return printable(text(value))
