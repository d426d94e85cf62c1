"""Two maps of one task in one figure: E and rank of both, and where their transitions lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spinodal.phases.comparison import Comparison
from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import padded, points_by_phase
from spinodal.plots.style import BLUE, GREEN, ORANGE, new_figure, paper, set_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BELOW = 4.0  # factor in beta that is drawn below the first transition
LABELS = ("E", "rank")


def draw_comparison(found: Comparison) -> Figure:
    """Draw E and rank of two maps against beta: the first as lines, the second as dots.

    Vertical lines are ends and coexistence points of the first, bands the brackets of the transitions of the second.
    """
    with paper():
        figure, axes = new_figure(2, height=2.4)
        for place, label in zip(axes, LABELS, strict=True):
            _draw_marks(place, found)
            _draw_first(place, found.first, label)
            _draw_second(place, found.second, label)
            place.set_ylabel(label)
        set_axes(figure, axes, f"{found.first.task['name']}: {found.first.solver} and {found.second.solver}", limits(found))
        figure.legend(handles=_handles(found), loc="outside lower center", ncols=2)
        return figure


def limits(found: Comparison) -> tuple[float, float]:
    """Return the range of beta that is drawn: from below the first transition to the end."""
    betas = [point.beta for point in (*found.first.points, *found.second.points)]
    marks = [meeting.end for meeting in found.meetings] + [low for low, _ in found.alone]
    return padded((max(min(betas), min(marks, default=max(betas)) / BELOW), max(betas)))


def _values(diagram: Diagram, label: str) -> list[tuple[list[float], list[float]]]:
    """Return beta and E or rank, phase by phase."""
    parts = points_by_phase(diagram)
    return [
        ([point.beta for point in part], [point.error if label == "E" else float(point.observation.rank) for point in part])
        for part in parts
    ]


def _draw_first(axes: Axes, diagram: Diagram, label: str) -> None:
    for betas, values in _values(diagram, label):
        axes.plot(betas, values, color=BLUE, linewidth=1.1, zorder=3, drawstyle="default" if label == "E" else "steps-mid")


def _draw_second(axes: Axes, diagram: Diagram, label: str) -> None:
    for betas, values in _values(diagram, label):
        axes.plot(betas, values, color=ORANGE, linestyle="", marker=".", markersize=3.5, zorder=4)


def _draw_marks(axes: Axes, found: Comparison) -> None:
    for low, high in (*(item.bracket for item in found.meetings if item.bracket), *found.alone):
        axes.axvspan(low, high, color=ORANGE, alpha=0.25, linewidth=0, zorder=1)
    for item in found.meetings:
        axes.axvline(item.end, color="black", linewidth=0.8, zorder=2)
        if item.coexistence is not None:
            axes.axvline(item.coexistence, color=GREEN, linewidth=1.0, linestyle="--", zorder=2)


def _handles(found: Comparison) -> list[Artist]:
    """Return the legend of what occurs."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color=BLUE, linewidth=1.1, label=f"map ({found.first.solver})"),
        Line2D([], [], color=ORANGE, linestyle="", marker=".", label=found.second.solver),
        Line2D([], [], color="black", linewidth=0.8, label="end of a phase (spinodal)"),
        Line2D([], [], color=ORANGE, linewidth=5, alpha=0.25, label=f"transition of {found.second.solver}"),
    ]
    if any(item.coexistence is not None for item in found.meetings):
        handles.append(Line2D([], [], color=GREEN, linewidth=1.0, linestyle="--", label="coexistence"))
    return handles
