"""The verb: maps from several seeds, and their hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Unpack

from spinodal.arguments import seed_number
from spinodal.basins.tree import Hierarchy
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control
from spinodal.mapping.keywords import chosen_options, with_options
from spinodal.mapping.map import map_phases
from spinodal.mapping.options import MapOptions, MapSettings
from spinodal.parallel import Executor, worker_pool
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.recorder import Recorder
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
        Where the points of a seed are journalled. Default: nowhere.
    each : callable PhaseDiagram -> None, optional
        Told of every map that is finished.
    workers : int
    executor : Executor, optional
        As in `map_phases`.

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
    diagrams = []
    with worker_pool(workers) if executor is None else nullcontext(executor) as pool:
        for seed in numbers:
            kept = None if recorder is None else recorder(seed)
            found = map_phases(task, options=replace(chosen, seed=seed), control=control, recorder=kept, executor=pool)
            diagrams.append(found)
            if each is not None:
                each(found)
    return Hierarchy.of(diagrams)


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
            do="for example seeds=range(3)",
        )
    return numbers
