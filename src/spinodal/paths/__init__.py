"""Paths of low error between two minima, and what they tell."""

from spinodal.paths.alignment import Alignment, align
from spinodal.paths.connect import connect
from spinodal.paths.path import Along, Path, Stop
from spinodal.paths.walk import Jump

__all__ = ["Alignment", "Along", "Jump", "Path", "Stop", "align", "connect"]
