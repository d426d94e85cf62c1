"""Starts that are trained together, and the minima that their ends belong to; by a worker ahead, or here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spinodal.codec import plain
from spinodal.counts import Counts
from spinodal.dynamics.runs import Progress
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.shares.training import Trained, Training
from spinodal.sweeps.ahead import Made
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.walk import Walker

MOST, WORK = 64, 10**9  # starts of a block at most, and their parameters times samples: larger passes gain nothing
ROUGH, ROUGHER = 1e-4, 10.0  # relative residual at which training ends, at least, and in units of that of a point


@dataclass(frozen=True)
class Block:
    """Starts at one beta that are trained together.

    Attributes
    ----------
    beta : float
    seeds : tuple of int, k of them
    starts : Tensor, shape (k, n)
    training : Training
    rate : float or None
        The learning rate; None of L-BFGS.
    """

    beta: float
    seeds: tuple[int, ...]
    starts: Tensor
    training: Training
    rate: float | None

    @property
    def part(self) -> str:
        """Return the name of this part of the work."""
        return f"starts {self.seeds[0]} to {self.seeds[-1]} at {self.beta!r} by {self.how}"

    @property
    def how(self) -> str:
        """Return what tells one training from another."""
        return " ".join(map(str, (self.training.method, self.rate, self.training.epochs)))


@dataclass(frozen=True)
class End:
    """Where a start led: how its training ended, and the minimum there; None where it diverged."""

    trained: Trained
    point: Point | None


def blocks_of(landscape: Landscape, seeds: tuple[int, ...], starts: Tensor) -> list[tuple[tuple[int, ...], Tensor]]:
    """Return seeds and starts in blocks whose size depends on the landscape alone, so that one and many workers do the same."""
    size = min(max(WORK // (landscape.size * max(landscape.batches.total, 1)), 1), MOST)
    return [(seeds[first : first + size], starts[first : first + size]) for first in range(0, len(seeds), size)]


def roughly(walker: Walker) -> float:
    """Return the relative residual at which training has arrived; its end is then minimised as points of a map are."""
    return max(ROUGH, ROUGHER * walker.accuracy)


def reach(walker: Walker, block: Block, progress: Progress | None = None) -> list[End]:
    """Train the starts of a block together, and minimise from the end of each.

    What is recorded is not made again: neither a minimum nor, once all of them are there, the training.
    """
    landscape, ends = walker.landscape, list[Tensor]()
    loss = Regularised(landscape, block.beta, walker.control)

    def train() -> dict[str, Any]:
        starts = torch.stack([landscape.vector(start) for start in block.starts])
        thetas, trained = block.training.run(loss, starts, block.rate, roughly(walker), progress)
        ends[:] = thetas
        return {"ends": plain(trained)}

    def end(place: int) -> tuple[Tensor, Counts]:
        if not ends:
            train()  # again, after an interruption: it was counted then
        return ends[place], Counts(parameters=landscape.size)

    trained = [Trained.from_dict(item) for item in walker.noted(block.part, train)["ends"]]
    return [_end(walker, block, place, item, partial(end, place)) for place, item in enumerate(trained)]


def _end(walker: Walker, block: Block, place: int, trained: Trained, end: Any) -> End:
    if trained.error is None:
        return End(trained, None)
    with walker.within(f"start {block.seeds[place]} by {block.how}"):
        return End(trained, walker.find(block.beta, end))


def reach_ahead(problem: Problem, block: Block) -> tuple[dict[str, Any], Made]:
    """Do a block in a worker; return what is to be noted of its training, and the points made."""
    memory = Memory()
    reach(problem.walker(memory), block)
    return memory.note(block.part, dict), memory.made
