"""Where a map begins: the range of beta, and the deepest and the trivial phase at its ends, from random starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from spinodal.counts import Counts
from spinodal.definitions import EQUALLY_DEEP, RANGE
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.mapping.deepest import Ladder, annealed, below, climb, deepest, raised
from spinodal.mapping.options import MapOptions
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.minima.minimise import lbfgs_batch
from spinodal.parallel import Crew
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.task import Task

PIECES, LEAST = 8, 500  # of the samples of a large network, one of which leads the search for a start; samples of one
Wanted = tuple[float, Tensor, float, int]  # beta, start, tolerance and iterations
Found = tuple[Tensor, float, Counts]


class Starts:
    """The random starts of a map, and what is found from them.

    Parameters
    ----------
    problem : Problem
    options : MapOptions
    crew : Crew
        The starts are shared out among its workers.
    draw : callable
        Returns the random starts of a set, shape (k, n), by its number: 0, and one more for each repeat.
    """

    def __init__(self, problem: Problem, options: MapOptions, crew: Crew[Problem], draw: Callable[[int], Tensor]) -> None:
        self.problem, self.options, self.crew, self.draw = problem, options, crew, draw
        self.landscape, self.control = problem.landscape, problem.control
        self.chosen = 0  # the set in which the deepest start was found

    def range(self, recorder: Recorder) -> tuple[tuple[float, float], Counts]:
        """Return the range of beta, asked for or found and recorded, and what it cost."""
        if self.options.beta is not None:
            return self.options.beta, Counts(parameters=self.landscape.size)

        def make() -> dict[str, Any]:
            with self.landscape.counting() as spent, self._led():
                ladder = self.ladder
            return {"high": ladder.high, "low": ladder.low, "counts": vars(spent)}

        note = recorder.note("range", make)
        low = note.get("low", note["high"] / RANGE)  # which older runs did not note
        return (low, note["high"]), Counts(**note["counts"])

    def deepest(self, low: float, high: float) -> tuple[Tensor, Counts]:
        """Return a start in the deepest phase that was found at `low`, in any of the sets of starts, and what it took."""
        with self.landscape.counting() as spent, self._led():
            ends = [self._deepest_of(group, low, high) for group in range(1 + self.options.repeats)]
        least = min(value for _, value in ends)
        self.chosen = next(k for k, (_, value) in enumerate(ends) if not value > least + EQUALLY_DEEP * abs(least))
        return ends[self.chosen][0], spent

    def _deepest_of(self, group: int, low: float, high: float) -> tuple[Tensor, float]:
        """Return the deepest start of a set, and L there."""
        thetas = self.draw(group) if group else self.thetas
        slow = annealed(self.leading, self.control, low, high, thetas, self._search)
        candidates = torch.cat([self._candidates(low, thetas), slow[None]])
        return deepest(self.leading, self.control, low, candidates, self._search)

    def _candidates(self, low: float, thetas: Tensor) -> Tensor:
        """Return starts at `low`, shape (k, n): what is found far below it, and in a given range the random ones as well."""
        if thetas is self.thetas and self.options.beta is None:
            found = self.ladder.bottom
        else:
            found = torch.cat([thetas, below(self.leading, self.control, low, thetas, self._search)])
        if self.leading is self.landscape:
            return found
        return torch.cat([found, raised(self.leading, self.control, low, thetas[0], self._search)[None]])

    def trivial(self, high: float) -> tuple[Tensor, Counts]:
        """Return a start at the upper end: the top of the ladder, or random starts in a given range; and what it took."""
        if self.options.beta is None:
            return self.ladder.top, Counts(parameters=self.landscape.size)  # its cost is in the note of the range
        with self.landscape.counting() as spent, self._led():
            found, _ = deepest(self.leading, self.control, high, self.thetas, self._search)
        return found, spent

    @cached_property
    def leading(self) -> Landscape:
        """Return the landscape in which starts are searched: of large networks that of fewer samples."""
        pieces = min(PIECES, self.landscape.batches.total // LEAST) if affords_glimpses_only(self.landscape) else 1
        part = self.landscape.part(pieces) if pieces > 1 else None
        return part or self.landscape

    @contextmanager
    def _led(self) -> Iterator[None]:
        """Charge what is spent on fewer samples pro rata."""
        if self.leading is self.landscape:
            yield
            return
        with self.leading.counting() as spent:
            yield
        share = self.leading.batches.total / self.landscape.batches.total
        self.landscape.ledger.charge(passes=math.ceil(share * spent.gradient_equivalents))

    @cached_property
    def ladder(self) -> Ladder:
        """Return what a rough climb in beta found."""
        return climb(self.leading, self.control, self.thetas, self.problem.observe, self._search)

    @cached_property
    def thetas(self) -> Tensor:
        """Return the random starts of the first set, shape (k, n)."""
        return self.draw(0)

    def _search(self, loss: Regularised, starts: Tensor, *, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
        """Minimise L from k starts, shape (k, n), each by itself, like `lbfgs_batch`."""
        alone = partial(lbfgs_batch, loss, tolerance=tolerance, iterations=iterations)
        if self.crew.is_alone or len(starts) == 1 or self.leading is not self.landscape:
            return alone(starts)
        jobs: list[Wanted] = [(loss.beta, start.cpu(), tolerance, iterations) for start in starts]
        found = dict(self._shared_out(jobs, starts))
        for row in set(range(len(starts))) - found.keys():
            ends, values = alone(starts[row : row + 1])
            found[row] = ends[0], float(values[0])
        rows = [found[row] for row in range(len(starts))]
        return torch.stack([end for end, _ in rows]), torch.tensor([value for _, value in rows], dtype=torch.float64)

    def _shared_out(self, jobs: list[Wanted], starts: Tensor) -> Iterator[tuple[int, tuple[Tensor, float]]]:
        for row, (end, value, spent) in self.crew.results(search, jobs):
            self.landscape.ledger.add(spent)
            yield row, (end.to(starts), value)


def random_starts(task: Task, landscape: Landscape, options: MapOptions, group: int) -> Tensor:
    """Return the random starts of a set, shape (k, n)."""
    return torch.stack([landscape.vector(task.initial(seed)) for seed in options.seeds(group)])


def search(problem: Problem, job: Wanted) -> Found:
    """Minimise L from one start, in a worker; return its end, L and the cost."""
    beta, start, tolerance, iterations = job
    loss = Regularised(problem.landscape, beta, problem.control)
    with problem.landscape.counting() as spent:
        ends, values = lbfgs_batch(loss, problem.landscape.vector(start)[None], tolerance=tolerance, iterations=iterations)
    return ends[0].cpu(), float(values[0]), spent
