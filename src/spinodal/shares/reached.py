"""The minima that starts reach, beta by beta: what does not depend on one another is shared out, and journalled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from spinodal.landscape.objective import Regularised
from spinodal.parallel import Crew
from spinodal.shares.block import Block, End, blocks_of, reach, reach_ahead
from spinodal.shares.training import FEW, Training, stable_rate
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.tasks.task import Task

Tell = Callable[[str], None]
EVERY = 10.0  # seconds between two lines about one training


class Reached:
    """The minima that starts reach.

    Parameters
    ----------
    task : Task
    problem : Problem
    seeds : tuple of int
    training : Training
    recorder : Recorder
    crew : Crew
        Does blocks of starts ahead.
    tell : callable
        Told, in a line, what is done.
    """

    def __init__(
        self,
        task: Task,
        problem: Problem,
        seeds: tuple[int, ...],
        training: Training,
        *,
        recorder: Recorder,
        crew: Crew[Problem],
        tell: Tell,
    ) -> None:
        self.task, self.problem, self.seeds, self.training = task, problem, seeds, training
        self.recorder, self.crew, self.tell = recorder, crew, tell
        self.walker = problem.walker(recorder)
        self.rates: dict[float, float] = {}
        self._told = time.monotonic()

    @cached_property
    def starts(self) -> Tensor:
        """Return the starts, shape (k, n), on the processor."""
        vectors = [self.problem.landscape.vector(self.task.initial(seed)) for seed in self.seeds]
        return torch.stack(vectors).cpu()

    def at(self, betas: Sequence[float]) -> dict[float, list[End]]:
        """Return the end of every start at each beta."""
        blocks = {beta: self._blocks(beta) for beta in betas}
        self._ahead([block for group in blocks.values() for block in group])
        return {beta: self._ends(beta, group) for beta, group in blocks.items()}

    def _blocks(self, beta: float) -> list[Block]:
        rate = self._rate(beta)
        groups = blocks_of(self.problem.landscape, self.seeds, self.starts)
        return [Block(beta, seeds, starts, self.training, rate) for seeds, starts in groups]

    def _rate(self, beta: float) -> float | None:
        """Return the learning rate at a beta; None of L-BFGS."""
        if self.training.method != "gd":
            return None
        if self.training.learning_rate is not None:
            self.rates[beta] = self.training.learning_rate
            return self.training.learning_rate
        landscape = self.problem.landscape
        loss = Regularised(landscape, beta, self.walker.control)
        few = torch.stack([landscape.vector(start) for start in self.starts[:FEW]])
        note = self.walker.noted(f"learning rate at {beta!r}", lambda: {"rate": stable_rate(loss, few)})
        self.rates[beta] = float(note["rate"])
        return self.rates[beta]

    def _ahead(self, blocks: Sequence[Block]) -> None:
        """Let workers do blocks that were not begun yet, and record what they made: first the points, then the training."""
        wanted = [block for block in blocks if not self.recorder.knows(block.part)]
        for place, (note, made) in self.crew.results(reach_ahead, wanted):
            block = wanted[place]
            for request, point in made:
                self.recorder.take(request, point)
            self.recorder.note(block.part, lambda: note)  # noqa: B023 - it is called at once
            self.tell(f"beta = {block.beta:.6g}: {len(block.seeds)} starts from seed {block.seeds[0]} on are at their ends")

    def _ends(self, beta: float, blocks: Sequence[Block]) -> list[End]:
        ends = list[End]()
        for block in blocks:
            if not self.recorder.knows(block.part):
                self.tell(f"beta = {beta:.6g}: training {len(block.seeds)} starts from seed {block.seeds[0]} on")
            ends += reach(self.walker, block, self._progress)
        minima = sum(end.point is not None and end.point.minimum.converged for end in ends)
        self.tell(f"beta = {beta:.6g}: {minima} of {len(ends)} starts lead to a minimum")
        return ends

    def _progress(self, epoch: int, errors: Tensor) -> None:
        """Say every ten seconds how far training is."""
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            self.tell(f"epoch {epoch:,}: {len(errors)} of these starts are on the way, E from {float(errors.min()):.3g}")
