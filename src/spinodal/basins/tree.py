"""The tree of basins over several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spinodal.basins.basin import Basin
from spinodal.basins.gathering import basins_of
from spinodal.basins.merging import Merging, mergings
from spinodal.basins.rank_level import RankLevel, rank_levels
from spinodal.codec import keyed
from spinodal.errors import SpinodalError, needing
from spinodal.phases.diagram import Diagram
from spinodal.shown import Drawn

if TYPE_CHECKING:
    import networkx

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class Hierarchy(Drawn):
    """The basins of a task over several seeds, and which falls into which.

    Attributes
    ----------
    task : mapping
        Name and settings.
    convention : str
        What L is.
    seeds : tuple of int
    basins : tuple of Basin
        Counted from the lowest beta.
    ways : mapping of seeds to tuples of int
        The basins that the map of a seed passes, by rising beta.
    mergings : tuple of Merging
        How seeds become one, by rising beta.
    ranks : tuple of RankLevel
        Rank by rank, the highest first.
    range : (low, high)
        The lowest and the highest beta followed.
    exact : tuple of float
        Closed forms, where they apply.

    Examples
    --------
    Two seeds of a linear net meet in one phase at once, and lose its two modes at `beta = s`:

    >>> from spinodal import hierarchy, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> tree = hierarchy(task, seeds=(0, 1), starts=1)
    >>> [(basin.rank, basin.seeds, basin.falls_to, basin.end and round(basin.end, 4)) for basin in tree.basins]
    [(2, (0, 1), 1, 0.4), (1, (0, 1), 2, 0.9), (0, (0, 1), None, None)]
    >>> sorted(tree.to_networkx().edges)
    [(0, 1), (1, 2)]
    """

    task: Mapping[str, Any]
    convention: str
    seeds: tuple[int, ...]
    basins: tuple[Basin, ...]
    ways: Mapping[int, tuple[int, ...]]
    mergings: tuple[Merging, ...]
    ranks: tuple[RankLevel, ...]
    range: tuple[float, float]
    exact: tuple[float, ...] = ()

    @classmethod
    def of(cls, diagrams: Sequence[Diagram]) -> Hierarchy:
        """Return the hierarchy of some maps of one task, each of another seed, walked upwards.

        Raises
        ------
        SpinodalError
            For maps of different tasks or controls, of one seed twice, or walked downwards.
        """
        _refuse_strangers(diagrams)
        ordered = sorted(diagrams, key=lambda diagram: diagram.seed)
        basins = basins_of(ordered)
        ways = {diagram.seed: tuple(_way(diagram.seed, basins)) for diagram in ordered}
        betas = [point.beta for diagram in ordered for point in diagram.points]
        return cls(
            task=ordered[0].task,
            convention=ordered[0].control.convention,
            seeds=tuple(ways),
            basins=basins,
            ways=ways,
            mergings=mergings(basins, ways),
            ranks=rank_levels(basins, ordered),
            range=(min(betas), max(betas)),
            exact=tuple(item.beta for item in ordered[0].exact),
        )

    @property
    def shared(self) -> tuple[int, ...]:
        """Return the basins that every seed met."""
        return tuple(basin.id for basin in self.basins if len(basin.seeds) == len(self.seeds))

    @property
    def agreement(self) -> float | None:
        """Return the part of all falls out of basins of several seeds that go where most of that basin go; None without any."""
        falls = [list(basin.falls.values()) for basin in self.basins if len(basin.seeds) > 1 and basin.falls]
        total = sum(len(seeds) for groups in falls for seeds in groups)
        return sum(len(groups[0]) for groups in falls) / total if total else None

    def children(self, basin: int) -> tuple[int, ...]:
        """Return the basins that fall into one, in most of their maps."""
        return tuple(other.id for other in self.basins if other.falls_to == basin)

    def to_dict(self) -> dict[str, Any]:
        """Return the hierarchy in JSON types."""
        words = "task convention seeds range basins ways mergings ranks shared agreement exact"
        return {"schema": SCHEMA, **keyed(self, words)}

    def to_networkx(self) -> networkx.DiGraph:
        """Return the tree as a directed graph: basins, and which falls into which, with the seeds that show it.

        Every value is a number or a text, so that all formats of networkx can hold it.
        """
        with needing("networkx", "to_networkx needs"):
            import networkx  # it comes with PyTorch
        graph = networkx.DiGraph(task=str(self.task["name"]), convention=self.convention)
        for basin in self.basins:
            graph.add_node(basin.id, **_attributes(basin))
        for basin in self.basins:
            for other, seeds in basin.falls.items():
                ends = [basin.ends[seed] for seed in seeds if seed in basin.ends]
                graph.add_edge(basin.id, other, beta=sum(ends) / len(ends), seeds=_words(seeds))
        return graph

    def __str__(self) -> str:
        """Return how seeds merge, and how far they agree, in a few sentences."""
        lines = [f"{len(self.basins)} basins of {self.task['name']} over seeds {_words(self.seeds)}; "
                 f"{len(self.shared)} of them in every map."]  # fmt: skip
        lines += [
            f"Seeds {_words(item.seeds[0])} and {_words(item.seeds[1])} are in one basin from beta = {item.beta:.6g} on "
            f"(basin {item.basin}, rank {self.basins[item.basin].rank})."
            for item in self.mergings
        ]
        if len(self.mergings) < len(self.seeds) - 1:
            lines.append("Some seeds never meet in the range that was mapped.")
        return "\n".join(lines)


def _way(seed: int, basins: Sequence[Basin]) -> Iterator[int]:
    """Yield the basins that the map of a seed passes, from its first phase on."""
    place = next((basin.id for basin in basins for member in basin.members if (member.seed, member.phase) == (seed, 0)), None)
    while place is not None:
        yield place
        place = basins[place].member(seed).falls_to


def _attributes(basin: Basin) -> dict[str, Any]:
    found: dict[str, Any] = {"rank": basin.rank, "beta": basin.beta[0], "seeds": _words(basin.seeds)}
    found |= {} if basin.end is None else {"end": basin.end}
    return found | ({} if basin.classes is None else {"classes": _words(basin.classes)})


def _words(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _refuse_strangers(diagrams: Sequence[Diagram]) -> None:
    """Refuse maps that have no common hierarchy."""
    if not diagrams:
        raise SpinodalError(got="no map", allowed="maps of one task are needed", do="map it with several seeds first")
    first = diagrams[0]
    for other in diagrams[1:]:
        if dict(other.task) != dict(first.task) or other.control != first.control or other.sharpness != first.sharpness:
            raise SpinodalError(
                got=f"maps of {_described(first)} and of {_described(other)}",
                allowed="maps of one task, with the same settings, around the same centre, are allowed",
                do="map all seeds of one task",
            )
    seeds = [diagram.seed for diagram in diagrams]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise SpinodalError(
            got=f"two maps of seed {twice[0]}", allowed="one map of every seed is allowed", do="map another seed"
        )
    if any(diagram.points[0].beta > diagram.points[-1].beta for diagram in diagrams):
        raise SpinodalError(
            got="a map that was walked downwards",
            allowed="maps with direction up or loop are allowed: basins are left as beta rises",
            do="map it upwards",
        )


def _described(diagram: Diagram) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in diagram.task.items() if name != "name")
    return f"{diagram.task['name']}{f' ({settings})' if settings else ''}, {diagram.control.described}"
