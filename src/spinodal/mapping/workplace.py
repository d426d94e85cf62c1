"""What workers need to open the problem of a map: its task, told by name where it has one, and how to prepare it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from spinodal.landscape.control import Control
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import Prepared, prepare
from spinodal.minima.minimise import solver_for
from spinodal.observe import Observer
from spinodal.parallel import Crew, Executor, worker_pool
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Forgetful, Recorder
from spinodal.tasks.blame import owner_of
from spinodal.tasks.task import Task


@dataclass(frozen=True)
class Workplace:
    """A task, and how it is prepared.

    Attributes
    ----------
    task : Task
    options : MapOptions
    control : Control
    solver : str
    threads : int
        Of this process, and so of every worker: other threads round otherwise.
    token : str
        Tells one from another.
    """

    task: Task
    options: MapOptions
    control: Control
    solver: str
    threads: int = field(default_factory=torch.get_num_threads)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(cls, problem: Problem, task: Task, options: MapOptions) -> Workplace:
        """Return where others open a problem."""
        return cls(task, options, problem.control.given, problem.solver)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with the name of the task where it has one, in place of the task."""
        return _remade, (maker_of(self.task), self.options, self.control, self.solver, self.threads, self.token)

    def open(self) -> Problem:
        """Return the problem, prepared."""
        return problem_of(self.task, self.options, prepare(self.task, self.options, self.control), self.solver)


def maker_of(task: Task) -> Callable[[], Task]:
    """Return what makes a task in another process: its name where it has one, else it is sent itself."""
    return task.remake or partial(_itself, task)


def _itself(task: Task) -> Task:
    return task


def _remade(make: Callable[[], Task], *rest: Any) -> Workplace:
    return Workplace(make(), *rest)


def problem_of(task: Task, options: MapOptions, prepared: Prepared, solver: str) -> Problem:
    """Return the problem of a task that was prepared."""
    landscape, control = prepared
    chosen = solver if options.grid is not None else solver_for(landscape, solver)
    return Problem(
        landscape, control, Observer(landscape, control, task),
        solver=chosen, tolerance=options.tolerance, owner=owner_of(task),
    )  # fmt: skip


@contextmanager
def crew_for(
    problem: Problem, task: Task, options: MapOptions, *, workers: int, executor: Executor | None, recorder: Recorder | None
) -> Iterator[tuple[Crew[Problem], Recorder]]:
    """Lend those who share out the work on a problem, and what keeps it: the memory, where others work ahead of it."""
    with worker_pool(workers) if executor is None else nullcontext(executor) as pool:
        crew: Crew[Problem] = Crew() if pool is None else Crew(pool, Workplace.of(problem, task, options))
        yield crew, recorder or (Forgetful() if crew.is_alone else Memory())
