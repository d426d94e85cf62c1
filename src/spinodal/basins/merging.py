"""Which seeds become one as beta rises: the first basin that their walks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from spinodal.basins.basin import Basin
from spinodal.codec import Record

Seeds = tuple[int, ...]


@dataclass(frozen=True)
class Merging(Record):
    """A beta at which two groups of seeds fall into one basin.

    Attributes
    ----------
    beta : float
        Where the last of them enters it; the lowest beta of the maps where both begin in it.
    basin : int
    seeds : (tuple of int, tuple of int)
    """

    beta: float
    basin: int
    seeds: tuple[Seeds, Seeds]


def mergings(basins: Sequence[Basin], ways: Mapping[int, Seeds]) -> tuple[Merging, ...]:
    """Return how seeds become one, by rising beta.

    Parameters
    ----------
    basins : sequence of Basin
    ways : mapping of seeds to the basins that they pass, by rising beta
    """
    met = [found for a, b in combinations(ways, 2) if (found := _meeting(a, b, basins, ways))]
    group: dict[int, Seeds] = {seed: (seed,) for seed in ways}
    merged = []
    for beta, basin, a, b in sorted(met):
        if group[a] != group[b]:
            first, second = sorted((group[a], group[b]))
            merged.append(Merging(beta, basin, (first, second)))
            joined = tuple(sorted(first + second))
            group |= dict.fromkeys(joined, joined)
    return tuple(merged)


def _meeting(first: int, second: int, basins: Sequence[Basin], ways: Mapping[int, Seeds]) -> tuple[float, int, int, int] | None:
    """Return beta and id of the first basin that two seeds share, None where there is none."""
    shared = [basin for basin in ways[first] if basin in ways[second]]
    if not shared:
        return None
    basin = basins[shared[0]]
    begin = all(ways[seed][0] == basin.id for seed in (first, second))
    beta = basin.beta[0] if begin else max(basin.member(seed).beta[0] for seed in (first, second))
    return beta, basin.id, first, second
