"""spinodal: the phases of a neural network along the strength of its L2 penalty."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

from spinodal import shown

if TYPE_CHECKING:
    from spinodal import tasks, theory
    from spinodal.basins.basin import Basin
    from spinodal.basins.hierarchy import hierarchy
    from spinodal.basins.tree import Hierarchy
    from spinodal.branches import Branch, Coexistence, Fold, StationaryPoint, coexistence, continue_branch
    from spinodal.conventions import beta_of, weight_decay
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
    from spinodal.dynamics import Diagnosis, Reach, Slowing, Trajectory, WayOut, diagnose, escape, reachable, train
    from spinodal.ensemble.ensemble import Ensemble
    from spinodal.ensemble.map import map_ensemble
    from spinodal.errors import SpinodalError
    from spinodal.landscape import Landscape
    from spinodal.landscape.control import Control
    from spinodal.landscape.penalty import Penalty
    from spinodal.landscape.weight import Field, Weight
    from spinodal.mapping.map import map_phases
    from spinodal.mapping.options import MapOptions
    from spinodal.mapping.place import place
    from spinodal.minima.minimise import Minimum, minimise
    from spinodal.paths import Path, connect
    from spinodal.phases.existence import Existence
    from spinodal.phases.phase import Phase
    from spinodal.phases.snapshot import Snapshot
    from spinodal.results.phase_diagram import PhaseDiagram
    from spinodal.results.placement import Placement
    from spinodal.shares.basin_shares import basin_shares
    from spinodal.shares.share import Share
    from spinodal.shares.shares import Shares
    from spinodal.store import load
    from spinodal.sweeps.loop import Loop
    from spinodal.sweeps.sweep import Sweep
    from spinodal.sweeps.sweeping import sweep
    from spinodal.sweeps.transition import Transition
    from spinodal.tasks import Task
    from spinodal.version import __version__ as __version__

__all__ = [
    "Basin",
    "Branch",
    "Coexistence",
    "Control",
    "Curvature",
    "Diagnosis",
    "Ensemble",
    "Estimate",
    "Existence",
    "Field",
    "Fold",
    "GaussNewton",
    "Hierarchy",
    "Landscape",
    "Loop",
    "MapOptions",
    "Minimum",
    "Path",
    "Penalty",
    "Phase",
    "PhaseDiagram",
    "Placement",
    "Reach",
    "SaddleIndex",
    "Share",
    "Shares",
    "Slowing",
    "Snapshot",
    "SpectralDensity",
    "SpinodalError",
    "StationaryPoint",
    "Surface",
    "Sweep",
    "Task",
    "Trajectory",
    "Transition",
    "WayOut",
    "Weight",
    "basin_shares",
    "beta_of",
    "change_points",
    "coexistence",
    "connect",
    "continue_branch",
    "curvature_at",
    "diagnose",
    "escape",
    "extreme_eigenvalues",
    "fisher_trace",
    "hierarchy",
    "load",
    "map_ensemble",
    "map_phases",
    "minimise",
    "place",
    "reachable",
    "saddle_index",
    "scalar_curvature",
    "spectral_density",
    "sweep",
    "tasks",
    "theory",
    "train",
    "weight_decay",
]

HOMES = {  # where a name is imported from when it is first asked for: the command line shows its help without torch
    "__version__": "spinodal.version",
    "Basin": "spinodal.basins.basin",
    "Branch": "spinodal.branches",
    "Coexistence": "spinodal.branches",
    "Control": "spinodal.landscape.control",
    "Curvature": "spinodal.curvature",
    "Diagnosis": "spinodal.dynamics",
    "Ensemble": "spinodal.ensemble.ensemble",
    "Estimate": "spinodal.curvature",
    "Existence": "spinodal.phases.existence",
    "Field": "spinodal.landscape.weight",
    "Fold": "spinodal.branches",
    "GaussNewton": "spinodal.curvature",
    "Hierarchy": "spinodal.basins.tree",
    "Landscape": "spinodal.landscape",
    "Loop": "spinodal.sweeps.loop",
    "MapOptions": "spinodal.mapping.options",
    "Minimum": "spinodal.minima.minimise",
    "Path": "spinodal.paths",
    "Penalty": "spinodal.landscape.penalty",
    "Phase": "spinodal.phases.phase",
    "PhaseDiagram": "spinodal.results.phase_diagram",
    "Placement": "spinodal.results.placement",
    "Reach": "spinodal.dynamics",
    "SaddleIndex": "spinodal.curvature",
    "Slowing": "spinodal.dynamics",
    "Snapshot": "spinodal.phases.snapshot",
    "SpectralDensity": "spinodal.curvature",
    "SpinodalError": "spinodal.errors",
    "StationaryPoint": "spinodal.branches",
    "Surface": "spinodal.curvature",
    "Sweep": "spinodal.sweeps.sweep",
    "Task": "spinodal.tasks",
    "Trajectory": "spinodal.dynamics",
    "Transition": "spinodal.sweeps.transition",
    "WayOut": "spinodal.dynamics",
    "Weight": "spinodal.landscape.weight",
    "beta_of": "spinodal.conventions",
    "change_points": "spinodal.curvature",
    "coexistence": "spinodal.branches",
    "connect": "spinodal.paths",
    "continue_branch": "spinodal.branches",
    "curvature_at": "spinodal.curvature",
    "diagnose": "spinodal.dynamics",
    "escape": "spinodal.dynamics",
    "extreme_eigenvalues": "spinodal.curvature",
    "fisher_trace": "spinodal.curvature",
    "hierarchy": "spinodal.basins.hierarchy",
    "basin_shares": "spinodal.shares.basin_shares",
    "Share": "spinodal.shares.share",
    "Shares": "spinodal.shares.shares",
    "load": "spinodal.store",
    "map_ensemble": "spinodal.ensemble.map",
    "map_phases": "spinodal.mapping.map",
    "minimise": "spinodal.minima.minimise",
    "place": "spinodal.mapping.place",
    "reachable": "spinodal.dynamics",
    "saddle_index": "spinodal.curvature",
    "scalar_curvature": "spinodal.curvature",
    "spectral_density": "spinodal.curvature",
    "sweep": "spinodal.sweeps.sweeping",
    "train": "spinodal.dynamics",
    "weight_decay": "spinodal.conventions",
}

shown.open_with(lambda: cast(shown.Renderer, import_module("spinodal.notebook")))  # results know no room above their own

if not TYPE_CHECKING:  # which reads the imports above, and refuses names that are not there

    def __getattr__(name: str) -> object:
        value = getattr(import_module(HOMES[name]), name) if name in HOMES else _room(name)
        globals()[name] = value
        return value


def _room(name: str) -> ModuleType:
    """Return a room, as `spinodal.curvature`."""
    place = f"{__name__}.{name}"
    try:
        return import_module(place)
    except ModuleNotFoundError as cause:
        if cause.name != place:  # a package that the room needs
            raise
        text = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(text) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
