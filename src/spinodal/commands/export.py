"""What `spinodal export` does: the model at a point of a run, as a file."""

from __future__ import annotations

from pathlib import Path

from spinodal.commands.arguments import run_and_point
from spinodal.commands.chosen_point import chosen_point
from spinodal.store import load


def export_model(run: str, file: Path, *, at_beta: float | None, at_weight_decay: float | None) -> None:
    """Write the model at a point of a run."""
    folder, point = run_and_point(run)
    diagram = load(folder)
    snapshot = chosen_point(diagram, point, at_beta=at_beta, at_weight_decay=at_weight_decay)
    snapshot.save(file)
    print(f"{file}: point {snapshot.point.index}, {snapshot.where}, E = {snapshot.error:.6g}")  # noqa: T201
