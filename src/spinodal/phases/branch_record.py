"""A branch from its record, without parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from spinodal.branches.branch import Branch
from spinodal.branches.point import COLUMNS, StationaryPoint
from spinodal.branches.special import BranchPoint, Fold
from spinodal.codec import read
from spinodal.counts import Counts

Special = TypeVar("Special", Fold, BranchPoint)
NOTHING = torch.empty(0)


def read_branch(record: Mapping[str, Any]) -> Branch:
    """Return the branch that `Branch.to_dict` made a record of: all but theta, tangents, null vectors and what it cost.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        If the record is no such one.
    """
    columns = record["points"]
    is_exact, names = read(bool, columns["index_is_exact"]), COLUMNS.split()
    points = [
        StationaryPoint.from_dict(dict(zip(names, row, strict=True)), theta=NOTHING, tangent=NOTHING, index_is_exact=is_exact)
        for row in zip(*(columns[name] for name in names), strict=True)
    ]

    def special(kind: type[Special], items: list[dict[str, Any]]) -> tuple[Special, ...]:
        return tuple(kind.from_dict(item, point=points[item["point"]], null_vector=NOTHING) for item in items)

    folds, crossings = special(Fold, record["folds"]), special(BranchPoint, record["branch_points"])
    return Branch.from_dict(record, points=tuple(points), folds=folds, branch_points=crossings, spent=Counts())
