"""Critical slowing down: how long perturbations and whole phases last, near the fold in which a phase ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError
from spinodal.shown import Shown

LAST = 3  # points of a walk that tell its law: further ones may be softest along another mode


@dataclass(frozen=True, repr=False)
class Slowing(Shown):
    """What the margins of a branch tell of the flow around the fold at its end.

    Along a branch that ends in a fold, `margin^2 = steepness |spinodal - beta|`. Before it, perturbations along the softest
    mode decay in the time `1 / margin`; beyond it, gradient flow of L takes `2 pi / sqrt(steepness |beta - spinodal|)` to pass
    the place where the phase was.

    Attributes
    ----------
    spinodal : float
    steepness : float

    Examples
    --------
    `L = x^3 / 3 - (1 - beta) x` has its minimum at `x = sqrt(1 - beta)` with margin 2x, and a fold at 1:

    >>> law = Slowing.from_margins((0.91, 0.99), (0.6, 0.2))
    >>> round(law.spinodal, 9), round(law.steepness, 9), round(law.relaxation_time(0.99), 9)
    (1.0, 4.0, 5.0)

    Beyond the fold, the time from far above to far below is `pi / sqrt(beta - 1)`:

    >>> round(law.passing_time(1.01) / math.pi, 6)
    10.0
    """

    spinodal: float
    steepness: float

    def __str__(self) -> str:
        """Return the law in one line."""
        law = f"margin^2 = {self.steepness:.6g} (spinodal - beta)"
        return f"spinodal at beta = {self.spinodal:.6g} (weight_decay = {2 * self.spinodal:.6g}); {law}"

    @classmethod
    def from_margins(cls, beta: Sequence[float], margin: Sequence[float]) -> Slowing:
        """Return the law through points of a branch, given by beta and margin, in any order.

        Two points give the law as it stands. Further ones give its corrections: along a branch that folds, beta is a power
        series in the margin without a linear term.

        Raises
        ------
        SpinodalError
            Unless there are at least two, with margins that differ, are not negative and fall towards a fold.
        """
        import numpy as np

        pairs = sorted(zip(map(real_number, margin), map(real_number, beta), strict=True))
        margins, betas = np.array(pairs, dtype=float).reshape(-1, 2).T
        if len(pairs) > 1 and margins[0] >= 0.0 and len(set(margins)) == len(set(betas)) == len(pairs):
            powers = np.array([0, *range(2, len(pairs) + 1)])
            spinodal, curvature = np.linalg.solve(margins[:, None] ** powers, betas)[:2]
            steepness = math.copysign(1.0, betas[0] - betas[1]) / -curvature
            if steepness > 0.0:
                return cls(float(spinodal), float(steepness))
        raise SpinodalError(
            got=f"margins {list(margin)} at beta = {list(beta)}",
            allowed="two or more points whose margins differ, are not negative and fall towards a fold are allowed",
            do="take points near the end of a phase",
        )

    @classmethod
    def of(cls, points: Sequence[Any]) -> Slowing:
        """Return the law from the last points of a walk, of a phase or of a branch (what has `beta` and a `minimum`).

        As many as fall towards the fold are used, at most `LAST`; fewer where further ones contradict a fold.
        """
        last = list(points)[-LAST:]
        falling = takewhile(lambda pair: pair[0] < pair[1], pairwise(point.minimum.margin for point in reversed(last)))
        count = 1 + sum(1 for _ in falling)
        for used in range(count, 2, -1):
            with suppress(SpinodalError):
                return cls._through(last[-used:])
        return cls._through(last[-min(count, 2) :])

    @classmethod
    def _through(cls, points: Sequence[Any]) -> Slowing:
        return cls.from_margins([point.beta for point in points], [point.minimum.margin for point in points])

    def relaxation_time(self, beta: float) -> float:
        """Return the time in which a perturbation of the phase decays by a factor e, where it exists.

        Divide by the learning rate for epochs of gradient descent.
        """
        return 1.0 / math.sqrt(self.steepness * abs(self.spinodal - real_number(beta)))

    def passing_time(self, beta: float) -> float:
        """Return the time that gradient flow takes past the ghost of the phase, at a beta beyond the fold."""
        return 2.0 * math.pi * self.relaxation_time(beta)
