"""Which folds matter: soft modes make pairs of them between which hardly anything changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from spinodal.continuation.branch import Branch
from spinodal.transitions import MACROSCOPIC


def mark_minor(branch: Branch, error_range: float) -> Branch:
    """Return the branch with its minor folds marked as such; `error_range` is what 1 % is taken of.

    Two neighbouring folds are the turns of one S. Where E differs by less than 1 % of its range between them,
    both are minor; the smallest S is taken out first, so that a large one with a dent stays large.
    """
    errors = [point.error for point in branch.points]
    minor = minor_pairs([fold.point.error for fold in branch.folds], MACROSCOPIC * max(error_range, max(errors) - min(errors)))
    return replace(branch, folds=tuple(replace(fold, minor=k in minor) for k, fold in enumerate(branch.folds)))


def minor_pairs(errors: Sequence[float], least: float) -> set[int]:
    """Return which values, in neighbouring pairs that differ by less than `least`, the closest pairs first.

    Examples
    --------
    >>> sorted(minor_pairs([0.1, 0.5, 0.501, 0.9], 0.01))
    [1, 2]
    """
    left, minor = list(range(len(errors))), set[int]()
    while len(left) > 1:
        gaps = [abs(errors[b] - errors[a]) for a, b in pairwise(left)]
        place = min(range(len(gaps)), key=gaps.__getitem__)
        if gaps[place] >= least:
            break
        minor.update(left[place : place + 2])
        del left[place : place + 2]
    return minor
