"""Which figures a result has, and how each is drawn: whole, or on axes that somebody gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import TYPE_CHECKING, Any, cast

from spinodal.basins.tree import Hierarchy
from spinodal.branches.branch import Branch
from spinodal.dynamics.diagnosis import Diagnosis
from spinodal.dynamics.trajectory import Trajectory
from spinodal.ensemble.ensemble import Ensemble
from spinodal.errors import SpinodalError, unknown_name
from spinodal.paths.path import Path
from spinodal.phases.phase import Phase
from spinodal.plots.basin_tree import basin_tree_record
from spinodal.plots.basin_tree_figure import draw_basin_tree
from spinodal.plots.ensemble_figure import draw_ensemble
from spinodal.plots.lines import draw_branch, draw_density, draw_diagnosis, draw_points, draw_trajectory
from spinodal.plots.path_figure import draw_paths
from spinodal.plots.record import diagram_record
from spinodal.plots.save import FIGURES
from spinodal.plots.shares_figure import draw_shares
from spinodal.plots.single import PANELS, draw_single
from spinodal.plots.style import new_figure, paper
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.shares import Shares
from spinodal.spectrum.density import SpectralDensity
from spinodal.sweeps.loop import Loop
from spinodal.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Kind:
    """One figure of a result: the whole, None where it does not apply, or on given axes, None where it has several panels."""

    whole: Callable[[], Figure | None]
    onto: Callable[[Axes], None] | None = None


def plot(result: object, kind: str | None, ax: Axes | None) -> Figure:
    """Draw a result and return the figure (see `spinodal.shown.Drawn.plot`)."""
    known = kinds(result)
    name = next(iter(known)) if kind is None else kind
    if name not in known:
        raise unknown_name("kind of figure", name, known)
    if ax is not None:
        return _onto(ax, name, known)
    drawn = known[name].whole()
    if drawn is None:
        raise SpinodalError(
            got=f"kind {name!r}, of which this result has nothing to draw",
            allowed=f"what it has is allowed: {', '.join(known)}",
            do="choose another, or make the map with what it needs (branches, curvature, a classifier)",
        )
    return drawn


def _onto(ax: Axes, name: str, known: Mapping[str, Kind]) -> Figure:
    onto = known[name].onto
    if onto is None:
        single = [other for other, kind in known.items() if kind.onto is not None]
        raise SpinodalError(
            got=f"ax for the figure {name!r}, which has several panels",
            allowed=f"kinds of one panel are allowed: {', '.join(single) or 'none of this result'}",
            do="leave ax out, or choose one of those",
        )
    with paper():
        onto(ax)
    return cast("Figure", ax.figure)


@singledispatch
def kinds(result: object) -> Mapping[str, Kind]:
    """Return the figures of a result by name, the one that says most first; none of a result that has no figure."""
    return {}


@kinds.register
def _(result: PhaseDiagram) -> Mapping[str, Kind]:
    result.control.require_l2("a figure")
    record = diagram_record(result)
    return {
        name: Kind(partial(draw, record), partial(draw_single, record=record, kind=name) if name in PANELS else None)
        for name, draw in FIGURES.items()
    }


def _lines(**draw: Callable[[Any], None]) -> Mapping[str, Kind]:
    """Return figures of one panel, each of which draws onto axes."""
    return {name: Kind(partial(_alone, onto), onto) for name, onto in draw.items()}


def _alone(onto: Callable[[Axes], None]) -> Figure:
    with paper():
        figure, (axes,) = new_figure(1)
        onto(axes)
        return figure


def _of_points(*walks: Any) -> Mapping[str, Kind]:
    return _lines(**{name: partial(draw_points, walks=walks, quantity=name) for name in ("error", "norm", "margin")})


@kinds.register
def _(result: Phase) -> Mapping[str, Kind]:
    return _of_points(("", (result.points,)))


@kinds.register
def _(result: Sweep) -> Mapping[str, Kind]:
    return _of_points(("", result.stretches))


@kinds.register
def _(result: Loop) -> Mapping[str, Kind]:
    return _of_points(("way up", result.up.stretches), ("way down", result.down.stretches))


@kinds.register
def _(result: Branch) -> Mapping[str, Kind]:
    return _lines(**{name: partial(draw_branch, branch=result, quantity=name) for name in ("error", "norm_squared", "margin")})


@kinds.register
def _(result: Trajectory) -> Mapping[str, Kind]:
    known = ["error", "loss", "norm", *(["held_out_error"] if result.held_out_error is not None else [])]
    return _lines(**{name: partial(draw_trajectory, history=result, quantity=name) for name in known})


@kinds.register
def _(result: Diagnosis) -> Mapping[str, Kind]:
    return _lines(flow=partial(draw_diagnosis, found=result))


@kinds.register
def _(result: SpectralDensity) -> Mapping[str, Kind]:
    return _lines(density=partial(draw_density, density=result))


@kinds.register
def _(result: Path) -> Mapping[str, Kind]:
    return {"path": Kind(partial(draw_paths, [result.to_dict()], "The error along the path"))}


@kinds.register
def _(result: Hierarchy) -> Mapping[str, Kind]:
    return {"tree": Kind(lambda: draw_basin_tree(basin_tree_record(result)))}


@kinds.register
def _(result: Ensemble) -> Mapping[str, Kind]:
    result.members[0].control.require_l2("a figure")
    return {"ensemble": Kind(partial(draw_ensemble, result))}


@kinds.register
def _(result: Shares) -> Mapping[str, Kind]:
    return {"shares": Kind(partial(draw_shares, result))}
