"""The error along paths: one line for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spinodal.paths.path import Path as Joining
from spinodal.plots.save import save_figure
from spinodal.plots.style import GREY, HEIGHT, PALETTE, WIDTH, paper, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_paths(paths: Mapping[str, Joining], title: str) -> Figure:
    """Draw E, and the accuracy where it is known, against arc length over the whole, for every method."""
    from matplotlib.figure import Figure

    scored = [path for path in paths.values() if path.along.accuracy["train"] is not None]
    with paper():
        figure = Figure(figsize=(WIDTH, HEIGHT * (1.6 if scored else 1.0)), layout="constrained")
        axes = list(figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False).flat)
        for place, (name, path) in enumerate(paths.items()):
            colour = GREY if name == "straight" else PALETTE[place % len(PALETTE)]
            t, errors = zip(*path.profile, strict=True)
            axes[0].plot(t, errors, color=colour, linewidth=1.2, label=plain(f"{name}: {path.barrier:.3g}"))
            axes[0].plot(path.t, path.error, ".", color=colour, markersize=3)
            if scored and path.along.accuracy["train"] is not None:
                axes[1].plot(path.t, path.along.accuracy["train"], color=colour, linewidth=1.2)
            if scored and path.along.accuracy["held_out"] is not None:
                axes[1].plot(path.t, path.along.accuracy["held_out"], "--", color=colour, linewidth=1.0)
        axes[0].set_ylabel("E")
        axes[0].legend(title="barrier")
        axes[-1].set_xlabel("arc length, over the whole")
        if scored:
            axes[1].set_ylabel("accuracy (dashed: held out)")
        figure.suptitle(plain(title), fontsize=9)
    return figure


def save_paths(paths: Mapping[str, Joining], folder: Path, title: str) -> Sequence[Path]:
    """Write the figure as PNG and PDF into a folder, made if needed, and return the paths."""
    return save_figure(draw_paths(paths, title), folder, "path")
