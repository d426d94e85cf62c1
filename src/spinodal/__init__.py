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
    name: f"spinodal.{home}"
    for home, names in {
        "basins.basin": "Basin",
        "basins.hierarchy": "hierarchy",
        "basins.tree": "Hierarchy",
        "branches": "Branch Coexistence Fold StationaryPoint coexistence continue_branch",
        "conventions": "beta_of weight_decay",
        "curvature": "Curvature Estimate GaussNewton SaddleIndex SpectralDensity Surface change_points "
        "curvature_at extreme_eigenvalues fisher_trace saddle_index scalar_curvature spectral_density",
        "dynamics": "Diagnosis Reach Slowing Trajectory WayOut diagnose escape reachable train",
        "ensemble.ensemble": "Ensemble",
        "ensemble.map": "map_ensemble",
        "errors": "SpinodalError",
        "landscape": "Landscape",
        "landscape.control": "Control",
        "landscape.penalty": "Penalty",
        "landscape.weight": "Field Weight",
        "mapping.map": "map_phases",
        "mapping.options": "MapOptions",
        "mapping.place": "place",
        "minima.minimise": "Minimum minimise",
        "paths": "Path connect",
        "phases.existence": "Existence",
        "phases.phase": "Phase",
        "phases.snapshot": "Snapshot",
        "results.phase_diagram": "PhaseDiagram",
        "results.placement": "Placement",
        "shares.basin_shares": "basin_shares",
        "shares.share": "Share",
        "shares.shares": "Shares",
        "store": "load",
        "sweeps.loop": "Loop",
        "sweeps.sweep": "Sweep",
        "sweeps.sweeping": "sweep",
        "sweeps.transition": "Transition",
        "tasks": "Task",
        "version": "__version__",
    }.items()
    for name in names.split()
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
