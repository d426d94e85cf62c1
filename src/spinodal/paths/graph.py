"""Many minima: the lowest known pass between each two, the tree that spans them, and how they fall apart below a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.paths.connecting import connect
from spinodal.paths.ends import end_of
from spinodal.paths.path import Path
from spinodal.paths.settings import Forgetful, Kept, Recorder

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
    **how: Any,
) -> MinimaGraph:
    """Join many minima, edge by edge where it helps most.

    All straight lines are measured. Then the highest edge of the spanning tree that was not sought yet is sought by
    `connect`, again and again, until all edges of the tree were, or so many.

    Parameters
    ----------
    landscape : Landscape
    minima : sequence of what `connect` takes as an end
    edges : int, optional
        How many edges are sought at most. Default: as many as it takes.
    recorder : Recorder, optional
        Where parts are kept as they are found.
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
    sought: set[Edge] = set()
    while (edge := next((edge for edge in reversed(graph.tree) if edge not in sought), None)) is not None:
        if edges is not None and len(sought) >= edges:
            break
        sought.add(edge)
        own = _Edge(recorder or Forgetful(), f"minima {edge[0]} and {edge[1]}")
        path = connect(landscape, thetas[edge[0]], thetas[edge[1]], recorder=own, **how)
        lower = min(path, graph.paths[edge], key=lambda known: known.max_error)
        graph = MinimaGraph(graph.errors, {**graph.paths, edge: lower})
    return graph


class _Edge:
    """The part of a recorder that belongs to one edge."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    def find(self, key: str) -> Kept | None:
        return self.recorder.find(f"{self.name}, {key}")

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> object:
        return self.recorder.add(kind, f"{self.name}, {key}", record, tensors)
