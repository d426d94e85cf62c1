"""Critical slowing down: how long perturbations and whole phases last, near the fold in which a phase ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.arguments import real_number
from spinodal.errors import SpinodalError


@dataclass(frozen=True)
class Slowing:
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

    @classmethod
    def from_margins(cls, beta: Sequence[float], margin: Sequence[float]) -> Slowing:
        """Return the law through two points of a branch, given by beta and margin, in any order.

        Raises
        ------
        SpinodalError
            Unless there are two different ones, with margins that fall towards the fold.
        """
        pairs = sorted(zip(map(real_number, margin), map(real_number, beta), strict=True), reverse=True)
        if len(pairs) != 2 or not pairs[0][0] > pairs[1][0] >= 0.0 or pairs[0][1] == pairs[1][1]:
            raise SpinodalError(
                got=f"margins {list(margin)} at beta = {list(beta)}",
                allowed="two points whose margins differ and are not negative are allowed",
                do="take two points near the end of a phase",
            )
        (far, there), (near, here) = pairs
        steepness = (far**2 - near**2) / abs(here - there)
        return cls(here + math.copysign(near**2 / steepness, here - there), steepness)

    @classmethod
    def of(cls, points: Sequence[Any]) -> Slowing:
        """Return the law from the last two points of a walk, of a phase or of a branch (what has `beta` and a `minimum`)."""
        last = list(points)[-2:]
        return cls.from_margins([point.beta for point in last], [point.minimum.margin for point in last])

    def relaxation_time(self, beta: float) -> float:
        """Return the time in which a perturbation of the phase decays by a factor e, where it exists.

        Divide by the learning rate for epochs of gradient descent.
        """
        return 1.0 / math.sqrt(self.steepness * abs(self.spinodal - real_number(beta)))

    def passing_time(self, beta: float) -> float:
        """Return the time that gradient flow takes past the ghost of the phase, at a beta beyond the fold."""
        return 2.0 * math.pi * self.relaxation_time(beta)
