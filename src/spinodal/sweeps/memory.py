"""A recorder that keeps what it is given as long as it lives: of a worker, or of a map without a run folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spinodal.sweeps.point import Point
from spinodal.sweeps.request import Request


class Memory:
    """Points and facts by the keys of what was asked for.

    Attributes
    ----------
    made : list of (Request, Point)
        What was kept, in the order made.
    """

    def __init__(self) -> None:
        self.made: list[tuple[Request, Point]] = []
        self._points: dict[str, Point] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self._beside: dict[str, Memory] = {}

    def recall(self, request: Request, index: int) -> Point | None:
        """Return the point of a request, or None if it was not computed yet."""
        return self._points.get(request.key)

    def keep(self, request: Request, point: Point) -> None:
        """Keep a point."""
        self.made.append((request, point))
        self._points[request.key] = point

    def take(self, request: Request, point: Point) -> None:
        """Keep a point that was computed ahead, if it is not known."""
        self._points.setdefault(request.key, point)

    def knows(self, name: str) -> bool:
        """Tell whether a fact is there."""
        return name in self._notes

    def note(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a fact, made if it is not there yet."""
        if name not in self._notes:
            self._notes[name] = make()
        return self._notes[name]

    def beside(self, scope: str) -> Memory:
        """Return a recorder for work beside, the same for the same scope."""
        return self._beside.setdefault(scope, Memory())

    def seconds(self, now: float) -> float:
        """Return the seconds of this process."""
        return now
