"""The picture of a hierarchy, from its record: beta is the height, and basins join where one falls into another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spinodal.plots.axis import BETA, WEIGHT_DECAY
from spinodal.plots.basin_tree import BasinTreeRecord, Joint, Trunk
from spinodal.plots.style import AMBER, BLUE, ORANGE, WIDTH, heights, paper, plain

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NARROW, ACROSS, TALL = 1.6, 1.5, 4.6  # inches: beside the trunks, for each of them at least, and in height
LETTER, WIDEST = 0.055, 3.0  # inches: of a letter of a name, and at most for a trunk with its name
THIN, SEED = 1.0, 0.8  # points: of a trunk of no seed, and for each seed
NAMED = 40  # basins up to which each has its name


def draw_basin_tree(record: BasinTreeRecord) -> Figure:
    """Draw every basin as a trunk over its range of beta, as thick as many seeds met it, joined where it falls into another."""
    from spinodal.plots.canvas import Canvas

    across = max(trunk.place for trunk in record.trunks) + 1.0
    with paper():
        figure = Canvas(figsize=(max(WIDTH, NARROW + _across(record) * across), TALL), layout="constrained")
        axes = figure.add_subplot()
        for joint in record.joints:
            _draw_joint(axes, record, joint)
        for trunk in record.trunks:
            _draw_trunk(axes, trunk, named=len(record.trunks) <= NAMED)
        for beta in record.exact:
            axes.axhline(beta, color=AMBER, linewidth=3, alpha=0.5, zorder=0)
        axes.set_xlim(-0.3, across)
        axes.set_xticks([])
        heights(axes, record.limits, BETA, WEIGHT_DECAY)
        figure.suptitle(plain(record.title), fontsize=9)
        figure.legend(handles=_handles(record), loc="outside lower center", ncols=2)
        return figure


def _across(record: BasinTreeRecord) -> float:
    """Return the inches for a trunk, so that no name runs into the next trunk."""
    longest = max(len(trunk.name) for trunk in record.trunks) if len(record.trunks) <= NAMED else 0
    return min(max(ACROSS, LETTER * longest), WIDEST)


def _draw_trunk(axes: Axes, trunk: Trunk, *, named: bool) -> None:
    look: dict[str, Any] = {"color": "black", "linewidth": THIN + SEED * trunk.seeds, "solid_capstyle": "butt"}
    axes.plot([trunk.place] * 2, trunk.height, zorder=2, **look)
    if trunk.ends is not None and trunk.ends[0] < trunk.ends[1]:
        axes.plot([trunk.place] * 2, trunk.ends, color=ORANGE, linewidth=4 + SEED * trunk.seeds, alpha=0.5, zorder=3)
    if named:
        middle = (trunk.height[0] * trunk.height[1]) ** 0.5
        paper_behind = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        look = {"va": "center", "fontsize": 6.5, "bbox": paper_behind, "zorder": 5}
        axes.annotate(plain(trunk.name), (trunk.place, middle), xytext=(5, 0), textcoords="offset points", **look)


def _draw_joint(axes: Axes, record: BasinTreeRecord, joint: Joint) -> None:
    first, second = (record.trunks[basin].place for basin in (joint.basin, joint.falls_to))
    look: dict[str, Any] = {"color": BLUE, "linewidth": 1.2, "linestyle": "-" if joint.is_usual else (0, (3, 2))}
    axes.plot([first, second], [joint.beta] * 2, zorder=1, **look)
    axes.plot([first], [joint.beta], marker="_", markersize=9, markeredgewidth=1.6, color=BLUE, zorder=4)


def _handles(record: BasinTreeRecord) -> list[Artist]:
    """Return the legend of what occurs."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], color="black", linewidth=THIN + 2 * SEED, label="basin (width: how many seeds)"),
        Line2D([], [], color=BLUE, linewidth=1.2, marker="_", markersize=9, label="falls, as β rises"),
    ]
    if any(not joint.is_usual for joint in record.joints):
        handles.append(Line2D([], [], color=BLUE, linewidth=1.2, linestyle=(0, (3, 2)), label="falls so in fewer maps"))
    if any(trunk.ends is not None and trunk.ends[0] < trunk.ends[1] for trunk in record.trunks):
        handles.append(Line2D([], [], color=ORANGE, linewidth=4, alpha=0.5, label="its ends over the seeds"))
    if record.exact:
        handles.append(Line2D([], [], color=AMBER, linewidth=3, alpha=0.5, label="closed form"))
    if _has_groups(record):
        handles.append(Line2D([], [], linestyle="", label="a|b c: b and c taken for one"))
    return handles


def _has_groups(record: BasinTreeRecord) -> bool:
    return any("|" in trunk.name for trunk in record.trunks)
