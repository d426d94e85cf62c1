"""Figures of single walks, branches, trainings and spectra: one panel each, on axes that are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spinodal.branches.branch import Branch
from spinodal.dynamics.diagnosis import Diagnosis
from spinodal.dynamics.trajectory import Trajectory
from spinodal.plots.axis import padded
from spinodal.plots.s_curve import stability
from spinodal.plots.s_curve_figure import STABILITY
from spinodal.plots.style import BLUE, NAMED, ORANGE, PALETTE, plain, set_beta
from spinodal.spectrum.density import SpectralDensity
from spinodal.sweeps.point import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "error": "error E", "loss": "L", "norm": "norm ‖θ‖", "norm_squared": "‖θ‖²", "margin": "margin of Hess L",
    "held_out_error": "held-out error",
}  # fmt: skip
Walk = tuple[str, Sequence[Sequence[Point]]]  # its name, and its points from one transition to the next


def draw_points(axes: Axes, *, walks: Sequence[Walk], quantity: str) -> None:
    """Draw a quantity of walks against beta, with a gap at every macroscopic transition."""
    for (name, stretches), colour in zip(walks, (ORANGE, BLUE), strict=False):
        for place, points in enumerate(stretches):
            values = [_of(point, quantity) for point in points]
            axes.plot(
                _betas(points),
                values,
                ".-",
                color=colour,
                linewidth=1.1,
                markersize=3,
                label=name if name and not place else None,
            )
    axes.set_ylabel(LABELS[quantity])
    if len(walks) > 1:
        axes.legend()
    set_beta(axes, padded([point.beta for _, stretches in walks for points in stretches for point in points]))


def draw_branch(axes: Axes, *, branch: Branch, quantity: str) -> None:
    """Draw a quantity along a branch: stable parts solid, saddles dashed, circles at its folds."""
    values = [getattr(point, quantity) for point in branch.points]
    for start, stop, index in stability(branch):
        axes.plot(branch.beta[start:stop], values[start:stop], color="black", linewidth=1.1, linestyle=STABILITY[index])
    for fold in branch.folds:
        axes.plot([fold.point.beta], [getattr(fold.point, quantity)], "o", color="black", markersize=4)
    axes.set_ylabel(LABELS[quantity])
    set_beta(axes, padded(branch.beta))


def draw_trajectory(axes: Axes, *, history: Trajectory, quantity: str) -> None:
    """Draw a quantity of every run against epochs."""
    epochs = [epoch for epoch in history.epochs if epoch > 0]
    for run, values in enumerate(getattr(history, quantity)[:, -len(epochs) :].tolist()):
        axes.plot(epochs, values, color=PALETTE[run % len(PALETTE)], linewidth=1.1, label=f"seed {history.seeds[run]}")
    axes.set_xscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel(LABELS[quantity])
    if 1 < len(history) <= NAMED:
        axes.legend()


def draw_diagnosis(axes: Axes, *, found: Diagnosis) -> None:
    """Draw E along the gradient flow that leads out of a plateau, or stays on it."""
    known = [(time, error) for time, error in zip(found.flow.times, found.flow.errors, strict=True) if time > 0.0]
    if known:
        axes.plot(*zip(*known, strict=True), ".-", color=BLUE, linewidth=1.1, markersize=3)
        axes.set_xscale("log")
    else:  # it is at rest
        axes.axhline(found.error, color=BLUE, linewidth=1.1, label="here, at rest")
    axes.axhline(found.best.error, color=ORANGE, linewidth=0.8, linestyle="--", label="the best phase known")
    axes.set_xlabel("time of gradient flow = epochs · learning rate")
    axes.set_ylabel(LABELS["error"])
    axes.set_title(plain(found.verdict), fontsize=8)
    axes.legend()


def draw_density(axes: Axes, *, density: SpectralDensity) -> None:
    """Draw a spectral density, with a band of one standard error where it is estimated."""
    curve = density.curve()
    grid, mean, error = curve.grid.tolist(), curve.mean.tolist(), curve.stderr.tolist()
    axes.plot(grid, mean, color=BLUE, linewidth=1.1)
    if all(map(math.isfinite, error)):
        low, high = (curve.mean - curve.stderr).clamp_min(0.0).tolist(), (curve.mean + curve.stderr).tolist()
        axes.fill_between(grid, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.set_xlabel("eigenvalue of the Hessian")
    axes.set_ylabel("density")


def _of(point: Point, quantity: str) -> Any:
    found = {"error": point.error, "norm": point.observation.norm, "margin": point.minimum.margin}
    return found[quantity]


def _betas(points: Sequence[Point]) -> list[float]:
    return [point.beta for point in points]
