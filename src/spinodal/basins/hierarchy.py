"""The verb: maps from several seeds, and their hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Unpack

from spinodal.arguments import seed_number
from spinodal.basins.tree import Hierarchy
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control
from spinodal.mapping.keywords import chosen_options, with_options
from spinodal.mapping.members import Member, Tasks, map_members
from spinodal.mapping.options import MapOptions, MapSettings
from spinodal.missing import Missing
from spinodal.parallel import Executor
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.expected import expected_task
from spinodal.tasks.task import Task


@with_options
def hierarchy(
    task: Task,
    *,
    seeds: Iterable[int] = (0, 1, 2),
    options: MapOptions | None = None,
    control: Control | None = None,
    recorder: Callable[[int], Recorder] | None = None,
    each: Callable[[PhaseDiagram], None] | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    **settings: Unpack[MapSettings],
) -> Hierarchy:
    """Follow independently initialised models upwards in beta until they fall into the same phase: the tree of their basins.

    Every seed is mapped as `map_phases` does. Phases of different seeds are one basin where they agree, at the same beta, in E,
    `||theta - centre||^2` and all singular values, which no symmetry of the network changes, and in what classes they take for
    which; closest pairs first, at most one phase of each seed in a basin.

    Parameters
    ----------
    task : Task
    seeds : sequence of int
        Of the maps: start k of seed s uses seed `1000 * s + k`. Two or more. Default (0, 1, 2).
    options : MapOptions, optional
        Or give its fields as keyword arguments. Their seed is not used. With `branches=True` ends are polished, and
        coexistence points compared.
    control : Control, optional
        As in `map_phases`.
    recorder : callable seed -> Recorder, optional
        Where the points of a seed are journalled; called in the process that maps it. Default: nowhere.
    each : callable PhaseDiagram -> None, optional
        Told of every map as it is finished.
    workers : int
        Processes, each of which maps one seed at a time (see `map_ensemble`). The result is the same for any number.
    executor : Executor, optional
        In their place, what runs functions.

    Returns
    -------
    Hierarchy

    Raises
    ------
    SpinodalError
        For fewer than two seeds, one seed twice, a walk downwards, and what `map_phases` refuses.

    See Also
    --------
    Hierarchy.of : the same from maps that are there already.
    """
    chosen = chosen_options(options, settings)
    numbers = checked_seeds(seeds)
    if chosen.direction == "down":
        raise SpinodalError(
            got="direction down", allowed="up or loop are allowed: basins are left as beta rises", do="leave direction out"
        )
    members = [Member(0, seed, f"seed-{seed}") for seed in numbers]
    place = Tasks((expected_task(task),), chosen, control, None if recorder is None else partial(_of_seed, recorder))
    diagrams = []
    for _, found in map_members(place, members, workers=workers, executor=executor):
        if isinstance(found, Missing):
            raise SpinodalError(got=str(found), allowed="a map of every seed is needed", do="mend that, or leave the seed out")
        diagrams.append(found)
        if each is not None:
            each(found)
    return Hierarchy.of(diagrams)


def _of_seed(recorder: Callable[[int], Recorder], member: Member) -> Recorder:
    return recorder(member.seed)


def checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """Return two or more different seeds, or refuse them.

    Examples
    --------
    >>> checked_seeds(range(3))
    (0, 1, 2)
    """
    numbers = tuple(seed_number(seed) for seed in seeds)
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise SpinodalError(
            got=f"seeds {', '.join(map(str, numbers)) or 'none'}",
            allowed="two or more different seeds are allowed",
            do="for example 0, 1 and 2 (seeds=range(3), --seeds 0:3)",
        )
    return numbers
