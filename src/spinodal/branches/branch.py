"""A branch of stationary points: stable and unstable parts, its special points and its certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, TypeVar

from spinodal.branches.area import AreaCertificate, area_certificate
from spinodal.branches.coexistence import Coexistence
from spinodal.branches.point import COLUMNS, StationaryPoint
from spinodal.branches.special import BranchPoint, Fold
from spinodal.codec import Record, columns, one_of
from spinodal.counts import Counts
from spinodal.shown import Drawn

STATUSES = {
    "reached": "complete: the branch reached the beta that was asked for",
    "range": "complete: the branch left the range of beta that was asked for",
    "fold": "stopped at a fold, as was asked",
    "norm": "complete: the branch reached the norm that was asked for",
    "points": "stopped: the number of points that was asked for is used up; continue from this branch",
    "closed": "complete: the branch came back to where it began",
    "interrupted": "stopped from outside; continue from this branch",
    "stalled": "stalled: not even the smallest step led on along this branch; E may have a kink (ReLU?) here",
    "not classified": "stopped at a point that is neither a fold nor a simple branch point",
    "jump": "stopped: the constrained minimum jumps here, as the branch turns back in the norm; arclength can follow it",
    "start": "not begun: the start could not be solved to the tolerance",
}
METHODS = ("arclength", "fixed norm")
COMPLETE = ("reached", "range", "fold", "norm", "closed")


Special = TypeVar("Special", Fold, BranchPoint)


@dataclass(frozen=True, repr=False)
class Branch(Drawn, Record):
    """Stationary points along one branch, in the order walked.

    Attributes
    ----------
    points : tuple of StationaryPoint
        Folds and branch points included, at their places.
    folds : tuple of Fold
    branch_points : tuple of BranchPoint
    method : {"arclength", "fixed norm"}
    stop : str
        A key of `STATUSES`.
    spent : Counts
    coexistence : tuple of Coexistence
        Where stable parts of this very branch have equal L.
    seconds : float
    """

    JSON = "method status stop points=_columns folds branch_points area"

    points: tuple[StationaryPoint, ...]
    folds: tuple[Fold, ...]
    branch_points: tuple[BranchPoint, ...]
    method: Annotated[str, one_of(METHODS)]
    stop: Annotated[str, one_of(STATUSES)]
    spent: Counts
    coexistence: tuple[Coexistence, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def status(self) -> str:
        """Return a sentence about how the walk ended."""
        return STATUSES[self.stop]

    @property
    def is_complete(self) -> bool:
        """Tell whether the walk ended where it was meant to."""
        return self.stop in COMPLETE

    @property
    def beta(self) -> tuple[float, ...]:
        """Return beta along the points."""
        return tuple(point.beta for point in self.points)

    @property
    def index(self) -> tuple[int, ...]:
        """Return the Morse index along the points."""
        return tuple(point.index for point in self.points)

    @property
    def spinodals(self) -> tuple[Fold, ...]:
        """Return the folds at which a stable part ends or begins, minor ones left out."""
        return tuple(fold for fold in self.folds if fold.is_spinodal and not fold.minor)

    @cached_property
    def area(self) -> AreaCertificate:
        """Return the area certificate of the whole branch."""
        return area_certificate(self.points)

    @property
    def _columns(self) -> dict[str, Any]:
        """Return the points as columns, without what has the length of theta."""
        return columns(self.points, COLUMNS) | {"index_is_exact": all(point.index_is_exact for point in self.points)}

    @property
    def special(self) -> dict[int, Fold | BranchPoint]:
        """Return folds and branch points by the places of their points."""
        special: tuple[Fold | BranchPoint, ...] = (*self.folds, *self.branch_points)
        return {item.place: item for item in special}

    def at_places(self, places: Sequence[int]) -> Branch:
        """Return the branch with its points at these places alone, and the special ones among them.

        Places need not rise: in falling order the branch is walked the other way.
        """
        back = len(places) > 1 and places[0] > places[-1]
        new = {place: k for k, place in enumerate(places)}
        points = tuple(self.points[place].reversed() if back else self.points[place] for place in places)

        def moved(items: Sequence[Special]) -> tuple[Special, ...]:
            kept = sorted((item for item in items if item.place in new), key=lambda item: new[item.place])
            return tuple(_moved(item, points, new[item.place], back=back) for item in kept)

        return replace(self, points=points, folds=moved(self.folds), branch_points=moved(self.branch_points))

    def followed_by(self, more: Branch) -> Branch:
        """Return this branch with its continuation, whose first point is the last one of this."""
        shift = len(self.points) - 1
        return Branch(
            points=self.points + more.points[1:],
            folds=self.folds + tuple(replace(fold, place=fold.place + shift) for fold in more.folds),
            branch_points=self.branch_points + tuple(replace(item, place=item.place + shift) for item in more.branch_points),
            method=more.method,
            stop=more.stop,
            spent=self.spent + more.spent,
            coexistence=self.coexistence + more.coexistence,
            seconds=self.seconds + more.seconds,
        )

    def parts(self) -> Iterator[tuple[StationaryPoint, ...]]:
        """Yield the stretches between special points, stable and unstable ones, ends shared."""
        special = self.special
        stretch: list[StationaryPoint] = []
        for place, point in enumerate(self.points):
            stretch.append(point)
            if place in special and len(stretch) > 1:
                yield tuple(stretch)
                stretch = [point]
        if len(stretch) > 1:
            yield tuple(stretch)

    def __str__(self) -> str:
        """Return the branch and its special points, one per line."""
        low, high = min(self.beta), max(self.beta)
        head = (
            f"branch of {len(self.points)} points by {self.method}, beta {low:.6g} to {high:.6g}, "
            f"index {self.points[0].index_text} to {self.points[-1].index_text}; {self.status}; {self.area}"
        )
        return "\n".join([head, *map(str, (*self.folds, *self.branch_points, *self.coexistence))])


def _moved(item: Special, points: Sequence[StationaryPoint], place: int, *, back: bool) -> Special:
    """Return a special point at another place of a branch, which may be walked the other way."""
    index, vector = (item.index[::-1], -item.null_vector) if back else (item.index, item.null_vector)
    return replace(item, point=points[place], null_vector=vector, index=index, place=place)
