"""Many minima: the lowest known pass between each two, the tree that spans them, and how they fall apart below a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.parallel import Crew, Executor
from spinodal.paths.connecting import connect
from spinodal.paths.elsewhere import Parts, Remade
from spinodal.paths.ends import end_of
from spinodal.paths.path import Path
from spinodal.paths.settings import Kept, Recorder

Edge = tuple[int, int]


@dataclass(frozen=True)
class Merger:
    """A level of E from which on two groups of minima are one.

    Attributes
    ----------
    level : float
    groups : (tuple of int, tuple of int)
        Minima by their numbers.
    edge : (int, int)
        The minima whose path joins them.
    """

    level: float
    groups: tuple[tuple[int, ...], tuple[int, ...]]
    edge: Edge


@dataclass(frozen=True)
class MinimaGraph:
    """The graph of minima.

    Attributes
    ----------
    errors : tuple of float
        E of every minimum.
    paths : mapping of (i, j), i < j, to Path
        The lowest known path between two minima.
    """

    errors: tuple[float, ...]
    paths: Mapping[Edge, Path]

    def mergers(self) -> tuple[Merger, ...]:
        """Return the disconnectivity graph: what is one from which level on, by rising level."""
        group: dict[int, tuple[int, ...]] = {place: (place,) for place in range(len(self.errors))}
        found = []
        for edge in sorted(self.paths, key=lambda edge: (self.paths[edge].max_error, edge)):
            first, second = group[edge[0]], group[edge[1]]
            if first != second:
                found.append(Merger(self.paths[edge].max_error, (first, second), edge))
                joined = tuple(sorted(first + second))
                group |= dict.fromkeys(joined, joined)
        return tuple(found)

    @property
    def tree(self) -> tuple[Edge, ...]:
        """Return the edges of the minimum spanning tree, the lowest first."""
        return tuple(merger.edge for merger in self.mergers())

    def level(self, i: int, j: int) -> float:
        """Return the largest E on the lowest known way from one minimum to another, over others where that is lower."""
        if i == j:
            return self.errors[i]
        return next(merger.level for merger in self.mergers() if {i, j} <= {*merger.groups[0], *merger.groups[1]})


def graph_of_minima(
    landscape: Landscape,
    minima: Sequence[object],
    *,
    edges: int | None = None,
    recorder: Recorder | None = None,
    executor: Executor | None = None,
    **how: Any,
) -> MinimaGraph:
    """Join many minima, edge by edge where it helps most.

    All straight lines are measured. Then the edges of the spanning tree that were not sought yet are sought by `connect`, the
    highest first, again and again, until all edges of the tree were, or so many.

    Parameters
    ----------
    landscape : Landscape
    minima : sequence of what `connect` takes as an end
    edges : int, optional
        How many edges are sought at most. Default: as many as it takes.
    recorder : Recorder, optional
        Where parts are kept as they are found, so that a graph can be gone on with. Default: nowhere.
    executor : Executor, optional
        Who seeks the edges of one round, each by itself, such as a pool of `concurrent.futures`. The result is the same.
    how : as `connect` takes them

    Returns
    -------
    MinimaGraph

    Raises
    ------
    SpinodalError
        For fewer than two minima, or what `connect` refuses.

    Examples
    --------
    `E = (1 - x y)^2` has two valleys, of x > 0 and of x < 0, with a pass at 0 between them:

    >>> import torch
    >>> class Product(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    >>> E = Landscape(Product(), lambda model, batch: (1 - model.w.prod()) ** 2, None)
    >>> minima = [torch.tensor(pair) for pair in ([2.0, 0.5], [0.5, 2.0], [-1.0, -1.0])]
    >>> graph = graph_of_minima(E, minima, budget=300)
    >>> [(merger.groups, round(merger.level, 1)) for merger in graph.mergers()]
    [(((0,), (1,)), 0.0), (((0, 1), (2,)), 1.0)]
    """
    thetas = [end_of(landscape, value, f"minima[{place}]") for place, value in enumerate(minima)]
    if len(thetas) < 2:
        raise SpinodalError(got=f"{len(thetas)} minima", allowed="two or more are allowed", do="give more minima")
    pairs = list(combinations(range(len(thetas)), 2))
    straight = {(i, j): connect(landscape, thetas[i], thetas[j], method="straight") for i, j in pairs}
    first, last = {i: path.error[0] for (i, _), path in straight.items()}, straight[pairs[-1]].error[-1]
    graph = MinimaGraph((*(first[place] for place in range(len(thetas) - 1)), last), straight)
    kept, crew = recorder or Parts(), Crew() if executor is None else Crew(executor, Remade(landscape.maker()))
    sought: set[Edge] = set()
    while wanted := _wanted(graph, sought, edges):
        _ahead(crew, {edge: (thetas[edge[0]], thetas[edge[1]]) for edge in wanted}, kept, how)
        for edge in wanted:
            sought.add(edge)
            path = connect(landscape, thetas[edge[0]], thetas[edge[1]], recorder=_Edge(kept, edge), **how)
            lower = min(path, graph.paths[edge], key=lambda known: known.max_error)
            graph = MinimaGraph(graph.errors, {**graph.paths, edge: lower})
    return graph


def _wanted(graph: MinimaGraph, sought: set[Edge], most: int | None) -> list[Edge]:
    """Return the edges of the tree that were not sought yet, the highest first."""
    edges = [edge for edge in reversed(graph.tree) if edge not in sought]
    return edges if most is None else edges[: max(0, most - len(sought))]


def _ahead(crew: Crew[Landscape], ends: Mapping[Edge, tuple[Tensor, Tensor]], kept: Recorder, how: Mapping[str, Any]) -> None:
    """Let workers seek edges, and keep the parts of what they find for whoever asks for them."""
    sent = {name: value for name, value in how.items() if name not in ("task", "tell")}
    edges = list(ends)
    for place, parts in crew.results(_sought, [(ends[edge], sent) for edge in edges]):
        own = _Edge(kept, edges[place])
        for key, part in parts.found.items():
            if own.find(key) is None:
                own.add(part.kind, key, part.record, part.named)


def _sought(landscape: Landscape, job: tuple[tuple[Tensor, Tensor], Mapping[str, Any]]) -> Parts:
    """Seek one edge, in a worker."""
    parts = Parts()
    connect(landscape, *job[0], recorder=parts, **job[1])
    return parts


class _Edge:
    """The part of a recorder that belongs to one edge."""

    def __init__(self, recorder: Recorder, edge: Edge) -> None:
        self.recorder, self.name = recorder, f"minima {edge[0]} and {edge[1]}"

    def find(self, key: str) -> Kept | None:
        return self.recorder.find(f"{self.name}, {key}")

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> object:
        return self.recorder.add(kind, f"{self.name}, {key}", record, tensors)
