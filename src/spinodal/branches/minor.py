"""Which folds matter: where a minimum ends, by how far it falls; elsewhere, by what changes between two folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from spinodal.branches.branch import Branch
from spinodal.branches.special import Fold
from spinodal.definitions import MACROSCOPIC
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.minima.minimise import Minimum, solve
from spinodal.minima.solver import solver_for

BEYOND = 1e-3  # of beta: how far past a fold its fall is looked at


def mark_minor(branch: Branch, error_range: float, fall: Callable[[Fold], Minimum] | None = None) -> Branch:
    """Return the branch with its minor folds marked as such; `error_range` is what 1 % is taken of.

    Where a phase ends, its fold is minor if E changes by less than 1 % as the minimum falls (`fall` tells where to).
    Otherwise two neighbouring folds are taken as the turns of one S: where E differs by less than 1 % between them,
    both are minor; the smallest S is taken out first, so that a large one with a dent stays large.
    """
    errors = [point.error for point in branch.points]
    least = MACROSCOPIC * max(error_range, max(errors) - min(errors))
    pairs = minor_pairs([fold.point.error for fold in branch.folds], least)
    folds = []
    for place, fold in enumerate(branch.folds):
        end = fold.fall or (fall(fold) if fall is not None and fold.is_spinodal else None)
        small = place in pairs if end is None else abs(end.error - fold.point.error) < least
        folds.append(replace(fold, fall=end, minor=small))
    return replace(branch, folds=tuple(folds))


def fall_from(landscape: Landscape, control: Control, fold: Fold) -> Minimum:
    """Return the minimum into which a phase falls just past its end."""
    beyond = control.axis.nudged(fold.beta, BEYOND if fold.side == "upper" else -BEYOND)
    return solve(Regularised(landscape, beyond, control), fold.theta, solver=solver_for(landscape))[0]


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
