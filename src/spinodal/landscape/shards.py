"""Shards: a fixed number of parts of the data, whose sums are added in double precision and in their order.

So a sum is the same to the last bit wherever the shards are summed: all of them here, or some of them in other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from spinodal.arguments import whole_number
from spinodal.errors import SpinodalError
from spinodal.landscape.batches import Batches, in_own_memory, is_of_samples, size_of
from spinodal.landscape.sums import Add, Arguments, Choose, Layout, Sums, each_leaf

PRECISE = torch.float64  # in which shards are summed, and their sums


class Walked(Protocol):
    """A landscape, as far as sums over its data go."""

    @property
    def batches(self) -> Batches:
        """Return the data."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision of theta."""
        ...

    @property
    def sharpness_now(self) -> float | None:
        """Return the sharpness of what takes the place of kinks while E is evaluated as now."""
        ...

    def walk(self, add: Add, theta: Tensor, arguments: Arguments, choose: Choose) -> None:
        """Walk the batches with the module lent at theta."""
        ...


class Servers(Protocol):
    """Other processes that have the same data, and sum shards of them."""

    def summed(self, landscape: Walked, add: Add, theta: Tensor, arguments: Arguments, total: Sums) -> bool:
        """Add the sums of all shards to a total, with the help of the others; False where they cannot help."""
        ...


class Shards:
    """The shards of a landscape and its twins: batch k of c belongs to shard `k S // c`.

    Parameters
    ----------
    number : int
        S.

    Attributes
    ----------
    servers : Servers or None
        Who helps; nobody unless somebody is set. The sums do not depend on it.
    """

    def __init__(self, number: int) -> None:
        self.number = whole_number("shards", number, least=1, do="try 4")
        self.servers: Servers | None = None

    def summed(
        self, landscape: Walked, add: Add, theta: Tensor, arguments: Arguments, start: Mapping[str, Tensor] | None = None
    ) -> Sums:
        """Return what `add` adds up over the batches, shard by shard."""
        total, arguments = Sums(start, PRECISE), each_leaf(in_own_memory, arguments)
        helped = self.servers is not None and self.servers.summed(landscape, add, theta, arguments, total)
        if not helped:
            self.sum_some(range(self.number), landscape, add, theta, arguments, total.take)
        return total.rounded(landscape.dtype)

    def sum_some(
        self,
        chosen: range,
        landscape: Walked,
        add: Add,
        theta: Tensor,
        arguments: Arguments,
        take: Callable[[Sums], object],
    ) -> Layout:
        """Sum some shards, and hand over the sums of each as it is done; return their layout."""
        one = _OneByOne(self, chosen, landscape.batches.count, take)
        landscape.walk(add, theta, arguments, one.sums_for)
        one.hand_over()
        return one.layout

    def cut(self, batches: Batches) -> Batches:
        """Return the data in as many batches as there are shards, or more; refuse data that cannot be cut so."""
        if batches.count >= self.number:
            return batches
        if not all(batch is not None and is_of_samples(batch) for batch in batches):
            raise SpinodalError(
                got=f"{self.number} shards of {_undivided(batches)}",
                allowed="an E that is a mean over samples, which lie along the first axis of its tensors, can be cut",
                do="leave shards out, or give the data in as many batches",
            )
        sizes = [size_of(batch) for batch in batches]
        if sum(sizes) < self.number:
            raise SpinodalError(
                got=f"{self.number} shards of {sum(sizes)} samples",
                allowed="at most as many shards as samples are allowed",
                do=f"give {sum(sizes)} or less; fewer and larger ones are faster",
            )
        pieces = -(-self.number // batches.count)
        while sum(min(size, pieces) for size in sizes) < self.number:
            pieces += 1
        parts = batches.split(pieces, max(sizes), least=1)
        return parts or batches


class _OneByOne:
    """The sums of one shard after the other, each handed over when the walk has left it."""

    def __init__(self, shards: Shards, chosen: range, count: int, take: Callable[[Sums], object]) -> None:
        self.shards, self.chosen, self.count, self.take = shards, chosen, count, take
        self.shard, self.sums = -1, Sums(dtype=PRECISE)
        self.layout: Layout = ()

    def sums_for(self, number: int) -> Sums | None:
        """Return the sums that a batch is added to, None where its shard is not among those that are chosen."""
        shard = number * self.shards.number // self.count
        if shard not in self.chosen:
            return None
        if shard != self.shard:
            self.hand_over()
            self.shard, self.sums = shard, Sums(dtype=PRECISE)
        return self.sums

    def hand_over(self) -> None:
        """Hand over the shard that is done, if there is one."""
        if self.shard < 0:
            return
        if self.layout not in ((), self.sums.layout):
            raise other_layers()
        self.layout = self.sums.layout
        self.take(self.sums)
        self.shard = -1


def other_layers() -> SpinodalError:
    """Return the refusal of a model whose layers depend on the batch: sums of shards then do not fit."""
    return SpinodalError(
        got="shards of which not all use the same layers",
        allowed="a model that calls the same layers whatever the batch is allowed",
        do="leave shards out",
    )


def _undivided(batches: Batches) -> str:
    """Say what the data are, where they are not made of samples."""
    return "an E without data" if any(batch is None for batch in batches) else "data that are not made of samples"
