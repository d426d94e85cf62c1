"""Which phases are known at a beta, and which minima of starts are one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product, takewhile

from spinodal.basins.at_beta import fingerprint_at, known_points
from spinodal.basins.matching import put_together
from spinodal.phases.catalogue import Allowance, Catalogue, Fingerprint
from spinodal.phases.descents import is_macroscopic
from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout

TOLD = Resolution(bracket=1e-2)  # enough to tell that a phase ends


def grouped(points: Sequence[Point], allowance: Allowance) -> list[tuple[int, ...]]:
    """Return the places of minima at one beta in groups, copies by symmetry together, in the order met."""
    catalogue = Catalogue(allowance)
    first = [catalogue.add(Fingerprint.of(point)) for point in points]
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
        self.scout, self.allowance, self.diagram = scout, allowance, diagram
        self.mapped = {} if diagram is None else {phase.id: known_points(phase) for phase in diagram.phases}
        self.found: dict[int, dict[float, Point]] = {}  # minima by beta, of those that starts found

    def name(self, beta: float, points: Sequence[Point]) -> list[int]:
        """Return the phases of different minima at a beta, one to one; what is no known one becomes a new phase."""
        known = dict(self._at(beta))
        keys = [*((0, phase) for phase in known), *((1, place) for place in range(len(points)))]
        own = [Fingerprint.of(point) for point in points]
        pairs = product(known, range(len(points)))
        apart = [(known[phase].distance(own[place], self.allowance), (0, phase), (1, place)) for phase, place in pairs]
        home = {group[1][1]: group[0][1] for group in put_together(keys, apart, most=1.0) if len(group) == 2}
        names = [home[place] if place in home else self._elsewhere(point) for place, point in enumerate(points)]
        for phase, point in zip(names, points, strict=True):
            if phase in self.found:
                self.found[phase][beta] = point
        return names

    def points(self, phase: int) -> tuple[Point, ...]:
        """Return the points of a phase that starts found, where it was met or walked, by rising beta."""
        return tuple(point for _, point in sorted(self.found[phase].items()))

    def _elsewhere(self, point: Point) -> int:
        """Return the phase of the map that a minimum belongs to beyond the range that was walked, or a new one."""
        for phase in [] if self.diagram is None else self.diagram.phases:
            if phase.rank == point.observation.rank and self._is_in(phase, point):
                return phase.id
        new = max([*self.mapped, *self.found], default=-1) + 1
        self.found[new] = {}
        return new

    def _is_in(self, phase: Phase, point: Point) -> bool:
        """Tell whether a minimum, walked to the nearer end of a phase, is that phase; it is known there from now on."""
        points = self.mapped[phase.id]
        low, high = points[0].beta, points[-1].beta
        if low <= point.beta <= high or (point.beta > high and self._falls_above(phase)):
            return False
        end = low if point.beta < low else high
        walked, arrives = self._walked(point, end)
        if not arrives or not Fingerprint.of(walked[-1]).is_one_with(fingerprint_at(points, end), self.allowance):
            return False
        self.mapped[phase.id] = tuple(sorted((*points, *walked[:-1]), key=lambda known: known.beta))
        return True

    def _falls_above(self, phase: Phase) -> bool:
        """Tell whether a phase was seen to end at its upper side."""
        ways = () if self.diagram is None else self.diagram.points
        return phase.falls_to is not None and ways[0].beta <= ways[-1].beta

    def _walked(self, point: Point, to: float) -> tuple[tuple[Point, ...], bool]:
        """Return the points of a walk that lie on the phase of the first one, and whether they reach the end."""
        sweep = self.scout.walk(point, to, until=is_macroscopic)
        rank = point.observation.rank
        own = tuple(takewhile(lambda there: there.observation.rank == rank, sweep.stretches[0]))
        return own, sweep.status == "complete" and own[-1].beta == to

    def _at(self, beta: float) -> Iterable[tuple[int, Fingerprint]]:
        """Yield what identifies every known phase at a beta."""
        for phase, points in self.mapped.items():
            if points[0].beta <= beta <= points[-1].beta:
                yield phase, fingerprint_at(points, beta)
        for phase in self.found:
            walked, arrives = self._walked(self.points(phase)[-1], beta)
            self.found[phase] |= {there.beta: there for there in walked[1:]}
            if arrives:
                yield phase, Fingerprint.of(walked[-1])
