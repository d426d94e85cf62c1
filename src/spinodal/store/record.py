"""A point and a transition as records of the journal, in JSON types, and back; tensors lie elsewhere, numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spinodal.codec import positive, read
from spinodal.counts import Counts
from spinodal.minima.minimise import Minimum
from spinodal.observe import Observation
from spinodal.observe.observation import READINGS
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


def read_point(
    record: Mapping[str, Any], theta: Tensor, tangent: Tensor, *, index: int = 0, origin: int | None = None, key: str = ""
) -> Point:
    """Return the point of a record, under the numbers and the key that the journal has beside it.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        If the record is not one that `Point.to_dict` made.
    """
    minimum, seen = record["minimum"], record["observation"]
    spent = Counts(**read(dict[str, int], minimum["stats"]))  # a count of another name is refused
    reading = dict.fromkeys(READINGS) | seen.get("reading", {})
    return Point.from_dict(
        record,
        index=index,
        origin=origin,
        minimum=Minimum.from_dict(minimum, theta=theta, beta=positive(record["beta"]), stats=spent),
        observation=Observation.from_dict({**seen, "reading": reading}),
        tangent=tangent,
        key=key,
    )


def read_transition(record: Mapping[str, Any], points: Mapping[int, Point]) -> Transition:
    """Return the transition of a record of a result or of a walk, given its points.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is no such one, or names other points.
    """
    before, after = record["points"]
    return Transition.from_dict(record, before=points[before], after=points[after])
