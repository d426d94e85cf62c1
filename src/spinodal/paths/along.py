"""Order parameters and held-out error at the points of a path."""

from __future__ import annotations

from torch import Tensor

from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.observe import Observer
from spinodal.paths.path import Along
from spinodal.tasks.task import Task


def observed(landscape: Landscape, points: Tensor, task: Task | None) -> Along:
    """Return what is known of every point, shape (m, n); accuracies and held-out error need the task."""
    observe = Observer(landscape, Penalty(), task)
    seen = [observe(theta) for theta in points]
    accuracy: dict[str, tuple[float, ...] | None] = {}
    for part in ("train", "held_out"):
        values = [view.accuracy[part] for view in seen]
        known = tuple(value for value in values if value is not None)
        accuracy[part] = known if len(known) == len(values) else None
    return Along(
        norm=tuple(view.norm for view in seen),
        rank=tuple(view.rank for view in seen),
        held_out_error=_held_out(landscape, points, task),
        accuracy=accuracy,
    )


def _held_out(landscape: Landscape, points: Tensor, task: Task | None) -> tuple[float, ...] | None:
    if task is None or task.held_out is None:
        return None
    batches = landscape.batches_of(task.held_out)
    errors = []
    for theta in points:
        with landscape.at(theta) as model:
            errors.append(sum(weight * float(landscape.loss(model, batch).detach()) for weight, batch in batches.weighted()))
    return tuple(errors)
