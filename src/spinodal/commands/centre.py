"""The centre of the penalty that a command line names: a point of a run, or a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from spinodal.commands.arguments import run_and_point
from spinodal.errors import SpinodalError, about
from spinodal.landscape.control import Control, Turned
from spinodal.landscape.control_record import ControlRecord
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.preparing import usable_device
from spinodal.store import is_checkpoint_folder, load, read_checkpoint
from spinodal.tasks import Task
from spinodal.tasks.fitted import fitted
from spinodal.tasks.models import Models


def centred(named: str | None, task: Task, device: str) -> Control | None:
    """Return the penalty around a centre that is named, None where none is; refuse what is not there or does not fit."""
    if named is None:
        return None
    if task.control is not None and not isinstance(task.control, Penalty):
        raise SpinodalError(
            got=f"--centre with a task that turns {task.control.convention}",
            allowed="a centre is that of the L2 penalty",
            do="leave --centre out",
        )
    if task.control is not None and task.control.centre is not None:
        raise SpinodalError(
            got=f"--centre {named} with a task whose penalty has a centre of its own",
            allowed="one of the two is allowed",
            do="leave --centre out, or the centre of the task",
        )
    with about(f"--centre {named}"):
        theta = named_theta(named, task).to(usable_device(device))
    return replace(task.control or Penalty(), centre=theta, source=named)


def setting(control: Turned, named: str | None) -> Mapping[str, Any]:
    """Return what the settings of a run say of a centre that was named; nothing where none was."""
    record = ControlRecord.of(control)
    return {} if named is None else {"control": {"centre": record.centre or "the origin", "from": named}}


def named_theta(named: str, task: Task) -> Tensor:
    """Return theta of a task at `RUN:POINT` or in a checkpoint."""
    if os.path.isfile(named) or is_checkpoint_folder(named):
        return fitted(read_checkpoint(named), Models.of(task)).theta
    folder, point = run_and_point(named)
    diagram = load(folder)
    if point is None:
        raise SpinodalError(
            got="this names no point of the run",
            allowed="RUN:POINT, or a checkpoint, is allowed",
            do=f"for example {named}:{diagram.points[0].index}; points are numbered in result.json and in the report",
        )
    if diagram.models is not None:
        diagram.models.layout.refuse_other(task.model, task.name)
    return diagram.at_point(point).theta
