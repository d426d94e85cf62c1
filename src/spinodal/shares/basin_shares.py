"""The verb: which phase training reaches from random starts, at each of several beta."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from spinodal.arguments import seed_number, sequence, whole_number
from spinodal.counts import Counts
from spinodal.dynamics.method import positive_number
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Control
from spinodal.landscape.objective import Regularised
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import chosen_solver, prepare
from spinodal.mapping.workplace import problem_of
from spinodal.minima.minimise import lbfgs_batch
from spinodal.phases.catalogue import Allowance
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.known import TOLD, Known, grouped
from spinodal.shares.shares import Share, Shares
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Forgetful, Recorder
from spinodal.sweeps.scout import Scout
from spinodal.tasks.expected import expected_task
from spinodal.tasks.task import Task

ROUGH = 1e-4  # relative residual of the batched searches, whose ends are then minimised one by one
STEPS = 20_000
SAME_ERROR = 1e-4  # relative; single precision differs by less
BETAS = "give for example [0.1, 0.2]"


def basin_shares(
    task: Task,
    *,
    beta: Sequence[float],
    starts: int = 64,
    seed: int = 0,
    diagram: PhaseDiagram | None = None,
    control: Control | None = None,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
) -> Shares:
    """Return how many of the same random starts reach which phase at each beta, with intervals of confidence.

    All starts of a beta descend together, by their gradients (L-BFGS with a line search), and their ends are minimised as the
    points of a map are. Ends that agree in what no symmetry changes are one phase. Phases are then matched one to one: with
    those of the map, and with those that starts found at the beta before, followed from there.

    Parameters
    ----------
    task : Task
    beta : sequence of float
        > 0, each once.
    starts : int
        Random starts, the same at every beta. Default 64.
    seed : int
        Start k has the seed `1000 * seed + k`, as in a map. Default 0.
    diagram : PhaseDiagram, optional
        A map of the task: its phases keep their numbers, and what only starts find is numbered after them.
    control : Control, optional
        As in `map_phases`.
    options : MapOptions, optional
        Solver, tolerance, dtype and device. Default: those of the task.
    recorder : Recorder, optional
        Where minima are journalled, so that a second call goes on where the first one ended. Default: nowhere.

    Returns
    -------
    Shares

    Raises
    ------
    SpinodalError
        For a beta that is not positive, no start, a map of another problem, and what `map_phases` refuses.

    Notes
    -----
    *What it is not:* the volume of a basin under another way of training. A line search steps over what small steps of
    gradient descent would follow.

    Examples
    --------
    Every start of a linear net with one hidden layer finds the mode of strength .9, below the beta at which it is lost:

    >>> from spinodal.tasks import gaussian
    >>> task = gaussian(activation="linear", hidden=(2,), inputs=2, outputs=2, singular_values=(0.9, 0.4), samples=50)
    >>> found = basin_shares(task, beta=[0.6, 1.0], starts=8)
    >>> [(item.beta, item.phase, item.count, item.point.observation.rank) for item in found.shares if item.count]
    [(0.6, 0, 8, 1), (1.0, 1, 8, 0)]
    """
    given = sequence("beta", beta, of="numbers", do=BETAS)
    betas = tuple(sorted({positive_number("beta", value, do=BETAS) for value in given}))
    if not betas:
        raise SpinodalError(got="no beta", allowed="one or more positive numbers are allowed", do=BETAS)
    count, first = whole_number("starts", starts, least=1, do="try 64"), 1000 * seed_number(seed)
    chosen = options or MapOptions()
    ready = prepare(expected_task(task), chosen, control)
    problem = problem_of(task, chosen, ready, chosen_solver(task, chosen, ready[0]))
    if diagram is not None:
        _refuse_another(diagram, problem)
    seeds = tuple(range(first, first + count))
    found = Reached(task, problem, seeds, recorder or Forgetful())
    points = {value: found.at(value) for value in betas}
    return _counted(found, points, diagram)


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


class Reached:
    """The minima that starts reach."""

    def __init__(self, task: Task, problem: Problem, seeds: tuple[int, ...], recorder: Recorder) -> None:
        self.task, self.problem, self.seeds, self.walker = task, problem, seeds, problem.walker(recorder)

    @cached_property
    def starts(self) -> Tensor:
        """Return the starts, shape (k, n)."""
        return torch.stack([self.problem.landscape.vector(self.task.initial(seed)) for seed in self.seeds])

    def at(self, beta: float) -> list[Point]:
        """Return the end of every start; all descend together when the first of them is not recorded."""
        ends: list[Tensor] = []

        def end(place: int) -> tuple[Tensor, Counts]:
            with self.problem.landscape.counting() as spent:
                if not ends:
                    loss = Regularised(self.problem.landscape, beta, self.problem.control)
                    ends.append(lbfgs_batch(loss, self.starts, tolerance=ROUGH, iterations=STEPS)[0])
            return ends[0][place], spent

        return [self._found(beta, seed, partial(end, place)) for place, seed in enumerate(self.seeds)]

    def _found(self, beta: float, seed: int, end: Callable[[], tuple[Tensor, Counts]]) -> Point:
        with self.walker.within(f"start {seed}"):
            return self.walker.find(beta, end)


def _counted(found: Reached, points: dict[float, list[Point]], diagram: PhaseDiagram | None) -> Shares:
    """Match the minima of all beta, in order, and count them."""
    ranges = _ranges(found, points, diagram)
    allowance = Allowance.of_phases(*ranges)
    scout = Scout(found.walker, error_range=ranges[0], norm_range=ranges[1], resolution=TOLD)
    known, reached, unsettled = Known(scout, allowance, diagram), {}, []
    for beta, ends in points.items():
        settled = [point for point in ends if point.minimum.converged]
        unsettled.append(len(ends) - len(settled))
        groups = [[settled[place] for place in group] for group in grouped(settled, allowance)]
        deepest = [min(group, key=lambda point: point.minimum.loss) for group in groups]
        for name, group, point in zip(known.name(beta, deepest), groups, deepest, strict=True):
            reached[name, beta] = Share(beta, name, len(group), len(settled), point)
    phases = sorted({*known.mapped, *known.found})
    totals = {beta: len(ends) - lost for (beta, ends), lost in zip(points.items(), unsettled, strict=True)}
    shares = [reached.get((phase, beta), Share(beta, phase, 0, totals[beta], None)) for phase in phases for beta in points]
    convention = found.problem.control.convention
    mapped = tuple(known.mapped)
    return Shares(found.task.name, convention, tuple(points), found.seeds, mapped, tuple(shares), tuple(unsettled))


def _ranges(found: Reached, points: dict[float, list[Point]], diagram: PhaseDiagram | None) -> tuple[float, float]:
    """Return the ranges of E and of the squared norm over all that is known, in which jumps and differences are measured."""
    known = [point for ends in points.values() for point in ends] + list(diagram.points if diagram else ())
    errors, norms = [point.error for point in known], [point.norm_squared for point in known]
    centre = found.problem.control.trivial(known[0].minimum.theta)
    if centre is not None:
        errors, norms = [*errors, found.problem.landscape.value(centre)], [*norms, 0.0]
    return max(errors) - min(errors), max(norms) - min(norms)
