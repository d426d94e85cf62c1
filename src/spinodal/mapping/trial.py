"""One random start, made and observed before anything is written: what fails in the user's code fails here."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

from torch import Tensor

from spinodal.errors import SpinodalError, about, blaming
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batches
from spinodal.landscape.control import Control
from spinodal.observe import Observation, Observer
from spinodal.observe.observation import own_value
from spinodal.tasks.task import Task


def try_start(task: Task, landscape: Landscape, control: Control, seed: int) -> Observation:
    """Return what is observed at the random start of a seed.

    Raises
    ------
    SpinodalError
        If a function of the task fails there, or its held-out data do not fit its model; what fails is named.
    """
    with _named("initial(seed)"):
        theta = landscape.vector(task.initial(seed))
    _try_observables(task, landscape, theta)
    held_out = _held_out(task, landscape)
    with _named("predict or labels"):
        view = Observer(landscape, control, task)(theta)
    if held_out is not None and view.output_variance is not None:
        _try_predictions(task, landscape, theta, held_out)
    return view


def _try_observables(task: Task, landscape: Landscape, theta: Tensor) -> None:
    with landscape.at(theta) as model:
        for name, function in task.observables.items():
            with _named(f"observable {name!r}"):
                value = own_value(function, model)
            if not math.isfinite(value):
                raise SpinodalError(
                    got=f"observable {name!r} is {value} at a random start",
                    allowed="finite numbers are allowed",
                    do="look for a division by zero or a logarithm of zero",
                )


def _held_out(task: Task, landscape: Landscape) -> Batches | None:
    if task.held_out is None:
        return None
    with about("held_out"), _named("held_out"):
        return landscape.batches_of(task.held_out)


def _try_predictions(task: Task, landscape: Landscape, theta: Tensor, held_out: Batches) -> None:
    with landscape.at(theta) as model:
        for batch in held_out:
            if task.predict is not None:
                with _named("predict on held_out"):
                    task.predict(model, batch)
            if task.predict is None or task.labels is None:
                with _named("loss on held_out"):
                    task.loss(model, batch)


def _named(what: str) -> AbstractContextManager[None]:
    """Say what of the task failed."""
    return blaming(
        what,
        allowed="functions that work at every theta, and data that fit the model, are allowed",
        do="check the task, or add --debug to see where",
    )
