"""spinodal: the phases of a neural network along the strength of its L2 penalty."""

from importlib.metadata import PackageNotFoundError, version

from spinodal import tasks, theory
from spinodal.branches import Branch, Coexistence, Fold, StationaryPoint, coexistence, continue_branch
from spinodal.curvature import (
    Curvature,
    Estimate,
    GaussNewton,
    SaddleIndex,
    SpectralDensity,
    Surface,
    change_points,
    curvature_at,
    extreme_eigenvalues,
    fisher_trace,
    saddle_index,
    scalar_curvature,
    spectral_density,
)
from spinodal.dynamics import Diagnosis, Trajectory, diagnose, train
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty, beta_of, weight_decay
from spinodal.mapping.map import MapOptions, map_phases
from spinodal.mapping.place import place
from spinodal.minima.minimise import Minimum, minimise
from spinodal.phases.diagram import PhaseDiagram
from spinodal.phases.existence import Existence
from spinodal.phases.phase import Phase
from spinodal.phases.placement import Placement
from spinodal.phases.snapshot import Snapshot
from spinodal.store import load
from spinodal.sweeps.loop import Loop
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.sweeping import sweep
from spinodal.sweeps.transition import Transition
from spinodal.tasks import Task

try:
    __version__ = version("spinodal")
except PackageNotFoundError:  # running from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Branch",
    "Coexistence",
    "Curvature",
    "Diagnosis",
    "Estimate",
    "Existence",
    "Fold",
    "GaussNewton",
    "Landscape",
    "Loop",
    "MapOptions",
    "Minimum",
    "Penalty",
    "Phase",
    "PhaseDiagram",
    "Placement",
    "SaddleIndex",
    "Snapshot",
    "SpectralDensity",
    "SpinodalError",
    "StationaryPoint",
    "Surface",
    "Sweep",
    "Task",
    "Trajectory",
    "Transition",
    "beta_of",
    "change_points",
    "coexistence",
    "continue_branch",
    "curvature_at",
    "diagnose",
    "extreme_eigenvalues",
    "fisher_trace",
    "load",
    "map_phases",
    "minimise",
    "place",
    "saddle_index",
    "scalar_curvature",
    "spectral_density",
    "sweep",
    "tasks",
    "theory",
    "train",
    "weight_decay",
]
