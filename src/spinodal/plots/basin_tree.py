"""What the picture of a hierarchy shows: a trunk for every basin, with beta as height, and where it joins another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spinodal.basins.basin import Basin
from spinodal.basins.tree import Hierarchy
from spinodal.plots.axis import padded

Interval = tuple[float, float]
BELOW = 4.0  # factor in beta that is drawn below the first fall, where nothing happens


@dataclass(frozen=True)
class Trunk:
    """One basin.

    Attributes
    ----------
    basin : int
    place : float
        Across: leaves at whole numbers, others in the middle of what falls into them.
    height : (low, high)
        In beta: from where it is first entered to where it ends, or to the end of the range.
    ends : (lowest, highest) or None
        Its ends over the seeds.
    seeds : int
        How many met it.
    name : str
        Rank, seeds, and the classes that it tells apart.
    """

    basin: int
    place: float
    height: Interval
    ends: Interval | None
    seeds: int
    name: str


@dataclass(frozen=True)
class Joint:
    """A fall: from the trunk of one basin to that of another, at a height.

    Attributes
    ----------
    basin, falls_to : int
    beta : float
    is_usual : bool
        Whether most maps of the basin show it.
    """

    basin: int
    falls_to: int
    beta: float
    is_usual: bool


@dataclass(frozen=True)
class BasinTreeRecord:
    """What the picture of a hierarchy shows.

    Attributes
    ----------
    title : str
    trunks : tuple of Trunk
        By basin.
    joints : tuple of Joint
    limits : (lowest, highest) beta
        Of what is drawn: below the first fall, a part of the range.
    exact : tuple of float
        Closed forms.
    """

    title: str
    trunks: tuple[Trunk, ...]
    joints: tuple[Joint, ...]
    limits: Interval
    exact: tuple[float, ...]


def basin_tree_record(tree: Hierarchy) -> BasinTreeRecord:
    """Return the record of a hierarchy."""
    places = _places(tree)
    falls = [end for basin in tree.basins for end in basin.ends.values()]
    low = max(tree.range[0], min(falls, default=tree.range[1]) / BELOW)
    return BasinTreeRecord(
        title=f"Basins of {tree.task['name']} over {len(tree.seeds)} seeds",
        trunks=tuple(_trunk(basin, places[basin.id], tree) for basin in tree.basins),
        joints=tuple(
            Joint(basin.id, other, max(basin.member(seed).end or basin.beta[1] for seed in seeds), other == basin.falls_to)
            for basin in tree.basins
            for other, seeds in basin.falls.items()
        ),
        limits=padded((low, tree.range[1])),
        exact=tree.exact,
    )


def _trunk(basin: Basin, place: float, tree: Hierarchy) -> Trunk:
    ends = basin.ends.values()
    return Trunk(
        basin=basin.id,
        place=place,
        height=(basin.beta[0], max(ends, default=basin.beta[1])),
        ends=(min(ends), max(ends)) if ends else None,
        seeds=len(basin.seeds),
        name=_name(basin, len(tree.seeds)),
    )


def _name(basin: Basin, seeds: int) -> str:
    """Return rank, seeds where not all met it, and the classes in groups."""
    parts = [f"rank {basin.rank}"]
    if len(basin.seeds) < seeds:
        parts.append(f"seed{'s' if len(basin.seeds) > 1 else ''} {' '.join(map(str, basin.seeds))}")
    if basin.told_apart is not None:
        parts.append(grouped(basin.told_apart))
    return ", ".join(parts)


def grouped(groups: tuple[tuple[int, ...], ...]) -> str:
    """Return classes told apart with bars between, those taken for one together.

    Examples
    --------
    >>> grouped(((0,), (1, 2)))
    '0|1 2'
    """
    return "|".join(" ".join(map(str, group)) for group in groups)


def _places(tree: Hierarchy) -> Mapping[int, float]:
    """Return the place of every basin: trees one beside another, leaves at whole numbers from 0."""
    places: dict[int, float] = {}
    leaves = 0

    def settle(basin: int) -> float:
        nonlocal leaves
        own = [settle(child) for child in tree.children(basin)]
        if not own:
            own, leaves = [float(leaves)], leaves + 1
        places[basin] = sum(own) / len(own)
        return places[basin]

    for basin in tree.basins:
        if basin.falls_to is None:
            settle(basin.id)
    return places
