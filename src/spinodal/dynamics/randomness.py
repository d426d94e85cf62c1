"""Random numbers of every run, from its own seed and the number of the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NUMBERS = 8192  # of one run that are drawn together
MOST_STEPS = 1024  # whose numbers are drawn together
NOISE, ORDER = 1, 2  # what the numbers are for


class Noise:
    """Standard normal vectors, shape (k, n), one for each run and step.

    The numbers of a run depend on its seed and on the step, not on the other runs or on where a computation was resumed:
    steps come in blocks, each with a generator of its own.

    Examples
    --------
    >>> both, one = Noise((3, 4), size=2), Noise((4,), size=2)
    >>> torch.equal(both.at(1500)[1], one.at(1500)[0])
    True
    """

    def __init__(self, seeds: Sequence[int], size: int, like: Tensor | None = None) -> None:
        self.seeds, self.size = tuple(seeds), size
        self.like = torch.empty(0, dtype=torch.float64) if like is None else like
        self.steps = max(1, min(MOST_STEPS, NUMBERS // size))
        self._block: tuple[int, Tensor] | None = None

    def at(self, step: int) -> Tensor:
        """Return the vectors of a step."""
        block, place = divmod(step, self.steps)
        if self._block is None or self._block[0] != block:
            self._block = block, self._drawn(block)
        return self._block[1][place]

    def keep(self, rows: Tensor) -> None:
        """Go on for some of the runs, given as a mask, shape (k,)."""
        self.seeds = tuple(seed for seed, kept in zip(self.seeds, rows.tolist(), strict=True) if kept)
        if self._block is not None:
            self._block = self._block[0], self._block[1][:, rows.to(self.like.device)]

    def _drawn(self, block: int) -> Tensor:
        shape = (self.steps, self.size)
        rows = [torch.randn(shape, generator=_generator(seed, NOISE, block), dtype=torch.float64) for seed in self.seeds]
        return torch.stack(rows, 1).to(self.like)


def order(seeds: Sequence[int], epoch: int, samples: int) -> Tensor:
    """Return the order in which every run walks its samples in an epoch, shape (k, samples).

    Examples
    --------
    >>> order((0, 1), 5, 4).sort(1).values.tolist()
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    return torch.stack([torch.randperm(samples, generator=_generator(seed, ORDER, epoch)) for seed in seeds])


def _generator(seed: int, purpose: int, block: int) -> torch.Generator:
    mixed = np.random.SeedSequence([seed, purpose, block]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))
