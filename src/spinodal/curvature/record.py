"""Curvature in JSON types, and back; null stands for a number that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spinodal.counts import Counts
from spinodal.curvature.along import Curvature
from spinodal.errors import printable
from spinodal.spectrum.estimate import STATUSES, Estimate
from spinodal.spectrum.saddle_index import STATUSES as COUNTED
from spinodal.spectrum.saddle_index import SaddleIndex

ESTIMATES = ("error", "loss", "trace")


def to_record(curvature: Curvature) -> dict[str, Any]:
    """Return the curvature at a point in JSON types."""
    fisher = curvature.fisher_trace
    return {
        "beta": curvature.beta,
        **{name: estimate_record(getattr(curvature, name)) for name in ESTIMATES},
        "fisher_trace": None if fisher is None else estimate_record(fisher),
        "no_fisher_trace": curvature.no_fisher_trace,
        "index": {"error": index_record(curvature.index_of_error), "loss": index_record(curvature.index_of_loss)},
        "counts": vars(curvature.spent),
    }


def estimate_record(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate in JSON types, without what it cost beside its products."""
    return {
        "value": null(estimate.value),
        "stderr": null(estimate.stderr),
        "products": estimate.products,
        "method": estimate.method,
        "seed": estimate.seed,
        "status": estimate.status,
        "caveats": list(estimate.caveats),
    }


def index_record(index: SaddleIndex) -> dict[str, Any]:
    """Return a saddle index in JSON types: its value, whether it is exact or a lower bound, and how it was counted."""
    return {
        "value": index.value,
        "exact": index.is_exact,
        "lowest": null(index.lowest),
        "zero_modes": index.zero_modes,
        "products": index.products,
        "method": index.method,
        "status": index.status,
    }


def from_record(record: Mapping[str, Any]) -> Curvature:
    """Return the curvature of a record.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is not one that `to_record` made.
    """
    fisher, why = record["fisher_trace"], record.get("no_fisher_trace")
    return Curvature(
        beta=_number(record["beta"], math.nan),
        **{name: _estimate(record[name]) for name in ESTIMATES},
        fisher_trace=None if fisher is None else _estimate(fisher),
        no_fisher_trace=None if why is None else _text(why),
        index_of_error=_index(record["index"]["error"]),
        index_of_loss=_index(record["index"]["loss"]),
        spent=Counts(**{name: _whole(value) for name, value in record["counts"].items()}),
    )


def _estimate(record: Mapping[str, Any]) -> Estimate:
    if record["status"] not in STATUSES:
        raise ValueError(record["status"])
    return Estimate(
        value=_number(record["value"], math.nan),
        stderr=_number(record["stderr"], math.inf),
        products=_whole(record["products"]),
        method=_text(record["method"]),
        seed=_whole(record["seed"]),
        status=record["status"],
        caveats=tuple(map(_text, record["caveats"])),
    )


def _index(record: Mapping[str, Any]) -> SaddleIndex:
    if record["status"] not in COUNTED:
        raise ValueError(record["status"])
    return SaddleIndex(
        value=_whole(record["value"]),
        is_exact=bool(record["exact"]),
        products=_whole(record["products"]),
        lowest=_number(record["lowest"], math.nan),
        zero_modes=None if record["zero_modes"] is None else _whole(record["zero_modes"]),
        method=_text(record["method"]),
        status=record["status"],
    )


def null(value: float) -> float | None:
    """Return a number for JSON, null where it is not finite."""
    return value if math.isfinite(value) else None


def _number(value: Any, missing: float) -> float:
    """Return a number from JSON, where null stands for one that is not finite."""
    if value is None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return printable(value)  # a run may have come from anybody
