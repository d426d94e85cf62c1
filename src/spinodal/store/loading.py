"""A diagram back from its run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spinodal.errors import SpinodalError
from spinodal.landscape.layout import Layout
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store.kept_shares import is_of_shares, recorded_shares
from spinodal.store.recorded import TaskMaker, recorded_diagram
from spinodal.store.run import RunFolder
from spinodal.tasks.registry import BUILT_IN
from spinodal.tasks.task import Task


def load(run: str | Path, *, task: Task | None = None) -> PhaseDiagram:
    """Return the `PhaseDiagram` of a run.

    A run that is not finished gives what is there: its `run_status` is "unfinished", and `missing` names the command that
    goes on with it. Of a run of `spinodal basins --map RUN` it is that map, with the phases that only starts found.

    The journal alone is enough for everything but the models: `to_dict`, `to_xarray` and the tables need no
    `states/`. Parameters are read from disk where they are used, so that large networks load quickly.

    Parameters
    ----------
    run : path of a run folder
    task : Task, optional
        The task of the run, for `Snapshot.module`. Built-in tasks are made again by their name and settings;
        your own is not: no code is run because a file of the run names it.

    Raises
    ------
    SpinodalError
        If there is no run, it has no point yet, or it is damaged (a state that is missing while others are
        there is damage, too); if the task's model has another layout than the one that was mapped.

    Examples
    --------
    >>> load("runs/nowhere")
    Traceback (most recent call last):
    spinodal.errors.SpinodalError: no run in runs/nowhere; a folder made by `spinodal map` is allowed; check the path; ...
    """
    folder = RunFolder(Path(run))
    if is_of_shares(folder):
        return _with_starts(folder, partial(load, task=task))
    folder.require_points()
    diagram = recorded_diagram(folder.journal, folder.command, _built_in if task is None else _given(task))
    if task is not None and diagram.models is not None:
        diagram.models.layout.refuse_other(task.model, task.name)
    return diagram


def _with_starts(folder: RunFolder, load_map: Callable[[Path], PhaseDiagram]) -> PhaseDiagram:
    """Return the map of a run of starts, with the phases that only these found."""
    shares = recorded_shares(folder, load_map)
    if shares.map is None:
        raise SpinodalError(
            got=f"the run in {folder.path} holds shares of basins, and no map",
            allowed="a run of `spinodal map`, or of `spinodal basins --map RUN`, is allowed",
            do=f"read the shares with spinodal show {folder.path}",
        )
    return shares.diagram()


def _given(task: Task) -> TaskMaker:
    return lambda _task, _layout: task


def _built_in(recorded: Mapping[str, Any], layout: Layout) -> Task:
    """Make a built-in task by its name and settings, or refuse one that is not built in."""
    settings = {key: value for key, value in recorded.items() if key != "name"}
    try:
        task = BUILT_IN[recorded["name"]](**settings)
    except (KeyError, TypeError, SpinodalError) as cause:
        raise _unknown(recorded["name"]) from cause
    if task.settings != settings:
        raise _unknown(recorded["name"])
    layout.refuse_other(task.model, task.name)
    return task


def _unknown(name: str) -> SpinodalError:
    return SpinodalError(
        got=f"the task {name!r} of this run is not built in, and no code is run because a file names it",
        allowed="built-in tasks are made again; your own is used if you pass it",
        do="load(run, task=...) with the Task that was mapped; state_dict() and save() need none",
    )
