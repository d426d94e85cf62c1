"""The figure of grokking as hysteresis: error against epochs, and waiting times against the amplitude of the preparation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinodal.dynamics.grokking import Grokking
from spinodal.plots.grok_record import GrokRecord, Run, grok_record
from spinodal.plots.save import save_figure
from spinodal.plots.style import BLUE, GREEN, GREY, ORANGE, WIDTH, paper, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"random": GREEN, "intermediate": BLUE, "trivial": ORANGE}
MARKS = {"intermediate": "o", "trivial": "s"}
BELOW = (0.5, -0.15)  # where legends stand
SIZE = (1.75 * WIDTH, 3.9)  # inches


def save_grok(found: Grokking, folder: Path) -> list[Path]:
    """Write the figure as PNG and PDF into a folder, made if needed, and return the paths."""
    return save_figure(draw_grok(grok_record(found)), folder, "grok")


def draw_grok(record: GrokRecord) -> Figure:
    """Draw error against epochs with plateaus, escapes and levels; beside it, waiting times against amplitudes."""
    from spinodal.plots.canvas import Canvas

    with paper():
        figure = Canvas(figsize=SIZE, layout="constrained")
        curves, times = figure.subplots(1, 2, width_ratios=(1.9, 1.0))
        _draw_curves(curves, record)
        _draw_times(times, record)
        figure.suptitle(plain(record.title), fontsize=9)
        return figure


def _draw_curves(axes: Axes, record: GrokRecord) -> None:
    for run in record.main:
        _draw_run(axes, run, record)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = 1.0, 2.2 * max(run.epochs[-1] for run in record.main)
    axes.set_xlim(low, high)
    errors = [error for run in record.main for error in (*run.errors, *run.held_out)]
    axes.set_ylim(0.6 * min(errors), 2.2 * max(errors))
    for phase, error in record.levels:
        axes.axhline(error, color=GREY, linewidth=0.6, linestyle=(0, (6, 4)), zorder=0)
        axes.annotate(
            f"phase {phase}", (low, error), xytext=(3, 2), textcoords="offset points", color=GREY, fontsize=7, va="bottom"
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("E")
    axes.set_title(plain(record.subtitle), fontsize=6.5, color=GREY, loc="left")
    axes.axhline(record.threshold, color=GREY, linewidth=0.4, linestyle=":", zorder=0)
    _name_times(axes, record)
    _name_marks(axes, record)


def _draw_run(axes: Axes, run: Run, record: GrokRecord) -> None:
    """Draw one curve: its plateaus thick, its escapes as bands, the predicted and the measured time on the threshold."""
    colour = COLOURS[run.kind]
    axes.plot(run.epochs, run.errors, color=colour, linewidth=1.2, label=plain(f"{run.name} start"), zorder=3)
    if run.held_out:
        axes.plot(run.epochs, run.held_out, color=colour, linewidth=0.9, linestyle=":", label=f"{run.name}, held out")
    for begin, end, _ in run.flat:
        inside = [place for place, epoch in enumerate(run.epochs) if begin <= epoch <= end]
        axes.plot(
            [run.epochs[place] for place in inside], [run.errors[place] for place in inside], color=colour, linewidth=4.5,
            alpha=0.22, solid_capstyle="round", zorder=2,
        )  # fmt: skip
    for early, _, late in run.falls:
        axes.axvspan(early, late, color=colour, alpha=0.08, linewidth=0, zorder=0)
    for time, marker, size in ((run.by_flow, "D", 8.0), (run.measured, ".", 5.0)):
        if time is not None and (marker == "." or run.amplitude is not None):
            look: dict[str, Any] = {
                "color": colour if marker == "D" else "black",
                "markerfacecolor": "none" if marker == "D" else "black",
            }
            axes.plot([time], [record.threshold], marker, markersize=size, zorder=6, **look)


def _name_times(axes: Axes, record: GrokRecord) -> None:
    """Write the measured waiting times beside the marks: the last one to the right, the others to the left."""
    known = sorted((run for run in record.main if run.measured is not None), key=lambda run: run.measured or 0.0)
    for place, run in enumerate(known):
        side, align = (8, "left") if place == len(known) - 1 else (-8, "right")
        axes.annotate(
            f"{run.measured:,.0f}", (run.measured or 0.0, record.threshold), xytext=(side, 0), textcoords="offset points",
            fontsize=7, color=COLOURS[run.kind], va="center", ha=align,
        )  # fmt: skip


def _name_marks(axes: Axes, record: GrokRecord) -> None:
    """Explain curves and marks."""
    from matplotlib.lines import Line2D

    handles, _ = axes.get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=4.5, alpha=0.3, label="plateau"))
    if any(run.by_flow is not None and run.amplitude is not None for run in record.main):
        handles.append(
            Line2D(
                [], [], color=GREY, marker="D", markerfacecolor="none", markersize=6, linestyle="", label="escape, predicted"
            )
        )
        handles.append(Line2D([], [], color="black", marker=".", markersize=5, linestyle="", label="escape, measured"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=BELOW, ncols=3)


def _draw_times(axes: Axes, record: GrokRecord) -> None:
    """Draw measured waiting times as marks, predictions as lines."""
    for kind in MARKS:
        runs = sorted((run for run in record.others if run.kind == kind), key=lambda run: run.amplitude or 0.0)
        if not runs:
            continue
        colour, name = COLOURS[kind], f"{kind} phase"
        for label, style, times in (
            ("gradient flow", "-", [run.by_flow for run in runs]),
            ("escape integral", "--", [run.by_integral for run in runs]),
        ):
            pairs = [(run.amplitude, time) for run, time in zip(runs, times, strict=True) if time is not None]
            if pairs:
                x, y = zip(*pairs, strict=True)
                axes.plot(x, y, style, color=colour, linewidth=1.0, label=f"{name}, {label}")
        measured = [(run.amplitude, run.measured) for run in runs if run.measured is not None]
        if measured:
            x, y = zip(*measured, strict=True)
            axes.plot(
                x, y, MARKS[kind], color=colour, markersize=5, markerfacecolor="white", label=f"{name}, measured", zorder=4
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("amplitude of the dead modes at the start")
    axes.set_ylabel("epochs until the best phase")
    axes.legend(loc="upper center", bbox_to_anchor=BELOW, ncols=2, fontsize=6)
    _set_ticks(axes, sorted({run.amplitude for run in record.others if run.amplitude is not None}))


def _set_ticks(axes: Axes, amplitudes: list[float]) -> None:
    """Name the amplitudes that were prepared, and nothing else."""
    from matplotlib.ticker import NullLocator

    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(amplitudes, [f"{amplitude:g}" for amplitude in amplitudes])
