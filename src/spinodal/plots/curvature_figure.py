"""The figures of curvature, from their record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spinodal.curvature.result import LETTERS
from spinodal.plots.curvature import CurvatureRecord
from spinodal.plots.mark import KINDS
from spinodal.plots.panel import Panel
from spinodal.plots.record import DiagramRecord
from spinodal.plots.s_curve_figure import DASHED, MARKERS
from spinodal.plots.style import BLUE, GREY, ORANGE, draw_marks, draw_panel, finish, new_figure, paper

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"error": BLUE, "loss": ORANGE}  # those of the curves
SYMBOLS = {"step": "v", "sign change": "X"}
HEIGHTS = {"error": 0.95, "loss": 0.86}  # of the marks in their panel, so that two at one place are seen both


def draw_curvature(record: DiagramRecord) -> Figure | None:
    """Draw error, scalar curvature and distance from the origin against beta; None without curvature.

    Beside the transitions stand spinodals and coexistence points, where they are known, and the change points of the
    curvature: triangles where R steps, crosses where it changes its sign.
    """
    found = record.curvature
    return None if found is None else _draw(found, (found.error, found.curvature, found.distance), changes=1)


def draw_hessian(record: DiagramRecord) -> Figure | None:
    """Draw traces, saddle index and margin against beta; None without curvature."""
    found = record.curvature
    return None if found is None else _draw(found, (found.traces, found.index, record.margin))


def _draw(found: CurvatureRecord, panels: Sequence[Panel], *, changes: int | None = None) -> Figure:
    """Draw panels with what marks them, and the change points in one of them."""
    with paper():
        figure, axes = new_figure(len(panels), height=1.8)
        for place, panel in zip(axes, panels, strict=True):
            draw_panel(place, panel, found.axis)
            _draw_marks(place, found)
        if changes is not None:
            _draw_changes(axes[changes], found)
        return finish(figure, axes, found.title, found.axis, more=_handles(found, changes=changes is not None))


def _draw_marks(axes: Axes, record: CurvatureRecord) -> None:
    """Draw transitions, coexistence as lines and spinodals at the foot of a panel."""
    draw_marks(axes, record.axis)
    low, high = record.axis.limits
    for beta in (beta for beta in record.coexistence if low <= beta <= high):
        axes.axvline(beta, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=1)
    spinodals = [beta for beta in record.spinodals if low <= beta <= high]
    look: dict[str, Any] = {"color": "black", "linestyle": "none", "zorder": 5, "clip_on": False, **MARKERS["spinodal"]}
    if spinodals:  # nothing that is not clipped would be laid out at the corner of the figure
        axes.plot(spinodals, [0.0] * len(spinodals), transform=axes.get_xaxis_transform(), **look)


def _draw_changes(axes: Axes, record: CurvatureRecord) -> None:
    for change in record.changes:
        look: dict[str, Any] = {"color": COLOURS[change.surface], "markersize": 5, "markeredgewidth": 0, "zorder": 6}
        height = HEIGHTS[change.surface]
        axes.plot([change.beta], [height], marker=SYMBOLS[change.kind], transform=axes.get_xaxis_transform(), **look)


def _handles(record: CurvatureRecord, *, changes: bool = True) -> list[Artist]:
    """Return the legend of what occurs beside the transitions."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = []
    if record.spinodals:
        handles.append(Line2D([], [], color="black", linestyle="none", label=KINDS["spinodal"], **MARKERS["spinodal"]))
    if record.coexistence:
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, linestyle=DASHED, label=KINDS["coexistence"]))
    for surface, kind in sorted({(change.surface, change.kind) for change in record.changes if changes}):
        look: dict[str, Any] = {"color": COLOURS[surface], "marker": SYMBOLS[kind], "markersize": 5, "markeredgewidth": 0}
        handles.append(Line2D([], [], linestyle="none", label=f"{kind} of R of {LETTERS[surface]}", **look))
    return handles
