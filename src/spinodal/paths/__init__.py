"""Paths of low error between two minima, and what they tell."""

from spinodal.paths.alignment import Alignment, align
from spinodal.paths.connecting import connect
from spinodal.paths.graph import Merger, MinimaGraph, graph_of_minima
from spinodal.paths.jump import Jump, Saddle
from spinodal.paths.mergeable import Mergeable, mergeable
from spinodal.paths.path import Along, Path, Stop

__all__ = [
    "Alignment",
    "Along",
    "Jump",
    "Mergeable",
    "Merger",
    "MinimaGraph",
    "Path",
    "Saddle",
    "Stop",
    "align",
    "connect",
    "graph_of_minima",
    "mergeable",
]
