"""A point as a record of the journal, in JSON types, and back; theta and the tangent lie elsewhere, numbers beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from torch import Tensor

from spinodal.counts import Counts
from spinodal.minima.minimise import Minimum
from spinodal.minima.minimum import STATUSES
from spinodal.observe import Observation
from spinodal.observe.observation import READINGS
from spinodal.sweeps.point import Point

T = TypeVar("T")

NUMBERS = ("error", "loss", "residual", "margin", "margin_error")  # of a minimum; null stands for NaN


def to_record(point: Point) -> dict[str, Any]:
    """Return a point in JSON types; a number that is not finite becomes null."""
    minimum = point.minimum
    return {
        "beta": point.beta,
        "minimum": {name: _null(getattr(minimum, name)) for name in (*NUMBERS, "zero_modes", "stop", "solver", "of")}
        | {"stats": asdict(minimum.stats)},
        "observation": asdict(point.observation)
        | {"custom": {name: _null(value) for name, value in point.observation.custom.items()}},
        "norm_slope": _null(point.norm_slope),
        "margin_slope": _null(point.margin_slope),
        "speed": _null(point.speed),
        "reference": point.reference,
    }


def from_record(
    line: Mapping[str, Any], theta: Tensor, tangent: Tensor, *, index: int = 0, origin: int | None = None, key: str = ""
) -> Point:
    """Return the point of a record, under the numbers and the key that the journal has beside it.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If the record is not one that `to_record` made.
    """
    return Point(
        index=index,
        origin=origin,
        minimum=_minimum(line["minimum"], positive(line["beta"]), theta),
        observation=_observation(line["observation"]),
        tangent=tangent,
        norm_slope=number(line["norm_slope"]),
        margin_slope=number(line["margin_slope"]),
        speed=number(line.get("speed")),
        reference=number(line.get("reference", 0.0)),
        key=key,
    )


def number(value: object) -> float:
    """Return a number from JSON, where null stands for NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(value)
    return float(value)


def whole(value: object) -> int:
    """Return a whole number from JSON."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def text(value: object) -> str:
    """Return a text from JSON."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def optional(read: Callable[[Any], T], value: Any) -> T | None:
    """Return None for null, else what is read."""
    return None if value is None else read(value)


def positive(value: object) -> float:
    """Return a number > 0 from JSON, as every beta is."""
    beta = number(value)
    if not beta > 0.0:
        raise ValueError(value)
    return beta


def _minimum(record: Mapping[str, Any], beta: float, theta: Tensor) -> Minimum:
    if record["stop"] not in STATUSES:
        raise ValueError(record["stop"])
    return Minimum(
        theta=theta,
        beta=beta,
        error=number(record["error"]),
        loss=number(record["loss"]),
        residual=number(record["residual"]),
        margin=number(record["margin"]),
        margin_error=number(record["margin_error"]),
        zero_modes=optional(whole, record["zero_modes"]),
        stop=record["stop"],
        solver=text(record["solver"]),
        stats=Counts(**_values(whole, record["stats"])),
        of=optional(text, record.get("of")),
    )


def _observation(record: Mapping[str, Any]) -> Observation:
    return Observation(
        norm=number(record["norm"]),
        distance=number(record["distance"]),
        conjugate=optional(number, record.get("conjugate")),
        singular_values=_values(_row(number), record["singular_values"]),
        ranks=_values(whole, record["ranks"]),
        rank=whole(record["rank"]),
        accuracy=_parts(number, record["accuracy"]),
        class_accuracy=_parts(_row(lambda value: optional(number, value)), record["class_accuracy"]),
        confusion=_parts(_row(_row(whole)), record.get("confusion") or {"train": None, "held_out": None}),
        output_variance=optional(number, record["output_variance"]),
        from_centre=optional(number, record.get("from_centre")),
        custom=_values(number, record["custom"]),
        reading=dict.fromkeys(READINGS) | _values(lambda value: optional(text, value), record.get("reading", {})),
    )


def _values(read: Callable[[Any], T], record: Mapping[str, Any]) -> dict[str, T]:
    return {name: read(value) for name, value in record.items()}


def _parts(read: Callable[[Any], T], record: Mapping[str, Any]) -> dict[str, T | None]:
    return {part: optional(read, record[part]) for part in ("train", "held_out")}


def _row(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """Return a reader of lists."""

    def row(values: Any) -> tuple[T, ...]:
        if not isinstance(values, list):
            raise TypeError(values)
        return tuple(map(read, values))

    return row


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
