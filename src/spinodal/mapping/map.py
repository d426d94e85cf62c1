"""The main job: from a task to its phase diagram."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control, one_control
from spinodal.mapping.keywords import chosen_options, with_options
from spinodal.mapping.mapper import Mapper
from spinodal.mapping.options import MapOptions, MapSettings
from spinodal.mapping.preparing import Prepared, chosen_solver, prepare
from spinodal.mapping.progress import Progress
from spinodal.mapping.progress_bar import told
from spinodal.mapping.protocol import Protocol
from spinodal.mapping.workplace import crew_for, problem_of
from spinodal.parallel import Executor
from spinodal.processes.sharing import fixed_threads, is_shared, refuse_shared, shared
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.expected import expected_task
from spinodal.tasks.task import Task


@with_options
def map_phases(
    task: Task,
    *,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
    progress: Progress | bool | None = None,
    prepared: Prepared | None = None,
    penalty: Control | None = None,
    control: Control | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    **settings: Unpack[MapSettings],
) -> PhaseDiagram:
    """Map the phases of a task along the strength beta of its L2 penalty, or along another control.

    The deepest phase is found from several random starts, minimised at the lowest beta and lowered to
    it slowly from a tenth of the highest; then it is followed upwards (or the trivial one downwards, or both
    in a loop), and every discontinuity on the way is bracketed. What builds on the finished walk (branches, the way
    back, curvature) never costs it: a part that fails is named in `PhaseDiagram.missing`, with its cause.

    Parameters
    ----------
    task : Task
    options : MapOptions, optional
        Or give its fields as keyword arguments: ``map_phases(task, beta=(1e-3, 1.0), seed=1)``.
    recorder : Recorder, optional
        Where points are journalled (see `spinodal.store`). Default: nowhere.
    progress : bool or Progress, optional
        True: what is being done, how long it will take, and every transition as it is found, on standard error or in a
        notebook. Or who else is told. Default: nobody.
    prepared : (Landscape, Control), optional
        What `prepare` gave for this task and these options. Default: prepared here.
    penalty, control : Penalty or another Control, optional
        What is turned, under either name: `Penalty(centre=theta)` pulls to another point than the origin, and the trivial
        phase is then the one whose outputs are those of that point. Default: that of the task.
    workers : int
        Processes among which starts, phases, branches and curvatures are shared out. The result is the same for any number.
        Beyond 1, the program begins under ``if __name__ == "__main__":``, as each of them imports it. Default 1.
    executor : Executor, optional
        In their place, what runs functions: anything with ``submit``, such as dask's ``Client.get_executor()``.

    With ``shards=S`` under `torchrun`, the first process returns the diagram, and the others leave by SystemExit when it is
    made, so that what follows is done once. Every process computes with one thread (with as many as there are, where `prepared`
    is given), as others round otherwise.

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    SpinodalError
        For bad options, or a task that has no energy or no minimiser; the cause is named. For workers that cannot start, or
        to which the task cannot be sent.

    Examples
    --------
    A linear net with one hidden layer loses its modes at beta = s, by second-order transitions:

    >>> from spinodal.tasks import gaussian
    >>> task = gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = map_phases(task)
    >>> [(round(t.beta, 4), t.order) for t in diagram.transitions]
    [(0.4, 'second'), (0.9, 'second')]
    """
    chosen = chosen_options(options, settings)
    turned = one_control(penalty, control)
    if prepared is not None and turned is not None:
        raise SpinodalError(
            got="both prepared and a control",
            allowed="one of the two is allowed: what is prepared holds its control",
            do="give the control to prepare(task, options, control)",
        )
    if workers != 1 or executor is not None:
        refuse_shared(chosen.shards, "workers")
    with _opened(task, chosen, prepared, turned) as ready:
        problem = problem_of(task, chosen, ready, chosen_solver(task, chosen, ready[0]))
        making = Mapper if chosen.grid is None else Protocol
        with (
            crew_for(problem, task, chosen, workers=workers, executor=executor, recorder=recorder) as (crew, kept),
            told(progress, chosen.direction, ready[1].convention) as watcher,
        ):
            return making(task, chosen, problem, recorder=kept, progress=watcher, crew=crew).run()


@contextmanager
def _opened(task: Task, options: MapOptions, prepared: Prepared | None, control: Control | None) -> Iterator[Prepared]:
    """Lend a task prepared, its sums shared out where it has shards and there are several processes."""
    if prepared is not None and (options.shards is None or is_shared(prepared[0])):
        yield prepared
        return

    def make() -> Prepared:
        return prepared or prepare(expected_task(task), options, control)

    with (
        fixed_threads(one=options.shards is not None and prepared is None),
        shared(options.shards, make, lambda ready: ready[0], device=options.device) as ready,
    ):
        yield ready
