"""First-order transitions of the L2 walk, and the saddles in which they begin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from spinodal.branches import continue_branch
from spinodal.codec import Record, Unbounded
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.spectrum.operator import affords_dense

BEYOND = 1.1  # times the upper end of the bracket of a jump: how far its minimiser is followed
AREA = 1e-3  # what the walk to the saddle may miss: the fold itself is polished


@dataclass(frozen=True)
class Saddle:
    """Where the minimiser of the walk meets the saddle of index 1 that it vanishes with: the spinodal of the walk.

    Attributes
    ----------
    beta : float
    error : float
        E there.
    distance : float
        From the target.
    """

    beta: float
    error: float
    distance: float


@dataclass(frozen=True)
class Jump(Record):
    """A first-order transition of the walk: within the bracket of beta its minimiser jumps, and E changes on the way.

    Attributes
    ----------
    beta : (lower, upper)
        Of `E + beta ||theta - target||^2`.
    distance : (before, after)
        From the target.
    error : (before, after)
    highest : float
        The largest E at points of the fall.
    start : str
        The end from which the walk came, "a" or "b"; the other one is its target.
    before : Tensor, shape (n,)
        The minimiser at the lower beta.
    saddle : Saddle or None
        None where none was found, or no dense Hessian is affordable.
    """

    JSON = "beta distance error highest start saddle"

    beta: tuple[float, float]
    distance: tuple[float, float]
    error: tuple[float, float]
    highest: Unbounded
    before: Tensor = field(repr=False, compare=False)
    start: str = ""
    saddle: Saddle | None = None

    def with_saddle(self, landscape: Landscape, target: Tensor) -> Jump:
        """Return the jump with its saddle, to which its minimiser is followed by pseudo-arclength, where that leads there."""
        return replace(self, saddle=_saddle(landscape, self, target))


def _saddle(landscape: Landscape, jump: Jump, target: Tensor) -> Saddle | None:
    if not affords_dense(landscape):
        return None
    penalty, (lower, upper) = Penalty(centre=target), jump.beta
    try:
        branch = continue_branch(
            landscape,
            jump.before,
            beta=lower,
            to=BEYOND * upper,
            penalty=penalty,
            through_folds=False,
            area=AREA,
        )
    except SpinodalError:
        return None
    if not branch.spinodals:
        return None
    fold = branch.spinodals[0]
    return Saddle(fold.beta, fold.point.error, float((fold.theta - target).norm()))
