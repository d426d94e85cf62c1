"""Special points of a branch: folds and branch points, polished and with the evidence for their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from spinodal.branches.point import StationaryPoint
from spinodal.codec import Record, one_of
from spinodal.minima.minimise import Minimum
from spinodal.shown import Shown

STATUSES = {
    "converged": "converged: the defining equations hold to the tolerance",
    "bracketed": "bracketed: the points on both sides are solved, the place between them is not polished",
    "not converged": "not converged: Newton's iteration on the defining equations stopped short; the place is approximate",
    "not classified": "not classified: neither the equations of a fold nor those of a branch point have a solution nearby",
}


COMMON = (  # keys of both in JSON
    "beta error=point.error loss=point.loss norm_squared=point.norm_squared index overlap eigenvalue residual=point.residual "
    "status point=place iterations"
)


@dataclass(frozen=True, repr=False)
class Special(Shown, Record):
    """What folds and branch points have in common: a solution of `Hess L phi = 0` and how well it is known (see `Fold`)."""

    point: StationaryPoint
    null_vector: Tensor
    eigenvalue: float
    overlap: float
    index: tuple[int, int]
    status: Annotated[str, one_of(STATUSES)]
    iterations: int
    place: int

    @property
    def beta(self) -> float:
        """Return beta there: that of the spinodal, or of the branch point."""
        return self.point.beta

    @property
    def theta(self) -> Tensor:
        """Return theta there, shape (n,)."""
        return self.point.theta


@dataclass(frozen=True, repr=False)
class Fold(Special):
    """A turning point in beta, where a minimum meets a saddle: `Hess L phi = 0`, `phi . (theta - centre) != 0`.

    Attributes
    ----------
    point : StationaryPoint
        The polished solution.
    null_vector : Tensor, shape (n,)
        phi, a unit vector, in the direction walked.
    eigenvalue : float
        `phi . Hess L phi`, which is 0 at the fold; together with `point.residual` the error of the solve.
    overlap : float
        `|phi . (theta - centre)| / ||theta - centre||`: far from 0 at a fold, 0 at a branch point.
    side : {"upper", "lower"}
        Whether beta has a maximum here (the upper end of the phase) or a minimum.
    index : tuple of two int
        Morse index before and after, in the direction walked.
    bracket : (lower, upper)
        In beta: how well the place is known. It has no width beyond rounding where the fold was polished.
    minor : bool
        Whether E changes by less than 1 % of its range here (see `mark_minor`): soft modes make many such folds.
    status : str
        A key of `STATUSES`.
    iterations : int
        Newton steps spent on the polish.
    place : int
        Of its point among those of the branch.
    fall : Minimum or None
        Where a phase ends: the minimum that it falls into just past its end. None where that was not followed.
    """

    JSON = f"{COMMON} side minor bracket"

    side: Annotated[str, one_of(("upper", "lower"))]
    bracket: tuple[float, float]
    minor: bool
    fall: Minimum | None = None

    @property
    def is_spinodal(self) -> bool:
        """Tell whether a phase ends here: one side is stable, the other is not."""
        return 0 in self.index and self.index != (0, 0)

    def __str__(self) -> str:
        """Return the fold in one line."""
        kind = "minor fold" if self.minor else "fold"
        return (
            f"{kind} at beta = {self.beta:.10g} ({self.side}): E = {self.point.error:.6g}, "
            f"index {_told(self.index, self.point)}; residual {self.point.residual:.1e}, eigenvalue {self.eigenvalue:.1e}, "
            f"overlap {self.overlap:.2g}; {STATUSES[self.status].split(':')[0]}"
        )


def _told(index: tuple[int, int], point: StationaryPoint) -> str:
    """Return the indices on both sides as words have them: `0 -> 1`, or `>= 0 -> >= 1` where they are lower bounds."""
    least = "" if point.index_is_exact else ">= "
    return f"{least}{index[0]} -> {least}{index[1]}"


@dataclass(frozen=True, repr=False)
class BranchPoint(Special):
    """A point where branches cross: `Hess L phi = 0` with `phi . (theta - centre) = 0`, phi no symmetry direction.

    Attributes
    ----------
    point : StationaryPoint
    null_vector : Tensor, shape (n,)
    eigenvalue, overlap : float
        As in `Fold`; here both are 0.
    kind : {"pitchfork", "crossing"}
        "pitchfork" where the branch walked turned back in beta, its eigenvalue only touching zero, or where
        `D^3 L [phi, phi, phi] = 0`; else "crossing" (transcritical).
    side_branch : bool
        Whether it was met from the branch that ends here. The walk then went on along the other one, the trunk,
        to where that is stable.
    multiplicity : int
        Number of eigenvalues that vanish here (modes of a linear layer vanish together).
    index : tuple of two int
        Morse index before and after, in the direction walked.
    status : str
        A key of `STATUSES`.
    iterations : int
    place : int
        Of its point among those of the branch.
    """

    JSON = f"{COMMON} kind side_branch multiplicity"

    kind: Annotated[str, one_of(("pitchfork", "crossing"))]
    side_branch: bool
    multiplicity: int

    def __str__(self) -> str:
        """Return the branch point in one line."""
        met = ", met from its side branch" if self.side_branch else ""
        return (
            f"{self.kind} at beta = {self.beta:.10g}{met}: E = {self.point.error:.6g}, "
            f"index {_told(self.index, self.point)}; residual {self.point.residual:.1e}, "
            f"eigenvalue {self.eigenvalue:.1e}, overlap {self.overlap:.1e}; {STATUSES[self.status].split(':')[0]}"
        )
