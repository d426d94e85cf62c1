"""The law by which the margin vanishes towards a transition, measured on the branch that ends or bends there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from spinodal.definitions import (
    CONVERGED_BRACKET,
    FAR_WITNESS,
    LINEAR,
    NEAR_WITNESS,
    NEARER_WITNESS,
    SHORTEST,
    VANISHES_WITHIN,
    WITNESS,
    WITNESSES_WITHIN,
)
from spinodal.sweeps.gap import gap
from spinodal.sweeps.order import Law, has_meaning
from spinodal.sweeps.point import Point
from spinodal.sweeps.singularity import law_through, measured_exponent
from spinodal.sweeps.turn import Turn
from spinodal.sweeps.way import Way

MOST_WITNESSES = 5  # nearest points that the walk came by, of which two may tell the law,
MOST_BETWEEN = 3  # and most that are made before them


@dataclass(frozen=True)
class LawOfMargin:
    """Measures exponents at the near end of a bracket, from its points and from witnesses made behind it."""

    way: Way

    def measure(self, before: Point, earlier: Point | None, after: Point, *, halved: bool, known: Iterable[Point] = ()) -> Law:
        """Return how the branch ends; an exponent only if halved steps fell again, or the branch is followed through its end.

        `known` are points that the walk came by on its way to the bracket.
        """
        ahead, width = self.way.distance_ahead(before, earlier, after), abs(after.beta - before.beta)
        if not halved:
            passed = self._of_turn(before, width) if self.way.criteria.rough and not self.way.is_blurred else None
            return passed or Law(None, ahead)
        if self.way.criteria.sparing and (law := self._of_turn(before, width) or self._of_known(before, width, known)):
            return law
        exponent = self._exponent(before, earlier, after)
        clear = exponent is not None and has_meaning(exponent) and ahead is not None and ahead < VANISHES_WITHIN * width
        if clear or self.way.criteria.rough:
            return Law(exponent, ahead)
        return self._of_witnesses(before, width) or self._of_turn(before, width) or Law(exponent, ahead)

    def _of_turn(self, near: Point, width: float) -> Law | None:
        """Return the law of a fold in the bracket that the branch goes through at fixed norm; None where there is none."""
        told = Turn(self.way, near, width).law()
        return Law(*told, turned=True) if told is not None and told[1] <= CONVERGED_BRACKET * width else None

    def _of_witnesses(self, near: Point, width: float) -> Law | None:
        """Return the law from the curvature along the branch at two witnesses behind the bracket.

        It helps where another mode has the lowest margin even here. The witnesses are 30 and 300 brackets
        behind, so where in the bracket the singularity lies hardly matters. Where 300 brackets are too far,
        they are 3 and 30: the singularity's place then lowers the exponent by up to a ninth.
        """
        unit = self.way.unit(near)
        nearest = FAR_WITNESS if WITNESS * FAR_WITNESS * width <= WITNESSES_WITHIN * unit else NEAR_WITNESS
        distances = (nearest * width, WITNESS * nearest * width)
        if distances[1] > WITNESSES_WITHIN * unit:
            return None
        first, second = (self.way.behind(near, distance) for distance in distances)
        return self._between(near, first, second)

    def _of_known(self, near: Point, width: float, known: Iterable[Point]) -> Law | None:
        """Return the same from the margins of two points that the walk came by, where each one costs, and of a few between.

        Only close to the singularity has its own mode the lowest margin.
        """
        behind = sorted((point for point in known if self._is_witness(point, near)), key=partial(self._distance, near))
        for _ in range(MOST_BETWEEN + 1 if behind else 0):
            for first, second in combinations(behind[:MOST_WITNESSES], 2):
                distances = self._distance(near, first), self._distance(near, second)
                found = law_through([point.minimum.margin for point in (near, first, second)], distances)
                if found is not None and has_meaning(found[0]) and found[1] < VANISHES_WITHIN * width:
                    return Law(*found)
            behind.insert(0, self.way.behind(near, NEARER_WITNESS * self._distance(near, behind[0])))
        return None

    def _is_witness(self, point: Point, near: Point) -> bool:
        """Tell a point on the branch of another one, not far behind it, that was minimised as precisely."""
        pull = 2.0 * self.way.unit(point) * max(point.observation.distance, SHORTEST)
        sharp = point.minimum.converged and point.minimum.residual <= pull * self.way.walker.accuracy
        beside = 0.0 < self._distance(near, point) <= WITNESSES_WITHIN * self.way.unit(near)
        return sharp and beside and self.way.criteria.is_continuous(gap(point, near))

    def _distance(self, near: Point, behind: Point) -> float:
        return self.way.sign * (near.beta - behind.beta)

    def _between(self, near: Point, first: Point, second: Point) -> Law | None:
        """Return the law from the curvature along the branch at two witnesses, the nearer one first."""
        distances = self._distance(near, first), self._distance(near, second)
        curvatures = first.tangent_curvature, second.tangent_curvature
        if min(curvatures) <= 0.0 or not all(self.way.criteria.is_smooth(gap(witness, near)) for witness in (first, second)):
            return None
        exponent = math.log(curvatures[1] / curvatures[0]) / math.log(distances[1] / distances[0])
        if not has_meaning(exponent):
            return None
        power = 2.0 if exponent < LINEAR[0] else 1.0
        low, high = (curvature**power for curvature in curvatures)
        return Law(exponent, max(low * (distances[1] - distances[0]) / (high - low) - distances[0], 0.0))

    def _exponent(self, near: Point, earlier: Point | None, far: Point) -> float | None:
        """Return the exponent with which the margin vanishes, from two points on the branch.

        Where `near` and the point before it will not do, because another mode had the lowest margin
        there or because `near` is too soft to be exact, witnesses are made at several distances.
        """
        sign = self.way.sign
        found = measured_exponent(near, earlier, sign) if earlier is not None else None
        if self.way.criteria.rough or (found is not None and has_meaning(found)):
            return found
        singular = self.way.distance_ahead(near, earlier, far) or 0.0
        for distance in (3.0 * self.way.resolution.bracket * self.way.unit(near), 30.0 * singular, 4.0 * singular, singular):
            back = min(distance, 0.5 * self.way.unit(near))
            if back == 0.0 or not self.way.criteria.is_smooth(gap(behind := self.way.behind(near, back), near)):
                continue
            for later, before in ((near, behind), (behind, earlier)):
                exponent = measured_exponent(later, before, sign) if before is not None else None
                if exponent is not None and has_meaning(exponent):
                    return exponent
        return found
