"""The error along paths: one line for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinodal.plots.save import save_figure
from spinodal.plots.style import GREY, HEIGHT, PALETTE, WIDTH, paper, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 10.0  # times the smallest E, from which the largest on hides the low paths unless the axis is logarithmic

Record = Mapping[str, Any]  # a path as `Path.to_dict` has it


def draw_paths(paths: Sequence[Record], title: str) -> Figure:
    """Draw E, and the accuracy where it is known, against arc length over the whole, for every path."""
    from spinodal.plots.canvas import Canvas

    scored = any(path["along"]["accuracy"]["train"] for path in paths)
    with paper():
        figure = Canvas(figsize=(WIDTH, HEIGHT * (1.6 if scored else 1.0)), layout="constrained")
        axes = list(figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False).flat)
        for place, path in enumerate(paths):
            colour = GREY if path["method"] == "straight" else PALETTE[place % len(PALETTE)]
            _errors(axes[0], path, colour)
            if scored:
                _accuracies(axes[1], path, colour)
        axes[0].set_ylabel("E")
        errors = [error for path in paths for _, error in path["profile"]]
        if min(errors) > 0.0 and max(errors) > WIDE * min(errors):
            axes[0].set_yscale("log")
        axes[0].legend(title="barrier", loc="upper left", bbox_to_anchor=(1.01, 1.0))
        axes[-1].set_xlabel("arc length, over the whole")
        if scored:
            axes[1].set_ylabel("accuracy (dashed: held out)")
        figure.suptitle(plain(title), fontsize=9)
    return figure


def _errors(axis: Axes, path: Record, colour: str) -> None:
    t, errors = zip(*path["profile"], strict=True)
    axis.plot(t, errors, color=colour, linewidth=1.2, label=plain(f"{path['method']}: {path['barrier']:.3g}"))
    axis.plot(path["t"], path["error"], ".", color=colour, markersize=3)


def _accuracies(axis: Axes, path: Record, colour: str) -> None:
    for part, style, width in (("train", "-", 1.2), ("held_out", "--", 1.0)):
        values = path["along"]["accuracy"][part]
        if values is not None:
            axis.plot(path["t"], values, style, color=colour, linewidth=width)


def save_paths(paths: Sequence[Record], folder: Path, title: str) -> Sequence[Path]:
    """Write the figure as PNG and PDF into a folder, made if needed, and return the paths."""
    return save_figure(draw_paths(paths, title), folder, "path")
