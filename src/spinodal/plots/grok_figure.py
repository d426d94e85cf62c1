"""The figure of grokking as hysteresis: error against epochs, and waiting times against the amplitude of the preparation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spinodal.dynamics.grokking import Grokking
from spinodal.plots.grok_record import GrokRecord, Run, grok_record
from spinodal.plots.save import save_figure
from spinodal.plots.style import BLUE, GREEN, GREY, ORANGE, WIDTH, paper, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"random": GREEN, "intermediate": BLUE, "trivial": ORANGE}
MARKS = {"intermediate": "o", "trivial": "s"}
SIZE = (1.75 * WIDTH, 3.5)  # inches


def save_grok(found: Grokking, folder: Path) -> list[Path]:
    """Write the figure as PNG and PDF into a folder, made if needed, and return the paths."""
    return save_figure(draw_grok(grok_record(found)), folder, "grok")


def draw_grok(record: GrokRecord) -> Figure:
    """Draw error against epochs with plateaus, escapes and levels; beside it, waiting times against amplitudes."""
    from matplotlib.figure import Figure

    with paper():
        figure = Figure(figsize=SIZE, layout="constrained")
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
    low, high = 1.0, 1.15 * max(run.epochs[-1] for run in record.main)
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
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.12))


def _draw_run(axes: Axes, run: Run, record: GrokRecord) -> None:
    """Draw one curve: its plateaus thick, its escapes as bands, the predicted time as a triangle on the threshold."""
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
    if run.by_flow is not None and run.amplitude is not None:
        axes.plot([run.by_flow], [record.threshold], marker="v", color=colour, markersize=6, markeredgecolor="white", zorder=5)
    if run.measured is not None:
        axes.plot([run.measured], [record.threshold], marker=".", color="black", markersize=4, zorder=6)
        axes.annotate(
            f"{run.measured:,.0f}", (run.measured, record.threshold), xytext=(5, 1), textcoords="offset points", fontsize=7,
            color=colour, va="center",
        )  # fmt: skip


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
    axes.legend(loc="upper right", fontsize=6)
