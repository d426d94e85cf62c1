"""The phases of one rank over several seeds: the deepest one, and how well the seeds agree on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spinodal.basins.at_beta import fingerprint_at, known_points
from spinodal.basins.basin import Basin, spread
from spinodal.basins.matching import shared_betas
from spinodal.basins.over_seeds import Depth, depths, equally_deep
from spinodal.codec import Record
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.point import Point


@dataclass(frozen=True)
class RankLevel(Record):
    """The basins of one rank.

    Attributes
    ----------
    rank : int
    deepest : Basin
        The one than which no other was found to be deeper where both are known; of several, that of most seeds, then the one
        that ends last.
    others : tuple of int
        The ids of the other basins of this rank.
    over_seeds : float or None
        Where the deepest phase known of this rank is as deep as the deepest of the next lower one, whichever seeds found
        them; None where it lies below what is known of these.
    without : mapping of seeds to floats
        The same of all seeds but one: how far it hangs on that seed.
    """

    JSON = (
        "rank deepest=deepest.id seeds=deepest.seeds coexistence=deepest.coexistence coexistence_spread ends=deepest.ends "
        "end_spread others coexistence_over_seeds=over_seeds coexistence_without=without over_seeds_spread"
    )

    rank: int
    deepest: Basin
    others: tuple[int, ...]
    over_seeds: float | None = None
    without: Mapping[int, float] = field(default_factory=dict)

    @property
    def coexistence_spread(self) -> float | None:
        """Return by how much the coexistence points of the deepest basin differ among seeds, relatively."""
        return self.deepest.coexistence_spread

    @property
    def end_spread(self) -> float | None:
        """Return the same of its ends."""
        return self.deepest.end_spread

    @property
    def over_seeds_spread(self) -> float | None:
        """Return by how much `without` differs, whichever seed is left out, relatively."""
        return spread(self.without)


def rank_levels(basins: Sequence[Basin], diagrams: Sequence[Diagram]) -> tuple[RankLevel, ...]:
    """Return the basins rank by rank, the highest first."""
    of_seed = {diagram.seed: diagram for diagram in diagrams}
    levels, known = [], depths(basins, diagrams)
    ranks = sorted({basin.rank for basin in basins}, reverse=True)
    for rank, lower in zip(ranks, [*ranks[1:], None], strict=True):
        own = [basin for basin in basins if basin.rank == rank]
        beaten = {basin.id: sum(_is_deeper(other, basin, of_seed) for other in own) for basin in own}
        first, *others = sorted(own, key=lambda basin: (beaten[basin.id], -len(basin.members), -(basin.end or basin.beta[1])))
        sides = [[depth for depth in known if depth.rank == side] for side in (rank, lower)]
        levels.append(
            RankLevel(rank, first, tuple(sorted(basin.id for basin in others)), equally_deep(*sides), _without(sides, of_seed))
        )
    return tuple(levels)


def _without(sides: Sequence[Sequence[Depth]], seeds: Iterable[int]) -> dict[int, float]:
    """Return where two ranks are equally deep over all seeds but one, by the seed left out, where that is known."""
    found = {seed: equally_deep(*([depth for depth in side if depth.seed != seed] for side in sides)) for seed in seeds}
    return {seed: beta for seed, beta in found.items() if beta is not None}


def _is_deeper(first: Basin, second: Basin, of_seed: Mapping[int, Diagram]) -> bool:
    """Tell whether a basin has the lower L in the middle of where two members are both known."""
    if first.id == second.id:
        return False
    for mine in _points(first, of_seed):
        for theirs in _points(second, of_seed):
            shared = shared_betas(mine, theirs)
            if shared:
                beta = shared[len(shared) // 2]
                return _loss(mine, beta) < _loss(theirs, beta)
    return False


def _points(basin: Basin, of_seed: Mapping[int, Diagram]) -> list[tuple[Point, ...]]:
    return [known_points(of_seed[member.seed].phases[member.phase]) for member in basin.members]


def _loss(points: Sequence[Point], beta: float) -> float:
    found = fingerprint_at(points, beta)
    return found.error + beta * found.norm_squared
