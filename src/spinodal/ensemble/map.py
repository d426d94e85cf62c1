"""The verb: one map for every seed, or for every task, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Unpack

from spinodal.arguments import seed_number
from spinodal.ensemble.ensemble import Ensemble
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control
from spinodal.mapping.keywords import chosen_options, with_options
from spinodal.mapping.members import Member, Recorders, Tasks, map_members
from spinodal.mapping.options import MapOptions, MapSettings
from spinodal.missing import Missing, listed
from spinodal.parallel import Executor
from spinodal.processes.sharing import refuse_shared
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.tasks.expected import expected_task
from spinodal.tasks.task import Task


@with_options
def map_ensemble(
    tasks: Task | Sequence[Task],
    *,
    seeds: Iterable[int] | None = None,
    options: MapOptions | None = None,
    control: Control | None = None,
    recorder: Recorders | None = None,
    each: Callable[[str, PhaseDiagram | Missing], None] | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    **settings: Unpack[MapSettings],
) -> Ensemble:
    """Map a task with many seeds, or many tasks, each map computed whole by one worker; match and compare their transitions.

    Parameters
    ----------
    tasks : Task or sequence of Task
        Of several tasks every one is mapped with every seed.
    seeds : sequence of int, optional
        Different ones. Default: the seed of the options (0).
    options : MapOptions, optional
        Or give its fields as keyword arguments, as to `map_phases`.
    control : Control, optional
        As in `map_phases`.
    recorder : callable Member -> Recorder, optional
        Where the points of a member are journalled; called in the process that maps it, so that it has to be a function of a
        module where there are several. Default: nowhere.
    each : callable ``(name, PhaseDiagram or Missing) -> None``, optional
        Told of every member as it is finished.
    workers : int
        Processes of this machine, each with as many threads as this one has, which map one member at a time; the result is the
        same to the last bit for any number of them. One that is killed is replaced. Beyond 1, the program begins under
        ``if __name__ == "__main__":``. Default 1: this process.
    executor : Executor, optional
        In their place, anything with ``submit``, as it is: `concurrent.futures`, dask's ``Client.get_executor()``, loky,
        submitit, mpi4py. Threads take turns.

    Returns
    -------
    Ensemble
        Without the members that failed, which `missing` names with their causes.

    Raises
    ------
    SpinodalError
        For bad options, tasks or seeds, before anything is mapped; if no member could be mapped.

    Examples
    --------
    >>> from spinodal.tasks import gaussian
    >>> task = gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> print(map_ensemble(task, seeds=(0, 1), beta=(0.3, 0.6), starts=1))
    2 maps of gaussian: 1 transition, met by all of them. ...
    """
    given = tasks if isinstance(tasks, Sequence) and not isinstance(tasks, str) else (tasks,)
    several = tuple(map(expected_task, given))
    chosen = chosen_options(options, settings)
    refuse_shared(chosen.shards, "several maps")
    members = _members(len(several), (chosen.seed,) if seeds is None else tuple(seeds))
    found: dict[int, PhaseDiagram | Missing] = {}
    place = Tasks(several, chosen, control, recorder)
    for number, made in map_members(place, members, workers=workers, executor=executor):
        found[number] = made
        if each is not None:
            each(members[number].name, made)
    return _ensemble([(members[number].name, found[number]) for number in sorted(found)])


def _ensemble(found: Sequence[tuple[str, PhaseDiagram | Missing]]) -> Ensemble:
    mapped = [(name, made) for name, made in found if isinstance(made, PhaseDiagram)]
    missing = tuple(made for _, made in found if isinstance(made, Missing))
    if not mapped:
        raise SpinodalError(
            got=listed(missing).rstrip("."), allowed="one member that can be mapped is needed", do="map it alone to see why"
        )
    return Ensemble.of([made for _, made in mapped], [name for name, _ in mapped], missing=missing)


def _members(tasks: int, seeds: Sequence[int]) -> list[Member]:
    """Return every task with every seed, or refuse what is none."""
    numbers = tuple(map(seed_number, seeds))
    if not tasks or not numbers or len(set(numbers)) < len(numbers):
        raise SpinodalError(
            got=f"{tasks} tasks with seeds {', '.join(map(str, numbers)) or 'none'}",
            allowed="one task or more, and different seeds, are allowed",
            do="for example seeds=range(8)",
        )
    return [
        Member(task, seed, f"seed-{seed}" if tasks == 1 else f"task-{task}-seed-{seed}")
        for task in range(tasks)
        for seed in numbers
    ]
