"""A branch in JSON types, and back; parameters are left out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from spinodal.branches import special
from spinodal.branches.branch import STATUSES, Branch
from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import BranchPoint, Fold
from spinodal.counts import Counts

NUMBERS = ("beta", "error", "loss", "norm_squared", "residual", "margin", "beta_rate", "norm_rate")
WHOLE = ("index", "zero_modes")
METHODS, SIDES, KINDS = ("arclength", "fixed norm"), ("upper", "lower"), ("pitchfork", "crossing")


def to_record(branch: Branch) -> dict[str, Any]:
    """Return a branch in JSON types: everything but theta, tangents, null vectors and what it cost."""
    certificate = branch.area
    return {
        "method": branch.method,
        "status": branch.status,
        "stop": branch.stop,
        "points": _points(branch.points),
        "folds": [_fold(fold) for fold in branch.folds],
        "branch_points": [_branch_point(item) for item in branch.branch_points],
        "area": {"worst": _null(certificate.worst), "place": certificate.place},
    }


def from_record(record: Mapping[str, Any]) -> Branch:
    """Return the branch of a record; its points have no parameters.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        If the record is not one that `to_record` made.
    """
    points = _stationary(record["points"])
    return Branch(
        points=points,
        folds=tuple(_fold_of(item, points) for item in record["folds"]),
        branch_points=tuple(_branch_point_of(item, points) for item in record["branch_points"]),
        method=_one_of(METHODS, record["method"]),
        stop=_one_of(STATUSES, record["stop"]),
        spent=Counts(),
    )


def _points(points: Sequence[StationaryPoint]) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [_null(getattr(point, name)) for point in points] for name in NUMBERS}
    columns |= {name: [getattr(point, name) for point in points] for name in WHOLE}
    return columns | {"index_is_exact": all(point.index_is_exact for point in points)}


def _stationary(columns: Mapping[str, Any]) -> tuple[StationaryPoint, ...]:
    nothing = torch.empty(0)
    rows = zip(*(columns[name] for name in (*NUMBERS, *WHOLE)), strict=True)
    made = []
    for row in rows:
        named = dict(zip((*NUMBERS, *WHOLE), row, strict=True))
        numbers = {name: _number(named[name]) for name in NUMBERS}
        made.append(
            StationaryPoint(
                theta=nothing,
                tangent=nothing,
                index=int(named["index"]),
                zero_modes=named["zero_modes"],
                index_is_exact=bool(columns["index_is_exact"]),
                **numbers,
            )
        )
    return tuple(made)


def _special(item: Fold | BranchPoint) -> dict[str, Any]:
    point = item.point
    return {
        "beta": point.beta,
        "error": point.error,
        "loss": point.loss,
        "norm_squared": point.norm_squared,
        "index": list(item.index),
        "overlap": _null(item.overlap),
        "eigenvalue": _null(item.eigenvalue),
        "residual": _null(point.residual),
        "status": item.status,
        "point": item.place,
        "iterations": item.iterations,
    }


def _fold(fold: Fold) -> dict[str, Any]:
    return _special(fold) | {"side": fold.side, "minor": fold.minor, "bracket": list(fold.bracket)}


def _branch_point(item: BranchPoint) -> dict[str, Any]:
    own = {"kind": item.kind, "side_branch": item.side_branch, "multiplicity": item.multiplicity}
    return _special(item) | own


def _common(item: Mapping[str, Any], points: Sequence[StationaryPoint]) -> dict[str, Any]:
    before, after = map(int, item["index"])
    return {
        "point": points[item["point"]],
        "null_vector": torch.empty(0),
        "eigenvalue": _number(item["eigenvalue"]),
        "overlap": _number(item["overlap"]),
        "index": (before, after),
        "status": _one_of(special.STATUSES, item["status"]),
        "iterations": int(item["iterations"]),
        "place": int(item["point"]),
    }


def _fold_of(item: Mapping[str, Any], points: Sequence[StationaryPoint]) -> Fold:
    low, high = map(_number, item["bracket"])
    own: dict[str, Any] = {"side": _one_of(SIDES, item["side"]), "minor": bool(item["minor"]), "bracket": (low, high)}
    return Fold(**_common(item, points), **own)


def _branch_point_of(item: Mapping[str, Any], points: Sequence[StationaryPoint]) -> BranchPoint:
    own: dict[str, Any] = {
        "kind": _one_of(KINDS, item["kind"]),
        "side_branch": bool(item["side_branch"]),
        "multiplicity": int(item["multiplicity"]),
    }
    return BranchPoint(**_common(item, points), **own)


def _one_of(known: Collection[str], word: Any) -> str:
    """Return a word if it is one of those known."""
    if word not in known:
        raise ValueError(word)
    return str(word)


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
