"""One function per figure, each from the record of a diagram."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spinodal.plots.panel import Panel
from spinodal.plots.recall import RecallMap
from spinodal.plots.record import DiagramRecord
from spinodal.plots.style import EMPTY, HEIGHT, draw_marks, draw_panel, finish, new_figure, paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TALLEST = 4  # rows of panels before another column begins
FLAT = 2.0  # inches: height of a row where there are several


def draw_error(record: DiagramRecord) -> Figure:
    """Draw E against beta."""
    return _stack(record, [record.error])


def draw_norm(record: DiagramRecord) -> Figure:
    """Draw `||theta||` against beta."""
    return _stack(record, [record.norm])


def draw_margin(record: DiagramRecord) -> Figure:
    """Draw the margin, with the residual of its eigenpair as a band, against beta."""
    return _stack(record, [record.margin])


def draw_rank(record: DiagramRecord) -> Figure:
    """Draw the effective rank of the model and of every weight matrix against beta."""
    return _stack(record, [record.rank])


def draw_singular_values(record: DiagramRecord) -> Figure | None:
    """Draw the singular values of every weight matrix against beta; None without matrices."""
    return _stack(record, list(record.singular_values)) if record.singular_values else None


def draw_accuracy(record: DiagramRecord) -> Figure | None:
    """Draw the accuracy against beta; None without classes."""
    return None if record.accuracy is None else _stack(record, [record.accuracy])


def draw_observables(record: DiagramRecord) -> Figure | None:
    """Draw the task's own observables against beta; None if it has none."""
    return _stack(record, list(record.observables)) if record.observables else None


def draw_recall(record: DiagramRecord) -> Figure | None:
    """Draw the recall of every class as a heat map over beta; None without classes."""
    if not record.recall:
        return None
    with paper():
        figure, axes = new_figure(len(record.recall))
        for place, recall in zip(axes, record.recall, strict=True):
            draw_recall_map(figure, place, recall, record)
        return finish(figure, axes, record.title, record.axis)


def draw_phase_map(record: DiagramRecord) -> Figure:
    """Draw error, norm, singular values of the narrowest matrix, rank, and of classifiers accuracy and recall."""
    of_the_model = replace(record.rank, curves=record.rank.curves[:1])
    scored = [record.accuracy] if record.accuracy else []
    panels = [record.error, *scored, record.norm, *record.singular_values[:1], of_the_model]
    with paper():
        figure, axes = new_figure(len(panels) + len(record.recall[:1]), height=1.6)
        for place, panel in zip(axes, panels, strict=False):
            draw_panel(place, panel, record.axis)
            draw_marks(place, record.axis)
        for recall in record.recall[:1]:
            draw_recall_map(figure, axes[-1], recall, record)
        return finish(figure, axes, record.title, record.axis)


def draw_recall_map(figure: Figure, axes: Axes, recall: RecallMap, record: DiagramRecord) -> None:
    """Draw one heat map, each point reaching half way to its neighbours, with its colour bar."""
    import matplotlib
    import numpy as np

    colours = matplotlib.colormaps["cividis"].with_extremes(bad=EMPTY)
    cells = np.ma.masked_invalid(np.array(recall.rows))
    rows = np.arange(len(recall.rows) + 1) - 0.5
    mesh: Any = axes.pcolormesh(record.axis.edges, rows, cells, cmap=colours, vmin=0, vmax=1, rasterized=True)
    every = math.ceil(len(recall.classes) / 20)
    axes.set_yticks(range(0, len(recall.classes), every), recall.classes[::every])
    axes.set_ylabel(recall.label)
    figure.colorbar(mesh, ax=axes, label="recall", pad=0.02)
    draw_marks(axes, record.axis)


def _stack(record: DiagramRecord, panels: list[Panel]) -> Figure:
    """Draw panels below each other, in as many columns as keep the figure on a page."""
    columns = math.ceil(len(panels) / TALLEST)
    rows = math.ceil(len(panels) / columns)
    with paper():
        figure, axes = new_figure(rows, columns, height=HEIGHT if rows == 1 else FLAT)
        for place, panel in zip(axes, panels, strict=False):
            draw_panel(place, panel, record.axis)
            draw_marks(place, record.axis)
        for unused in axes[len(panels) :]:
            unused.set_visible(False)
        return finish(figure, axes, record.title, record.axis, columns=columns)
