"""A theta that a command line names: at a point of a run, or in a checkpoint."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.commands.arguments import run_and_point, text_of
from spinodal.commands.centre import centred
from spinodal.commands.chosen_point import chosen_point
from spinodal.conventions import one_beta
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.options import MapOptions
from spinodal.mapping.place import found_of
from spinodal.mapping.preparing import prepare, usable_device
from spinodal.phases.snapshot import Snapshot
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import is_checkpoint_folder, load, read_checkpoint
from spinodal.tasks import Task
from spinodal.tasks.registry import arguments_of, make_task

SAME = {torch.float64: 1e-6, torch.float32: 1e-3}  # relative difference of E up to which a task is that of the run


@dataclass(frozen=True)
class Choice:
    """What a command line says of a theta.

    Attributes
    ----------
    task : str
    at : str
        `RUN:POINT`, `RUN`, or a checkpoint.
    settings : mapping
        Of the task, as text.
    weight_decay : float or None
        Of a run: the point nearest to it; of a file: what it was trained with.
    beta : float or None
        Of L, in place of that of the point.
    device : str
    centre : str or None
        Of the penalty, in place of that of the run: `RUN:POINT`, or a checkpoint.
    """

    task: str
    at: str
    settings: Mapping[str, str]
    weight_decay: float | None
    beta: float | None
    device: str
    centre: str | None = None


@dataclass(frozen=True)
class ChosenTheta:
    """A theta of a task, where it comes from, and what is to be said of that."""

    task: Task
    landscape: Landscape
    control: Turned
    theta: Tensor
    beta: float
    name: str
    snapshot: Snapshot | None = None
    remark: str = ""


def chosen_theta(choice: Choice) -> ChosenTheta:
    """Return the theta that a command line names, or refuse what is not there or does not fit."""
    if os.path.isfile(choice.at) or is_checkpoint_folder(choice.at):
        return _of_file(choice)
    folder, point = run_and_point(choice.at)
    diagram = load(folder)
    if point is None and choice.weight_decay is None:
        raise SpinodalError(
            got=f"--at {choice.at} names no point",
            allowed="RUN:POINT, or RUN with --at-weight-decay, is allowed",
            do=f"for example --at {choice.at}:{diagram.points[0].index}; points are numbered in result.json and in the report",
        )
    return _of_run(choice, diagram, chosen_point(diagram, point, at_weight_decay=choice.weight_decay))


def _of_file(choice: Choice) -> ChosenTheta:
    if choice.beta is None and choice.weight_decay is None:
        raise SpinodalError(
            got=f"--at {choice.at} without its weight_decay",
            allowed="a checkpoint with --at-weight-decay or --beta is allowed",
            do="add --at-weight-decay W, with which it was trained",
        )
    task = make_task(choice.task, choice.settings)
    beta = choice.beta or one_beta(None, choice.weight_decay)
    options = MapOptions(device=choice.device, beta=(beta, 2.0 * beta))
    landscape, control = prepare(task, options, centred(choice.centre, task, choice.device))
    found = found_of(read_checkpoint(choice.at), task, landscape)
    return ChosenTheta(task, landscape, control, found.theta, beta, choice.at, remark=found.remark)


def _of_run(choice: Choice, diagram: PhaseDiagram, snapshot: Snapshot) -> ChosenTheta:
    task = make_task(choice.task, {**_settings(choice.task, diagram), **choice.settings})
    if diagram.models is not None:
        diagram.models.layout.refuse_other(task.model, task.name)
    theta = snapshot.theta
    landscape = task.landscape(dtype=theta.dtype, device=usable_device(choice.device), soften=diagram.sharpness)
    theta = landscape.vector(theta)
    _refuse_other(landscape, theta, snapshot, choice.at)
    turned = centred(choice.centre, task, choice.device) or _of_map(diagram, landscape)
    beta = choice.beta or snapshot.beta
    return ChosenTheta(task, landscape, task.penalty(landscape, turned), theta, beta, choice.at, snapshot)


def _of_map(diagram: PhaseDiagram, landscape: Landscape) -> Control | None:
    """Return the penalty of a map around a centre of its own; None for that of the task."""
    made = diagram.control.made
    if diagram.control.centre is None or not isinstance(made, Penalty):
        return None
    return made.to(landscape.device)


def _settings(name: str, diagram: PhaseDiagram) -> dict[str, str]:
    """Return the settings of a run as text, as far as the task takes them, where the run is of this task."""
    if diagram.task["name"] != name:
        return {}
    known = arguments_of(name)
    return {key: text_of(value) for key, value in diagram.task.items() if key in known and value is not None}


def _refuse_other(landscape: Landscape, theta: Tensor, snapshot: Snapshot, at: str) -> None:
    """Refuse a task whose error at the point is not the one that the run found there."""
    error, same = landscape.value(theta), SAME[theta.dtype]
    if not math.isclose(error, snapshot.error, rel_tol=same, abs_tol=same**2):
        raise SpinodalError(
            got=f"E of this task is {error:.8g} at {at}, and was {snapshot.error:.8g} in the run",
            allowed=f"the task of the run, {snapshot.task['name']}, with its data and settings is allowed",
            do="repeat the --set of the run, and check the task's file",
        )
