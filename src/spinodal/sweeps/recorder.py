"""Where a walk keeps what it computes, and where it finds what is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from spinodal.sweeps.point import Point
from spinodal.sweeps.request import Request


class Recorder(Protocol):
    """Where points are kept, and recalled from when an interrupted computation is repeated, or one that went ahead is met."""

    def recall(self, request: Request, index: int) -> Point | None:
        """Return the recorded point of a request under this number, or None if it was not computed yet."""
        ...

    def keep(self, request: Request, point: Point) -> None:
        """Record a point before what builds on it is started."""
        ...

    def take(self, request: Request, point: Point) -> None:
        """Record a point that was computed ahead, if it is not known; it has its number once the walk comes to it."""
        ...

    def knows(self, name: str) -> bool:
        """Tell whether a fact is recorded."""
        ...

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a recorded fact, made and recorded if it is not there yet."""
        ...

    def beside(self, scope: str) -> Recorder:
        """Return a recorder for work beside the map, told from all other work by `scope`; its points have no numbers."""
        ...

    def seconds(self, now: float) -> float:
        """Return the seconds spent so far, `now` of them in this process."""
        ...


class Forgetful:
    """A recorder that keeps nothing."""

    def recall(self, request: Request, index: int) -> Point | None:
        """Return None: nothing was recorded."""
        return None

    def keep(self, request: Request, point: Point) -> None:
        """Do nothing."""

    def take(self, request: Request, point: Point) -> None:
        """Do nothing."""

    def knows(self, name: str) -> bool:
        """Return False: nothing was recorded."""
        return False

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make the fact."""
        return make()

    def beside(self, scope: str) -> Recorder:
        """Return itself: nothing is kept of that either."""
        return self

    def seconds(self, now: float) -> float:
        """Return the seconds of this process."""
        return now
