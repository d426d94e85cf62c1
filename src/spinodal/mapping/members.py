"""Many maps at once, each computed whole by one worker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import torch

from spinodal.landscape.control import Control
from spinodal.mapping.map import map_phases
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import prepare
from spinodal.mapping.workplace import maker_of
from spinodal.missing import Missing
from spinodal.parallel import Executor, Undone, shared_out
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.blame import owner_of, why
from spinodal.tasks.models import Models
from spinodal.tasks.task import Task

ALONE = Lock()  # seeds of torch belong to a process: where threads are workers, they take turns


@dataclass(frozen=True)
class Member:
    """One of many maps.

    Attributes
    ----------
    task : int
        The number of its task.
    seed : int
    name : str
        What it is called, and the name of its folder.
    """

    task: int
    seed: int
    name: str


Recorders = Callable[[Member], Recorder]


@dataclass(frozen=True)
class Tasks:
    """What workers need for the maps: tasks, told by name where they have one, and how to map them.

    Attributes
    ----------
    tasks : tuple of Task
    options : MapOptions
        But for the seed.
    control : Control or None
    recorder : callable Member -> Recorder, or None
        Called where the member is mapped.
    threads : int
        Of this process, and so of every worker: other threads round otherwise.
    token : str
        Tells one from another.
    """

    tasks: tuple[Task, ...]
    options: MapOptions
    control: Control | None = None
    recorder: Recorders | None = None
    threads: int = field(default_factory=torch.get_num_threads)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with the names of tasks where they have one."""
        makers = tuple(map(maker_of, self.tasks))
        return _remade, (makers, self.options, self.control, self.recorder, self.threads, self.token)

    def open(self) -> Tasks:
        """Return itself: every map prepares its own task."""
        return self

    def mapped(self, member: Member) -> PhaseDiagram:
        """Map a member."""
        options = replace(self.options, seed=member.seed)
        recorder = None if self.recorder is None else self.recorder(member)
        return map_phases(self.tasks[member.task], options=options, control=self.control, recorder=recorder)


def _remade(makers: Sequence[Callable[[], Task]], *rest: Any) -> Tasks:
    return Tasks(tuple(make() for make in makers), *rest)


def map_members(
    tasks: Tasks,
    members: Sequence[Member],
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> Iterator[tuple[int, PhaseDiagram | Missing]]:
    """Yield the numbers of members with their maps as they are finished, or why there is none.

    Bad options, and tasks that cannot be mapped, are refused before anything is mapped. What fails later costs its own member.

    Parameters
    ----------
    tasks : Tasks
    members : sequence of Member
    workers : int
        Processes, each of which maps one member at a time. The maps are the same for any number. Default 1: this one.
    executor : Executor, optional
        In their place, what runs functions.
    """
    for task in tasks.tasks:
        prepare(task, replace(tasks.options, seed=max(member.seed for member in members)), tasks.control)
    for number, made in shared_out(attempted, members, tasks, workers=workers, executor=executor):
        member = members[number]
        if isinstance(made, PhaseDiagram):
            yield number, replace(made, models=Models.of(tasks.tasks[member.task]))
        else:
            yield number, made if isinstance(made, Missing) else lacking(member.name, made)


def attempted(tasks: Tasks, member: Member) -> PhaseDiagram | Missing:
    """Map a member, in whatever process; what fails is told, since not every exception can be sent."""
    try:
        with ALONE:
            return replace(tasks.mapped(member), models=None)
    except Exception as cause:  # noqa: BLE001 - it costs this member alone
        return Missing(f"the map of {member.name}", why(cause, owner_of(tasks.tasks[member.task])))


def lacking(name: str, undone: Undone) -> Missing:
    """Return what is missing where a worker could not do a member."""
    return Missing(f"the map of {name}", undone.cause)
