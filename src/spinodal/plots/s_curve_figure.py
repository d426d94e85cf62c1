"""The figure of S-curves, from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spinodal.plots.mark import KINDS
from spinodal.plots.s_curve import MANY, QUANTITIES, BranchCurve, Quantity, SCurveRecord, Way
from spinodal.plots.style import AMBER, BLUE, GREEN, GREY, NAMED, ORANGE, PINK, SKY, new_figure, paper, set_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spinodal.plots.record import DiagramRecord

STABILITY: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))  # lines by index: 0, 1, more
NAMES = ("stable (index 0)", "saddle of index 1", f"saddle of index ≥ {MANY}")
BOUNDED = ("index ≥ 0", "saddle of index ≥ 1", NAMES[MANY])  # where an index is a lower bound
WAYS = {"up": ORANGE, "down": BLUE}
BRANCHES = ("black", GREEN, PINK, AMBER, GREY)  # none of the ways' colours
MARKERS: Mapping[str, Mapping[str, Any]] = {
    "spinodal": {"marker": "o", "markersize": 5},
    "fold": {"marker": "o", "markersize": 4, "markerfacecolor": "white"},
    "minor": {"marker": "o", "markersize": 2},
    "branch": {"marker": "s", "markersize": 4.5, "markerfacecolor": "white"},
    "coexistence": {"marker": "D", "markersize": 4},
    "barrier": {"marker": "^", "markersize": 4.5},
}
DASHED = (0, (6, 2, 1, 2))  # the lines of coexistence
EXTENSION: Mapping[str, Any] = {"color": GREY, "linewidth": 0.8}
BEHIND = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5}  # a text that lines may cross
SHADED = ("error", "norm_squared")


def draw_s_curves(record: DiagramRecord) -> Figure | None:
    """Draw E, `||theta||^2` and L above the lowest phase against beta, along branches and both ways; None without them.

    Stable parts are solid, saddles dashed, those of index 2 and more dotted. Of a loop the two ways have
    arrows, and the area between them is shaded.
    """
    return None if record.s_curves is None else _figure(record.s_curves)


def _figure(record: SCurveRecord) -> Figure:
    with paper():
        figure, axes = new_figure(len(QUANTITIES), height=2.0)
        for place, quantity in zip(axes, QUANTITIES, strict=True):
            _draw(place, record, quantity)
        set_axes(figure, axes, record.title, record.limits)
        figure.legend(handles=_handles(record), loc="outside lower center", ncols=3)
        return figure


def _draw(axes: Axes, record: SCurveRecord, quantity: Quantity) -> None:
    if len(record.ways) > 1 and quantity.key in SHADED:
        _shade(axes, record, quantity)
    for item in record.extensions:
        axes.plot(item.beta, item.values[quantity.key], zorder=2, **EXTENSION)
    for way in record.ways:
        _draw_way(axes, way, quantity.key, arrows=len(record.ways) > 1)
    for number, branch in enumerate(record.branches):
        _draw_branch(axes, branch, quantity.key, BRANCHES[number % len(BRANCHES)])
    for beta in record.coexistence:
        axes.axvline(beta, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=1)
    for mark in record.marks:
        look = {"color": "black", "linestyle": "none", "markeredgewidth": 0.7, "zorder": 5, **MARKERS[mark.kind]}
        axes.plot([mark.beta], [mark.values[quantity.key]], **look)
    axes.set_ylabel(quantity.label)
    axes.margins(y=0.06)


def _draw_branch(axes: Axes, branch: BranchCurve, key: str, colour: str) -> None:
    for start, stop, index in branch.stretches:
        look: dict[str, Any] = {"linestyle": STABILITY[index], "color": colour, "linewidth": 1.1, "zorder": 3}
        axes.plot(branch.beta[start:stop], branch.values[key][start:stop], **look)


def _draw_way(axes: Axes, way: Way, key: str, *, arrows: bool) -> None:
    """Draw a way with its falls; its points are those of the branches where there are any."""
    colour = WAYS[way.direction]
    values = way.values[key]
    axes.plot(way.beta, values, color=colour, linewidth=2.6 if arrows else 1.6, alpha=0.35, zorder=2)
    for behind in way.starts[1:]:
        _arrow(axes, (way.beta[behind - 1], values[behind - 1]), (way.beta[behind], values[behind]), colour)
    if arrows:
        for start, stop in zip(way.starts, (*way.starts[1:], len(way.beta)), strict=True):
            _arrow_along(axes, way.beta[start:stop], values[start:stop], colour, 0.4 if way.direction == "up" else 0.6)


def _arrow_along(axes: Axes, beta: Sequence[float], values: Sequence[float], colour: str, part: float) -> None:
    """Draw an arrow on a stretch, where a part of the way in log beta is gone."""
    if len(beta) < 2:
        return
    goal = math.log(beta[0]) + part * math.log(beta[-1] / beta[0])
    here = min(range(1, len(beta)), key=lambda place: abs(math.log(beta[place]) - goal))
    _arrow(axes, (beta[here - 1], values[here - 1]), (beta[here], values[here]), colour)


def _arrow(axes: Axes, tail: tuple[float, float], tip: tuple[float, float], colour: str) -> None:
    look = {"arrowstyle": "-|>,head_width=0.22,head_length=0.45", "color": colour, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=tip, xytext=tail, arrowprops=look, zorder=4)


def _shade(axes: Axes, record: SCurveRecord, quantity: Quantity) -> None:
    """Shade what lies between the ways, and say how large it is where it is the area of the loop."""
    up, down = record.ways
    outline = ((*up.beta, *down.beta), (*up.values[quantity.key], *down.values[quantity.key]))
    axes.fill(*outline, color=SKY, alpha=0.25, linewidth=0, zorder=0)
    if quantity.key == "norm_squared" and record.area is not None and math.isfinite(record.area):
        text = f"loop area ∮‖θ‖²dβ = {record.area:.4g}"
        axes.text(0.99, 0.95, text, transform=axes.transAxes, ha="right", va="top", fontsize=7, color=GREY, bbox=BEHIND)


def _handles(record: SCurveRecord) -> list[Artist]:
    """Return the legend of what occurs."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = NAMES if record.is_exact else BOUNDED
    present = sorted({index for branch in record.branches for _, _, index in branch.stretches})
    handles: list[Artist] = [Line2D([], [], color="black", linestyle=STABILITY[k], label=names[k]) for k in present]
    if 1 < len(record.branches) <= NAMED:
        for number, branch in enumerate(record.branches):
            handles.append(Line2D([], [], color=BRANCHES[number % len(BRANCHES)], label=f"branch of phase {branch.phase}"))
    kinds = {mark.kind for mark in record.marks}
    for kind in (kind for kind in KINDS if kind in kinds):
        line = {"color": GREY, "linewidth": 0.7, "linestyle": DASHED} if kind == "coexistence" else {"linestyle": "none"}
        handles.append(
            Line2D([], [], markeredgecolor="black", **{"markerfacecolor": "black", **line, **MARKERS[kind]}, label=KINDS[kind])
        )
    for way in record.ways:
        handles.append(Line2D([], [], color=WAYS[way.direction], linewidth=2.6, alpha=0.5, label=f"way {way.direction}"))
    if record.extensions:
        handles.append(Line2D([], [], label="phase, followed further", **EXTENSION))
    if len(record.ways) > 1:
        handles.append(Patch(color=SKY, alpha=0.25, label="hysteresis"))
    return handles
