"""Which phases of several maps are one: compared where both are known, and paired one to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median

from spinodal.basins.at_beta import fingerprint_at, known_points
from spinodal.definitions import TRIVIAL
from spinodal.phases.catalogue import Allowance
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.point import Point

COMPARED = 7  # values of beta at which two phases are compared, at most

Key = tuple[int, int]  # the number of a map, the id of one of its phases


def matched(diagrams: Sequence[Diagram]) -> list[tuple[Key, ...]]:
    """Return the phases of some maps in groups: those of one group are one phase, at most one of each map.

    Two phases are compared at values of beta at which both are known, by the identity of minima and the allowance of phases;
    half of these comparisons have to find them to be one. The closest pair is put together first, so the order of the maps
    does not matter. Phases of one map are never put together.
    """
    known = {(number, phase.id): known_points(phase) for number, map_ in enumerate(diagrams) for phase in map_.phases}
    allowance, least = allowance_over(diagrams), least_alive(diagrams)
    pairs = [(a, b) for a, b in combinations(known, 2) if a[0] != b[0]]
    return put_together(known, ((apart(known[a], known[b], allowance, least), a, b) for a, b in pairs), most=1.0)


def put_together(keys: Iterable[Key], distances: Iterable[tuple[float, Key, Key]], *, most: float) -> list[tuple[Key, ...]]:
    """Return keys in groups, those up to `most` apart together, closest pairs first, at most one of each map in a group.

    Examples
    --------
    >>> put_together([(0, 0), (1, 0), (1, 1)], [(0.5, (0, 0), (1, 0)), (0.2, (0, 0), (1, 1))], most=1.0)
    [((0, 0), (1, 1)), ((1, 0),)]
    """
    group: dict[Key, tuple[Key, ...]] = {key: (key,) for key in keys}
    for distance, a, b in sorted(distances):
        if distance > most or group[a] is group[b] or _share_a_map(group[a], group[b]):
            continue
        joined = tuple(sorted(group[a] + group[b]))
        group |= dict.fromkeys(joined, joined)
    return sorted(set(group.values()))


def allowance_over(diagrams: Sequence[Diagram]) -> Allowance:
    """Return what minima of one phase may differ by, from the ranges of E and of the squared norm over all maps."""
    points = [point for diagram in diagrams for point in diagram.points]
    errors, norms = [point.error for point in points], [point.norm_squared for point in points]
    return Allowance.of_phases(max(errors) - min(errors), max(norms) - min(norms))


def least_alive(diagrams: Sequence[Diagram]) -> float:
    """Return the variation of outputs below which a phase is trivial."""
    return TRIVIAL * max(point.observation.breadth or 0.0 for diagram in diagrams for point in diagram.points)


def apart(first: Sequence[Point], second: Sequence[Point], allowance: Allowance, least: float) -> float:
    """Return how far two phases, by their points, are apart where both are known: up to 1 they are one."""
    shared = shared_betas(first, second)
    if not shared:
        return float("inf")
    pairs = [(fingerprint_at(first, beta, least), fingerprint_at(second, beta, least)) for beta in shared]
    return median(one.distance(other, allowance) for one, other in pairs)


def shared_betas(first: Sequence[Point], second: Sequence[Point]) -> list[float]:
    """Return values of beta at which both phases are known, evenly among those of their points; none where they do not meet."""
    low, high = max(first[0].beta, second[0].beta), min(first[-1].beta, second[-1].beta)
    inside = sorted({point.beta for point in (*first, *second) if low <= point.beta <= high})
    if len(inside) <= COMPARED:
        return inside
    return [inside[round(place * (len(inside) - 1) / (COMPARED - 1))] for place in range(COMPARED)]


def _share_a_map(first: Sequence[Key], second: Sequence[Key]) -> bool:
    return bool({number for number, _ in first} & {number for number, _ in second})
