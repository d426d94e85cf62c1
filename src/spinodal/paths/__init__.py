"""Paths of low error between two minima, and what they tell."""

from spinodal.paths.alignment import Alignment, align
from spinodal.paths.connecting import connect
from spinodal.paths.graph import Merger, MinimaGraph, graph_of_minima
from spinodal.paths.mergeable import Mergeable, mergeable
from spinodal.paths.path import Along, Path, Stop
from spinodal.paths.walk import Jump

__all__ = [
    "Alignment",
    "Along",
    "Jump",
    "Mergeable",
    "Merger",
    "MinimaGraph",
    "Path",
    "Stop",
    "align",
    "connect",
    "graph_of_minima",
    "mergeable",
]
