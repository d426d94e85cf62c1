"""Several maps in one figure: E and rank of all, and where each met which transition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spinodal.ensemble.ensemble import Ensemble
from spinodal.ensemble.shared import SharedTransition
from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import padded, points_by_phase
from spinodal.plots.style import GREY, HEIGHT, PALETTE, SKY, new_figure, paper, plain, set_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BELOW = 4.0  # factor in beta that is drawn below the first transition
LINES: Mapping[str, Any] = {"up": "-", "down": (0, (4, 2))}
ROWS = 24  # members up to which each has its name beside its row


def draw_ensemble(ensemble: Ensemble) -> Figure:
    """Draw E and rank of all maps over each other, and below, in a row for every map, where it met which transition.

    A line stands at the mean beta of a transition, a band over its range; how many maps met it is written above.
    """
    ensemble.members[0].control.require_l2("the figure")
    ranked = any(member.has_matrices for member in ensemble.members)
    labels = ["E", *(["rank"] if ranked else [])]
    with paper():
        figure, axes = new_figure(len(labels) + 1, height=0.75 * HEIGHT)
        for place, label in zip(axes, labels, strict=False):
            _draw_bands(place, ensemble.transitions)
            _draw_curves(place, ensemble, label)
        _draw_bands(axes[-1], ensemble.transitions)
        _draw_rows(axes[-1], ensemble)
        title = f"{ensemble.task}: {len(ensemble.members)} maps"
        set_axes(figure, axes, title, limits(ensemble))
        figure.legend(handles=_handles(ensemble), loc="outside lower center", ncols=4)
        return figure


def limits(ensemble: Ensemble) -> tuple[float, float]:
    """Return the range of beta that is drawn: from below the first transition to the end of the longest map."""
    betas = [point.beta for member in ensemble.members for point in member.points]
    first = min((item.spread.low for item in ensemble.transitions), default=max(betas))
    return padded((max(min(betas), first / BELOW), max(betas)))


def _draw_curves(axes: Axes, ensemble: Ensemble, label: str) -> None:
    """Draw one quantity of all maps, in colours of their own where they are few."""
    for colour, member in zip(_colours(ensemble), ensemble.members, strict=True):
        look: dict[str, Any] = {"color": colour, "linewidth": 1.1, "alpha": 0.7}
        for points in _stretches(member):
            betas = [point.beta for point in points]
            values = [point.error if label == "E" else float(point.observation.rank) for point in points]
            axes.plot(betas, values, drawstyle="default" if label == "E" else "steps-mid", zorder=3, **look)
    axes.set_ylabel(label)
    if label == "rank":
        from matplotlib.ticker import MaxNLocator

        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _colours(ensemble: Ensemble) -> list[str]:
    """Return the colours of the maps: one each where they are few."""
    count = len(ensemble.members)
    return list(PALETTE[:count]) if count <= len(PALETTE) else [SKY] * count


def _stretches(member: Diagram) -> list[Sequence[Any]]:
    """Return the points of a map phase by phase, the way back of a loop after them."""
    return [*points_by_phase(member), *(member.back.stretches if member.back else ())]


def _draw_bands(axes: Axes, transitions: Sequence[SharedTransition]) -> None:
    for item in transitions:
        axes.axvspan(item.spread.low, item.spread.high, color=GREY, alpha=0.25, linewidth=0, zorder=1)
        axes.axvline(item.beta, color="black", linewidth=0.6, linestyle=LINES[item.direction], zorder=2)


def _draw_rows(axes: Axes, ensemble: Ensemble) -> None:
    """Draw a row for every map with a mark at each transition that it met."""
    rows = {name: place for place, name in enumerate(ensemble.names)}
    colours = dict(zip(ensemble.names, _colours(ensemble), strict=True))
    for item in ensemble.transitions:
        for seen in item.seen:
            axes.plot([seen.beta], [rows[seen.member]], color=colours[seen.member], marker="o", markersize=3.5, zorder=4)
        axes.annotate(
            str(item.met), (item.beta, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=5,
            color=GREY if item.met == item.of else "black",
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_ylabel("map")
    if len(rows) <= ROWS:
        axes.set_yticks(range(len(rows)), [plain(name) for name in rows], fontsize=6)


def _handles(ensemble: Ensemble) -> list[Artist]:
    """Return the legend of what occurs."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = []
    for direction in dict.fromkeys(item.direction for item in ensemble.transitions):
        label = f"mean of a transition{'' if direction == 'up' else ' downwards'}"
        handles.append(Line2D([], [], color="black", linewidth=0.6, linestyle=LINES[direction], label=label))
    handles += [Line2D([], [], color=GREY, linewidth=5, alpha=0.25, label="its range")] if handles else []
    if len(ensemble.members) <= len(PALETTE):
        handles += [
            Line2D([], [], color=PALETTE[number], linewidth=1.1, label=plain(name))
            for number, name in enumerate(ensemble.names)
        ]
    return handles
