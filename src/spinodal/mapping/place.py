"""Places an existing model on a map: which minimum it belongs to, which phase that is, what lies ahead of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.conventions import one_beta
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.control_record import ControlRecord
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.options import MapOptions
from spinodal.mapping.placing import Placing
from spinodal.mapping.preparing import Prepared, prepare, usable_device
from spinodal.mapping.workplace import crew_for, problem_of
from spinodal.parallel import Executor
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.results.placement import Placement
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.fitted import Fitted, fitted
from spinodal.tasks.models import Models
from spinodal.tasks.task import DTYPES, Task


def place(
    diagram: PhaseDiagram,
    start: nn.Module | Mapping[str, Any] | Tensor,
    *,
    beta: float | None = None,
    weight_decay: float | None = None,
    task: Task | None = None,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
    penalty: Control | None = None,
    prepared: Prepared | None = None,
    workers: int = 1,
    executor: Executor | None = None,
) -> Placement:
    """Place an existing model on the map of its task.

    The model is minimised at its beta, its branch is followed upwards to the next macroscopic transition,
    and compared with the phases of the map at equal beta: by E, `||theta||^2` and singular values, which no
    symmetry of the network changes. Other minima are sought from every phase of the map.

    Parameters
    ----------
    diagram : PhaseDiagram
        Of the same task.
    start : nn.Module, state dict, what `read_checkpoint` returns, or theta of shape (n,)
        What is beside the parameters of the model is left out, and the remark says so.
    beta : float > 0
        At which it was trained, or give PyTorch's `weight_decay`, which is twice that.
    task : Task, optional
        Default: the one that was mapped, where it is known (see `load`).
    options : MapOptions, optional
        Device and tolerance. Default: those of `MapOptions`. Precision and solver are those of the map.
    recorder : Recorder, optional
        Where points are kept. Default: nowhere.
    penalty : Penalty, optional
        The one that the map is along. Default: that of the map, where it is known (see `load`).
    prepared : (Landscape, Control), optional
        What `prepare` gave for the task and the options of the map. Default: prepared here.
    workers, executor
        Who seeks other minima from the phases of the map, each by itself (see `map_phases`). The result is the same.

    Returns
    -------
    Placement

    Raises
    ------
    SpinodalError
        If neither or both of beta and weight_decay are given, the model does not fit the task's, or the
        recorder holds the placement of another model.

    Notes
    -----
    *What it is not:* proof that no deeper minimum exists; it names the deepest of those that were found.

    Examples
    --------
    A linear net with one hidden layer, where the mode of singular value .4 dies at weight_decay = .8:

    >>> from spinodal import map_phases, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = map_phases(task)
    >>> placement = place(diagram, diagram.at(0.1).module(), weight_decay=0.2)
    >>> print(placement.answer())
    At weight_decay = 0.2 your model is in phase 0 of 3 (numbered from 0, rank 2), the only minimum known there. \
The next transition is at 4 times your weight_decay (weight_decay = 0.800000): rank 2 -> 1; \
largest weight_decay before the first loss of rank at a transition: 0.79999... (beta = 0.39999...).
    """
    chosen = one_beta(beta, weight_decay)
    made, asked = task or _task(diagram), _as_mapped(options or MapOptions(), diagram)
    ready = prepared or prepare(made, asked, _on_device(penalty or _control(diagram), asked.device))
    _refuse_other(ControlRecord.of(ready[1]), diagram.control)
    problem = problem_of(made, asked, ready, diagram.solver)
    found = found_of(start, made, problem.landscape)
    with crew_for(problem, made, asked, workers=workers, executor=executor, recorder=recorder) as (crew, kept):
        return Placing(diagram, problem, kept, crew).place(found, chosen)


def theta_of(start: nn.Module | Mapping[str, Any] | Tensor, task: Task, landscape: Landscape) -> Tensor:
    """Return theta of a module, the contents of a checkpoint or a vector, on a task's landscape; refuse what does not fit."""
    return found_of(start, task, landscape).theta


def found_of(start: nn.Module | Mapping[str, Any] | Tensor, task: Task, landscape: Landscape) -> Fitted:
    """Return theta of a start, on a task's landscape, and where it was found."""
    found = Fitted(start) if isinstance(start, Tensor) else fitted(start, Models.of(task))
    return replace(found, theta=landscape.vector(found.theta))


def _as_mapped(options: MapOptions, diagram: PhaseDiagram) -> MapOptions:
    """Return options with the range, the precision and the softening of a map."""
    mapped = diagram.points[0].minimum.theta.dtype
    named: dict[torch.dtype, Any] = {dtype: name for name, dtype in DTYPES.items()}
    return replace(options, beta=diagram.range, dtype=named[mapped], soften=diagram.sharpness)


def _control(diagram: PhaseDiagram) -> Control | None:
    """Return the control of a map; None for the task's own."""
    record = diagram.control
    if record.made is None and record != ControlRecord():
        raise SpinodalError(
            got=f"this map does not hold its control, {record.described}",
            allowed="the control that was mapped is needed",
            do="pass penalty=...",
        )
    return record.made


def _refuse_other(given: ControlRecord, mapped: ControlRecord) -> None:
    if given != mapped:
        raise SpinodalError(
            got=f"the control is {given.described}, and that of the map is {mapped.described}",
            allowed="a model is placed with the control of the map",
            do="leave it out, or map with this one",
        )


def _task(diagram: PhaseDiagram) -> Task:
    if diagram.models is None:
        raise SpinodalError(
            got="this map does not know its task", allowed="the task that was mapped is needed", do="pass task=..."
        )
    return diagram.models.task()


def _on_device(control: Control | None, device: str) -> Control | None:
    return control.to(usable_device(device)) if isinstance(control, Penalty) else control
