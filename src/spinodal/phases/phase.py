"""A phase: a stretch of one followed branch between macroscopic transitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from spinodal.branches.branch import Branch
from spinodal.definitions import ALIVE
from spinodal.phases.existence import Existence
from spinodal.shown import Drawn
from spinodal.sweeps.point import Point


@dataclass(frozen=True, repr=False)
class Phase(Drawn):
    """A stretch of one followed branch between macroscopic transitions.

    Attributes
    ----------
    id : int
        Counted from the lowest beta. Phases that only the way back of a loop met come after these, in the order met, and last
        those that only random starts found.
    points : tuple of Point
        By rising beta.
    falls_to : int or None
        The phase that the walk entered when this one ended.
    existence : Existence or None
        In a loop: the whole range in which the phase is a minimum.
    beyond : tuple of Point
        In a loop: points of the phase outside of `beta`, to which it was followed in search of its ends; by rising beta.
    branch : Branch or None
        Where branches were followed: through the fold in which the phase ends, and along the saddles behind it.
    """

    id: int
    points: tuple[Point, ...]
    falls_to: int | None
    existence: Existence | None = None
    beyond: tuple[Point, ...] = ()
    branch: Branch | None = field(default=None, compare=False, repr=False)

    @property
    def beta(self) -> tuple[float, float]:
        """Return the range of beta that was followed."""
        return self.points[0].beta, self.points[-1].beta

    @property
    def rank(self) -> int:
        """Return the effective rank on most of the phase."""
        return int(self._typical([point.observation.rank for point in self.points]))

    @property
    def error(self) -> tuple[float, float]:
        """Return E at the lowest and at the highest beta."""
        return self.points[0].error, self.points[-1].error

    @property
    def classes(self) -> tuple[int, ...] | None:
        """Return the classes whose recall is at least .5 on most of the phase; None without classes.

        None of them is alive where the predictor is constant. They are those of the training data, or of the held-out data
        where these have classes to which the model was not trained.
        """
        part = self.points[0].observation.telling
        recalls = [point.observation.class_accuracy[part] for point in self.points]
        if any(recall is None for recall in recalls):
            return None
        alive = []
        for index in range(len(recalls[0] or ())):
            votes = [bool(recall and (recall[index] or 0.0) >= ALIVE and not _is_constant(recall)) for recall in recalls]
            if self._typical(votes):
                alive.append(index)
        return tuple(alive)

    def accuracy(self, part: str) -> tuple[float, float] | None:
        """Return the accuracy on "train" or "held_out" at the lowest and the highest beta."""
        low, high = (point.observation.accuracy[part] for point in (self.points[0], self.points[-1]))
        return None if low is None or high is None else (low, high)

    def mean_accuracy(self, part: str) -> float | None:
        """Return the accuracy on "train" or "held_out", averaged over the phase evenly in beta; None where it is not known.

        That is `integral of accuracy dbeta / (high - low)` on straight lines between points, to which the mean over a uniform
        grid of weight decays tends.

        Examples
        --------
        >>> from types import SimpleNamespace as Seen
        >>> points = [Seen(beta=b, observation=Seen(accuracy={"train": a})) for b, a in ((0.1, 1.0), (0.2, 0.8), (0.4, 0.6))]
        >>> round(Phase(0, tuple(points), None).mean_accuracy("train"), 9)
        0.766666667
        """
        known = [(point.beta, value) for point in self.points if (value := point.observation.accuracy[part]) is not None]
        if not known:
            return None
        width = known[-1][0] - known[0][0]
        total = sum(0.5 * (b - a) * (first + last) for (a, first), (b, last) in pairwise(known))
        return total / width if width > 0.0 else known[0][1]

    def __str__(self) -> str:
        """Return the phase in one line."""
        (low, high), (first, last) = self.beta, self.error
        classes = "" if self.classes is None else f", living classes: {' '.join(map(str, self.classes)) or 'none'}"
        end = "" if self.falls_to is None else f"; it falls to phase {self.falls_to}"
        ends = f"phase {self.id}, beta {low:.6g} to {high:.6g}: rank {self.rank}, E {first:.5g} to {last:.5g}"
        return f"{ends}{classes}; {len(self.points)} points{end}"

    def _typical(self, values: Sequence[Any]) -> Any:
        """Return the value that holds on the largest part of the phase, measured in log beta."""
        weights: dict[Any, float] = {}
        logs = [math.log(point.beta) for point in self.points]
        for index, value in enumerate(values):
            left = logs[max(index - 1, 0)]
            right = logs[min(index + 1, len(logs) - 1)]
            weights[value] = weights.get(value, 0.0) + max(right - left, 1e-12)
        return max(weights, key=lambda value: weights[value])


def _is_constant(recall: Sequence[float | None]) -> bool:
    """Tell a predictor that answers one class whatever it sees."""
    known = [value for value in recall if value is not None]
    return sorted(known)[-1:] == [1.0] and sum(known) == 1.0
