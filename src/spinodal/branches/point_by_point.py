"""A walk along a branch that hands out its points one by one; iterate over it, stop whenever, go on later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

from spinodal.branches.point import StationaryPoint
from spinodal.branches.special import Fold


class PointByPoint(ABC):
    """What walks by arclength and at fixed norm have in common.

    Parameters
    ----------
    at : exact values of beta at which points are wanted
    """

    def __init__(self, at: tuple[float, ...] = ()) -> None:
        self.at, self.stop = at, ""
        self.folds: list[Fold] = []
        self._ready: deque[StationaryPoint] = deque()
        self._found = 0

    @abstractmethod
    def _advance(self) -> None:
        """Take one step."""

    def __iter__(self) -> Iterator[StationaryPoint]:
        """Return itself."""
        return self

    def __next__(self) -> StationaryPoint:
        """Return the next point along the branch."""
        while not self._ready:
            if self.stop:
                raise StopIteration
            self._advance()
        return self._ready.popleft()

    def _emit(self, point: StationaryPoint) -> None:
        """Hand out a point; its place is the number of those before it."""
        self._ready.append(point)
        self._found += 1

    def _asked(self, a: float, b: float) -> list[float]:
        """Return the values of beta between two at which points are wanted, in the direction walked."""
        return sorted((beta for beta in self.at if min(a, b) < beta < max(a, b)), reverse=a > b)
