"""How figures look: colours, sizes, lines through phases, marks of transitions, the two axes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from spinodal.errors import needing
from spinodal.plots.axis import BETA, WEIGHT_DECAY, BetaAxis
from spinodal.plots.panel import Curve, Panel

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe & Ito's palette: told apart by colour-blind readers and, in this order, in grey.
BLUE, ORANGE, GREEN, PINK, SKY, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, AMBER)
GREY, EMPTY = "#666666", "#DDDDDD"
DASHES = ("-", "--", "-.", ":")
COLOURS = {"error": BLUE, "norm": GREEN, "margin": PINK, "singular_values": ORANGE, "observable": BLUE}
WIDTH, HEIGHT = 5.2, 3.0  # inches: one column and a half of most journals, text of 8 points
MARKED = 300  # points up to which each is marked on its curve
FEW_MINOR = 30  # minor transitions up to which their lines go all the way up
ACROSS = 4  # names side by side in the legend below
SPARSE = 10  # closed forms up to which their lines are wide
NAMED = 8  # curves up to which a legend names them
NARROW, TICKS = 5.0, 6  # factor in beta up to which ticks are round numbers, at most so many
WIDE = 50.0  # factor up to which 1, 2 and 5 are named; beyond, powers of ten


@contextmanager
def paper() -> Iterator[None]:
    """Use text of 8 points, and fonts that printers embed, for what is drawn or saved in here only."""
    with needing("matplotlib", "figures need"):
        import matplotlib
    look: dict[Any, Any] = {"font.size": 8, "legend.fontsize": 7.5, "legend.frameon": False, "axes.linewidth": 0.6}
    with matplotlib.rc_context({**look, "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box in the name of a task is no defect
        yield


def new_figure(rows: int, columns: int = 1, *, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """Return an empty figure, and its axes row by row, which share beta."""
    from spinodal.plots.canvas import Canvas  # matplotlib is slow to import

    size = (WIDTH * (1.0 if columns == 1 else 0.8 * columns), height * rows)
    figure = Canvas(figsize=size, layout="constrained")
    return figure, list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)


def plain(text: str) -> str:
    """Return a text that is not read as a formula and has no half characters (names of files may)."""
    return text.replace("$", r"\$").encode("utf-8", "replace").decode("utf-8")


def draw_panel(axes: Axes, panel: Panel, beta: BetaAxis) -> None:
    """Draw the curves of a panel with its vertical axis and, if there are several kinds, their names."""
    for number, curve in enumerate(panel.curves):
        _draw_curve(axes, panel, curve, number, beta)
    axes.set_ylabel(plain(panel.label))
    _scale(axes, panel)
    if panel.whole:
        from matplotlib.ticker import MaxNLocator

        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if 1 < len(panel.curves) <= NAMED:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    if panel.note:
        axes.text(0.01, 0.02, plain(panel.note.replace("; ", "\n")), transform=axes.transAxes, fontsize=6, color=GREY)


def _draw_curve(axes: Axes, panel: Panel, curve: Curve, number: int, beta: BetaAxis) -> None:
    one_kind = panel.key in COLOURS and len(panel.curves) == 1
    look: dict[str, Any] = {
        "color": COLOURS[panel.key] if one_kind else PALETTE[number % len(PALETTE)],
        "linestyle": "-" if one_kind else DASHES[number % len(DASHES)],
        "linewidth": 2.6 if panel.whole and number == 0 else 1.1,
        "drawstyle": "steps-mid" if panel.whole else "default",
        "markersize": 3,
    }
    for position, (start, stop) in enumerate(beta.pieces):
        marked = len(beta.beta) <= MARKED or stop - start == 1
        label = plain(curve.name) if position == 0 else None
        x, y = beta.beta[start:stop], curve.values[start:stop]
        axes.plot(x, y, marker="." if marked else None, label=label, **look)
        if curve.spread is not None:
            low, high = _band(y, curve.spread[start:stop], panel)
            axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)


def _band(values: Sequence[float], spread: Sequence[float], panel: Panel) -> tuple[list[float], list[float]]:
    """Return values less and plus their errors; on a logarithmic axis no less than next to nothing."""
    least = 1e-300 if panel.scale == "log" else -math.inf
    low = [max(value - error, least) if value > least else math.nan for value, error in zip(values, spread, strict=True)]
    high = [value + error if value > least else math.nan for value, error in zip(values, spread, strict=True)]
    return low, high


def _scale(axes: Axes, panel: Panel) -> None:
    """Set the limits from the values alone, not from their errors."""
    known = [value for curve in panel.curves for value in curve.values if not math.isnan(value)]
    if panel.scale == "symlog":
        axes.set_yscale("symlog", linthresh=panel.linear_below)
        return
    if panel.scale == "log":
        positive = [value for value in known if value > 0]
        axes.set_yscale("log")
        axes.set_ylim(0.6 * min(positive), 1.7 * max(positive))
        return
    low, high = min([0.0, *known]), max([panel.most or 0.0, *known])
    room = (high - low) or 1.0
    axes.set_ylim(low - 0.03 * room, low + 1.06 * room)


def draw_marks(axes: Axes, beta: BetaAxis) -> None:
    """Draw vertical lines at transitions, minor ones and closed forms."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(axes.transData, axes.transAxes)
    few = len(beta.minor) <= FEW_MINOR
    kinds: list[tuple[Sequence[float], float, dict[str, Any]]] = [
        (beta.exact, 1.0, {"color": AMBER, "linewidth": 3 if len(beta.exact) <= SPARSE else 1.2, "alpha": 0.5}),
        (beta.transitions, 1.0, {"color": "black", "linewidth": 0.7}),
        (beta.minor, 1.0 if few else 0.05, {"color": GREY, "linewidth": 0.5, "linestyle": _minor_style(beta)}),
    ]
    for marks, top, look in kinds:
        axes.vlines(marks, 0, top, transform=across, zorder=1, **look)


def finish(
    figure: Figure, axes: Sequence[Axes], title: str, beta: BetaAxis, *, columns: int = 1, more: Sequence[Artist] = ()
) -> Figure:
    """Set beta below, weight_decay above, the title, and say what the vertical lines are, and what `more` marks are."""
    set_axes(figure, axes, title, beta.limits, columns=columns)
    _name_marks(figure, beta, more)
    return figure


def set_axes(figure: Figure, axes: Sequence[Axes], title: str, limits: tuple[float, float], *, columns: int = 1) -> None:
    """Set beta below, weight_decay above, and the title."""
    for below in axes[-columns:]:
        set_beta(below, limits)
    for top in axes[:columns]:
        above = top.secondary_xaxis("top", functions=(_doubled, _halved))
        above.set_xlabel(WEIGHT_DECAY)
        _ticks(above.xaxis, limits)
    figure.suptitle(plain(title), fontsize=9)


def set_beta(axes: Axes, limits: tuple[float, float]) -> None:
    """Set beta below, on a logarithmic axis."""
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    axes.set_xlabel(BETA)
    _ticks(axes.xaxis, limits)


def heights(axes: Axes, limits: tuple[float, float], left: str, right: str) -> None:
    """Set beta as height on the left, weight_decay on the right."""
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.set_ylabel(left)
    beside = axes.secondary_yaxis("right", functions=(_doubled, _halved))
    beside.set_ylabel(right)
    for axis in (axes.yaxis, beside.yaxis):
        _ticks(axis, limits)


def _ticks(axis: Axis, limits: tuple[float, float]) -> None:
    """Name as many numbers as have room, whatever the range."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    factor = limits[1] / limits[0]
    if factor < WIDE:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axis.set_minor_formatter(FuncFormatter(_two_and_five) if factor < WIDE else NullFormatter())
    if factor < NARROW:
        axis.set_major_locator(MaxNLocator(TICKS))
        axis.set_minor_locator(NullLocator())


def _two_and_five(value: float, _: object) -> str:
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _name_marks(figure: Figure, beta: BetaAxis, more: Sequence[Artist]) -> None:
    from matplotlib.lines import Line2D

    handles: list[Artist] = []
    if beta.transitions:
        handles.append(Line2D([], [], color="black", linewidth=0.7, label="transition"))
    if beta.minor:
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, linestyle=_minor_style(beta), label="minor transition"))
    if beta.exact:
        handles.append(Line2D([], [], color=AMBER, linewidth=3, alpha=0.5, label="closed form"))
    handles += more
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), ACROSS))


def _minor_style(beta: BetaAxis) -> Literal[":", "-"]:
    return ":" if len(beta.minor) <= FEW_MINOR else "-"


def _doubled(beta: Any) -> Any:
    return 2.0 * beta


def _halved(decay: Any) -> Any:
    return 0.5 * decay
