"""The verb: which phase training reaches from random starts, at each of several beta."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from spinodal.arguments import positive_number, seed_number, sequence, whole_number
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import Prepared, chosen_solver, prepare
from spinodal.mapping.workplace import crew_for, problem_of
from spinodal.parallel import Executor
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.counting import counted
from spinodal.shares.reached import Reached
from spinodal.shares.shares import Shares
from spinodal.shares.training import EPOCHS, Training
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.expected import expected_task
from spinodal.tasks.task import Task

STARTS = 64
SAME_ERROR = 1e-4  # relative; single precision differs by less
BETAS = "give for example [0.1, 0.2]"


def basin_shares(
    task: Task,
    *,
    beta: Sequence[float],
    starts: int = STARTS,
    seed: int = 0,
    training: str = Training.method,
    learning_rate: float | None = None,
    epochs: int = EPOCHS,
    diagram: PhaseDiagram | None = None,
    control: Control | None = None,
    options: MapOptions | None = None,
    prepared: Prepared | None = None,
    recorder: Recorder | None = None,
    tell: Callable[[str], None] = lambda line: None,
    workers: int = 1,
    executor: Executor | None = None,
) -> Shares:
    """Return how many of the same random starts training leads to which phase at each beta, with intervals of confidence.

    The starts of a beta are trained together, and their ends are minimised as the points of a map are. A start whose E still
    changes macroscopically then, or that ends in no minimum, is not finished, and counted as such. Ends that agree in what no
    symmetry changes are one phase. Phases are then matched one to one: with those of the map, and with those that starts found
    at the beta before, followed from there. A minimum at a beta where no walk of the map met it is followed to the phases of
    its rank before it counts as a new one.

    Parameters
    ----------
    task : Task
    beta : sequence of float
        > 0, each once.
    starts : int
        Random starts, the same at every beta. Default `STARTS`.
    seed : int
        Start k has the seed `1000 * seed + k`, as in a map. Default 0.
    training : {"gd", "lbfgs"}
        Full-batch gradient descent, or L-BFGS with a line search, for fewer gradients by far. Default "gd".
    learning_rate : float, optional
        > 0, of gradient descent. Default: half the limit of stability, `1 / lambda_max(Hess L)` from the largest curvature at a
        few of the starts and at the minima beside them, at each beta.
    epochs : int
        Most steps. Default `EPOCHS`. A start whose residual is small ends before.
    diagram : PhaseDiagram, optional
        A map of the task: its phases keep their numbers, and what only starts find is numbered after them (see
        `Shares.diagram`).
    control : Control, optional
        As in `map_phases`. Default: that of the map, or of the task.
    options : MapOptions, optional
        Solver, tolerance, dtype and device. Default: those of the task.
    prepared : (Landscape, Control), optional
        What `prepare` gave for this task, these options and this control. Default: prepared here.
    recorder : Recorder, optional
        Where minima are journalled, so that a second call goes on where the first one ended. Default: nowhere.
    tell : callable, optional
        Told, in a line, what is done.
    workers, executor
        Who trains blocks of starts (see `map_phases`). The result is the same for any number.

    Returns
    -------
    Shares

    Raises
    ------
    SpinodalError
        For a beta that is not positive, no start, an unknown training, a map of another problem, and what `map_phases` refuses.

    Notes
    -----
    *What it is not:* the volume of a basin under another way of training. Momentum, mini-batches and longer steps lead
    elsewhere, and a line search steps over what small steps would follow.

    Examples
    --------
    Every start of a linear net with one hidden layer finds the mode of strength .9, below the beta at which it is lost:

    >>> from spinodal.tasks import gaussian
    >>> task = gaussian(activation="linear", hidden=(2,), inputs=2, outputs=2, singular_values=(0.9, 0.4), samples=50)
    >>> found = basin_shares(task, beta=[0.6, 1.0], starts=8)
    >>> [(item.beta, item.phase, item.count, item.point.observation.rank) for item in found.shares if item.count]
    [(0.6, 0, 8, 1), (1.0, 1, 8, 0)]
    """
    betas, seeds = betas_of(beta), seeds_of(starts, seed)
    how, chosen = Training(training, learning_rate, epochs), options or MapOptions()
    turned = control if control is not None or diagram is None else diagram.control.made
    ready = prepared or prepare(expected_task(task), chosen, turned)
    problem = problem_of(task, chosen, ready, chosen_solver(task, chosen, ready[0]))
    if diagram is not None:
        _refuse_another(diagram, problem)
    with crew_for(problem, task, chosen, workers=workers, executor=executor, recorder=recorder) as (crew, kept):
        found = Reached(task, problem, seeds, how, recorder=kept, crew=crew, tell=tell)
        ends = found.at(betas)
    return counted(found, ends, diagram)


def betas_of(beta: Sequence[float]) -> tuple[float, ...]:
    """Return different values of beta, rising, or refuse them."""
    given = sequence("beta", beta, of="numbers", do=BETAS)
    betas = tuple(sorted({positive_number("beta", value, do=BETAS) for value in given}))
    if not betas:
        raise SpinodalError(got="no beta", allowed="one or more positive numbers are allowed", do=BETAS)
    return betas


def seeds_of(starts: int, seed: int) -> tuple[int, ...]:
    """Return the seeds of so many starts, or refuse them."""
    count, first = whole_number("starts", starts, least=1, do=f"try {STARTS}"), 1000 * seed_number(seed)
    return tuple(range(first, first + count))


def _refuse_another(diagram: PhaseDiagram, problem: Problem) -> None:
    """Refuse a map of another problem: along another control, or whose models have another error here."""
    point, convention = diagram.points[-1], problem.control.convention
    theta = point.minimum.theta.to(problem.landscape.device, problem.landscape.dtype)
    same = diagram.control.convention == convention and len(theta) == problem.landscape.size
    with problem.landscape.uncounted():
        same = same and math.isclose(problem.landscape.value(theta), point.error, rel_tol=SAME_ERROR, abs_tol=SAME_ERROR)
    if not same:
        raise SpinodalError(
            got=f"a map of {diagram.task['name']} along {diagram.control.convention}, whose models have another error here",
            allowed=f"a map of the same task along {convention} is allowed",
            do="give the map of this task, with the same data and control, or none",
        )
