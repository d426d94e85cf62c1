"""The report of paths between two networks: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spinodal.plots.path_figure import draw_paths
from spinodal.report.page import page_of, written
from spinodal.report.picture import svg_of
from spinodal.report.rows import Table, grouped, table

HEADINGS = ("method", "barrier", "+/-", "over the mean of the ends", "largest E", "at t", "train accuracy", "held-out accuracy",
            "held-out error", "length / distance", "gradients", "found by")  # fmt: skip


def save_path_report(result: Mapping[str, Any], path: Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write the report of what `spinodal connect` found, in its JSON types, as one HTML file; return its path."""
    return written(path, render_paths(result, provenance=provenance))


def render_paths(result: Mapping[str, Any], *, provenance: Mapping[str, Any]) -> str:
    """Return the report as HTML."""
    title = f"{result['task']['name']}: {result['ends'][0]} to {result['ends'][1]}"
    best = min(result["paths"], key=lambda path: path["barrier"])
    return page_of(
        "path.html",
        title=title,
        picture=svg_of(draw_paths(result["paths"], title)),
        answer=(f"{best['method']}: {best['status']}.", f"Can they be merged? {result['check']['answer']}"),
        paths=path_table(result["paths"]),
        jumps=[(path["method"], _jump(jump)) for path in result["paths"] for jump in path["jumps"]],
        origin=grouped(result["task"], "task") + grouped(provenance, "run"),
    )


def path_table(paths: Sequence[Mapping[str, Any]]) -> Table:
    """Return paths in their JSON types, one per row, without the columns that are empty in all of them."""
    return table([dict(zip(HEADINGS, _row(path), strict=True)) for path in paths])


def _row(path: Mapping[str, Any]) -> list[str]:
    along = path["along"]
    return [
        path["method"], f"{path['barrier']:.4g}", f"{path['uncertainty']:.1g}", f"{path['barrier_over_mean']:.4g}",
        f"{path['max_error']:.5g}", f"{max(path['profile'], key=lambda sample: sample[1])[0]:.3f}",
        _least(along["accuracy"]["train"]), _least(along["accuracy"]["held_out"]),
        "" if along["held_out_error"] is None else f"up to {max(along['held_out_error']):.4g}",
        f"{path['length'] / path['distance']:.3g}", f"{path['stats']['gradient_equivalents']:,.0f}", path["way"],
    ]  # fmt: skip


def _least(values: Sequence[float] | None) -> str:
    return "" if values is None else f"at least {min(values):.4f}"


def _jump(jump: Mapping[str, Any]) -> str:
    (low, high), (before, after), saddle = jump["beta"], jump["distance"], jump.get("saddle")  # none in older runs
    begins = "" if saddle is None else f"; it begins in a saddle at beta = {saddle['beta']:.8g}, E = {saddle['error']:.6g}"
    return (
        f"between beta = {low:.4g} and {high:.4g} the minimiser falls from {before:.4g} to {after:.4g} from the target, "
        f"E up to {jump['highest']:.4g} on the way{begins}"
    )
