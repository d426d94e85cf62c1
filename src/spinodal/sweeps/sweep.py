"""The result of a walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.shown import Drawn
from spinodal.sweeps.certificate import Certificate, certify
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True, repr=False)
class Sweep(Drawn):
    """The result of a walk.

    Attributes
    ----------
    points : tuple of Point
        On the followed branches, in the order walked.
    transitions : tuple of Transition
        In the order met.
    status : str
    """

    points: tuple[Point, ...]
    transitions: tuple[Transition, ...]
    status: str

    @property
    def certificate(self) -> Certificate:
        """Return how continuous the walk is between its points, and where that cannot be said."""
        return certify(self.points, self.transitions)

    @property
    def stretches(self) -> tuple[tuple[Point, ...], ...]:
        """Return the points from one macroscopic transition to the next, in the order walked."""
        borders = {transition.after.index for transition in self.transitions if not transition.minor}
        stretches: list[list[Point]] = [[]]
        for point in self.points:
            if point.index in borders:
                stretches.append([])
            stretches[-1].append(point)
        return tuple(map(tuple, stretches))

    def smooth_end(self, stretch: Sequence[Point]) -> tuple[Point, ...]:
        """Return the part of a stretch behind its last minor transition."""
        borders = {transition.after.index for transition in self.transitions}
        first = max((k for k, point in enumerate(stretch) if point.index in borders), default=0)
        return tuple(stretch[first:])

    def __str__(self) -> str:
        """Return the walk and its macroscopic transitions, one per line."""
        found = [item for item in self.transitions if not item.minor]
        minor = len(self.transitions) - len(found)
        first, last = self.points[0].beta, self.points[-1].beta
        head = (
            f"walk from beta = {first:.6g} to {last:.6g} in {len(self.points)} points: {len(found)} macroscopic and "
            f"{minor} minor transitions; {self.status}"
        )
        return "\n".join([head, *map(str, found)])
