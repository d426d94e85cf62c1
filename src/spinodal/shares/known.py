"""Which phases are known at a beta, and which minima of starts are one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from spinodal.basins.at_beta import fingerprint_at, known_points
from spinodal.basins.matching import put_together
from spinodal.phases.catalogue import Allowance, Catalogue, Fingerprint
from spinodal.phases.descents import is_macroscopic
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout

TOLD = Resolution(bracket=1e-2)  # enough to tell that a phase ends


def grouped(points: Sequence[Point], allowance: Allowance) -> list[tuple[int, ...]]:
    """Return the places of minima at one beta in groups, copies by symmetry together, in the order met."""
    catalogue = Catalogue(allowance)
    first = [catalogue.add(Fingerprint.of(point.minimum, point.observation)) for point in points]
    homes = [catalogue.id(home) for home in first]
    return [tuple(place for place, home in enumerate(homes) if home == group) for group in dict.fromkeys(homes)]


class Known:
    """Phases of a map, and those that starts found, each walked from one beta to the next as long as nothing jumps.

    Parameters
    ----------
    scout : Scout
    allowance : Allowance
    diagram : Diagram or None
    """

    def __init__(self, scout: Scout, allowance: Allowance, diagram: Diagram | None) -> None:
        self.scout, self.allowance = scout, allowance
        self.mapped = {} if diagram is None else {phase.id: known_points(phase) for phase in diagram.phases}
        self.found: dict[int, Point] = {}  # the last minimum of those that starts found

    def name(self, beta: float, points: Sequence[Point]) -> list[int]:
        """Return the phases of different minima at a beta, one to one; what is no known one becomes a new phase."""
        known = dict(self._at(beta))
        keys = [*((0, phase) for phase in known), *((1, place) for place in range(len(points)))]
        own = [Fingerprint.of(point.minimum, point.observation) for point in points]
        pairs = product(known, range(len(points)))
        apart = [(known[phase].distance(own[place], self.allowance), (0, phase), (1, place)) for phase, place in pairs]
        home = {group[1][1]: group[0][1] for group in put_together(keys, apart, most=1.0) if len(group) == 2}
        names = [home[place] if place in home else self._begin(point) for place, point in enumerate(points)]
        self.found |= {name: point for name, point in zip(names, points, strict=True) if name not in self.mapped}
        return names

    def _begin(self, point: Point) -> int:
        new = max([*self.mapped, *self.found], default=-1) + 1
        self.found[new] = point
        return new

    def _at(self, beta: float) -> Iterable[tuple[int, Fingerprint]]:
        """Yield what identifies every known phase at a beta."""
        for phase, points in self.mapped.items():
            if points[0].beta <= beta <= points[-1].beta:
                yield phase, fingerprint_at(points, beta)
        for phase, point in list(self.found.items()):
            sweep = self.scout.walk(point, beta, until=is_macroscopic)
            there = sweep.points[-1]
            ended = any(map(is_macroscopic, sweep.transitions)) or there.observation.rank != point.observation.rank
            if sweep.status == "complete" and there.beta == beta and not ended:
                yield phase, Fingerprint.of(there.minimum, there.observation)
