"""The picture of the tree of phases, from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spinodal.phases.tree import Fall
from spinodal.plots.phase_tree import Interval, PhaseBar, TreeRecord
from spinodal.plots.style import BLUE, GREY, ORANGE, new_figure, paper, set_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spinodal.plots.record import DiagramRecord

FALLS: Mapping[str, Mapping[str, Any]] = {
    "up": {"color": ORANGE, "linestyle": "-"},
    "down": {"color": BLUE, "linestyle": (0, (4, 1.5))},
}
BARS: Mapping[str, Mapping[str, Any]] = {
    "stable": {"color": "black", "linewidth": 5.0},
    "metastable": {"color": "black", "linewidth": 1.4},
    "followed": {"color": GREY, "linewidth": 3.0},
}
NAMES = {"stable": "deepest phase known", "metastable": "metastable", "followed": "followed"}
LOW, ROW, TALL = 1.5, 0.32, 12.0  # inches: what a figure needs besides its rows, a row, and at most all of it
LABELLED = 40  # phases up to which each has its name


def draw_tree(record: DiagramRecord) -> Figure | None:
    """Draw every phase as a bar over its range of beta, by rising E, with arrows to what each falls into; None without them.

    A bar is thick where no deeper phase is known, thin where the phase is metastable.
    """
    return None if record.tree is None else _figure(record.tree)


def _figure(record: TreeRecord) -> Figure:
    with paper():
        figure, (axes,) = new_figure(1, height=min(LOW + ROW * max(len(record.bars), 3), TALL))
        set_axes(figure, [axes], record.title, record.limits)
        for row, bar in enumerate(record.bars):
            _draw_bar(axes, row, bar, record.limits)
        for fall in record.falls:
            _draw_fall(axes, record, fall)
        _name_rows(axes, record)
        figure.legend(handles=_handles(record), loc="outside lower center", ncols=2)
        return figure


def _draw_bar(axes: Axes, row: int, bar: PhaseBar, limits: Interval) -> None:
    for kind, intervals in _intervals(bar).items():
        for low, high in intervals:
            shown = (max(low, limits[0]), high)
            axes.plot(shown, (row, row), solid_capstyle="butt", zorder=2, **BARS[kind])
    if bar.range[0] < limits[0]:
        axes.plot([limits[0]], [row], marker="<", markersize=6, color="black", clip_on=False, zorder=6)


def _intervals(bar: PhaseBar) -> Mapping[str, tuple[Interval, ...]]:
    if bar.stable or bar.metastable:
        return {"stable": bar.stable, "metastable": bar.metastable}
    return {"followed": (bar.range,)}


def _draw_fall(axes: Axes, record: TreeRecord, fall: Fall) -> None:
    """Draw an arrow from the end of a phase to the one that it falls into, or a cross where that is not known."""
    look = FALLS[fall.direction]
    start = record.row(fall.phase)
    axes.plot(
        [fall.beta], [start], marker="o" if fall.falls_to is not None else "x", markersize=4, color=look["color"], zorder=5
    )
    if fall.falls_to is not None:
        arrow = {"arrowstyle": "-|>", "linewidth": 1.1, "shrinkA": 0, "shrinkB": 2, **look}
        axes.annotate("", xy=(fall.beta, record.row(fall.falls_to)), xytext=(fall.beta, start), arrowprops=arrow, zorder=4)


def _name_rows(axes: Axes, record: TreeRecord) -> None:
    names = [f"phase {bar.phase}" + ("" if bar.rank is None else f"  (rank {bar.rank})") for bar in record.bars]
    shown = range(len(names)) if len(names) <= LABELLED else []
    axes.set_yticks(list(shown), [names[row] for row in shown])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_ylabel("by rising E")
    if any(bar.range[0] == 0 for bar in record.bars):
        axes.text(0.01, 0.02, "◂ a minimum for every β > 0", transform=axes.transAxes, fontsize=6, color=GREY)


def _handles(record: TreeRecord) -> list[Artist]:
    """Return the legend of what occurs."""
    from matplotlib.lines import Line2D

    kinds = {kind for bar in record.bars for kind, intervals in _intervals(bar).items() if intervals}
    handles: list[Artist] = [Line2D([], [], label=NAMES[kind], **BARS[kind]) for kind in BARS if kind in kinds]
    walked = {fall.direction for fall in record.falls}
    return handles + [
        Line2D([], [], marker="o", markersize=4, label=f"falls, walking {way}", **FALLS[way]) for way in FALLS if way in walked
    ]
