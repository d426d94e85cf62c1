"""What a watcher of a map may be told."""

from __future__ import annotations

import math

from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


class Progress:
    """What a watcher of a map may be told; the default says nothing."""

    def range(self, low: float, high: float, solver: str) -> None:
        """Hear the range of beta and the solver, once known."""

    def stage(self, what: str) -> None:
        """Hear what is done next, before the walk."""

    def point(self, point: Point) -> None:
        """Hear of a point on the followed branch."""

    def transition(self, transition: Transition) -> None:
        """Hear of a transition, as it is found."""

    def walked(self, diagram: PhaseDiagram) -> None:
        """Hear of the finished walk, recorded, before anything that builds on it is tried."""

    def beside(self, point: Point) -> None:
        """Hear, after the walk, of a point on a phase that is followed to its end."""

    def curvature(self, done: int, total: int) -> None:
        """Hear, after the walk, at how many points the curvature is known, before the next one is computed."""

    def failed(self, what: str, cause: BaseException) -> None:
        """Hear that a part which builds on the walk failed, as it does."""


def log_fraction(beta: float, low: float, high: float) -> float:
    """Return how far beta is between low and high, on a log scale, 0 to 1."""
    return min(max(math.log(beta / low) / math.log(high / low), 0.0), 1.0)
