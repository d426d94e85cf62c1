"""A trained model that `spinodal map --start` places on the map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from spinodal.errors import SpinodalError, positive_beta
from spinodal.landscape import Landscape
from spinodal.mapping.place import theta_of
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.results.placement import Placement
from spinodal.store import RunFolder, placement_folder, placement_recorder, read_checkpoint, save_placement
from spinodal.tasks import Task

Model = tuple[Path, float, Any, Tensor]  # its file, weight_decay, contents and theta


def model_to_place(start: Path | None, decay: float | None, task: Task, landscape: Landscape) -> Model | None:
    """Return the file, weight_decay, contents and theta of a model to be placed, or refuse it before anything is computed."""
    if start is None and decay is None:
        return None
    if start is None or decay is None:
        given, other = ("--at-weight-decay", "--start FILE") if start is None else ("--start", "--at-weight-decay W")
        raise SpinodalError(
            got=f"{given} alone",
            allowed="both or neither are allowed",
            do=f"add {other}: a model is placed where it was trained",
        )
    held = read_checkpoint(start)
    return start, positive_beta(decay, "--at-weight-decay"), held, theta_of(held, task, landscape)


def placed(diagram: PhaseDiagram, model: Model, run: RunFolder, console: Console, put: Callable[..., Placement]) -> Placement:
    """Place a model with `put`, which is `place` with what it needs besides, and keep the placement in the run folder."""
    start, decay, held, theta = model
    recorder = placement_recorder(run.journal, theta, decay)
    console.print(f"placing {start} at weight_decay = {decay:g}")
    placement = put(diagram, held, weight_decay=decay, recorder=recorder)
    save_placement(placement_folder(run.path, theta, decay), placement, start)
    return placement
