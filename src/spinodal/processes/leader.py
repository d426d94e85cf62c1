"""The first process: it asks the others for the sums of their shards, and notices at once when one is lost."""

from __future__ import annotations

import math
import os
import signal
import threading
from queue import SimpleQueue
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.shards import PRECISE, Shards, Walked, other_layers
from spinodal.landscape.sums import Add, Arguments, Layout, Sums
from spinodal.parallel import VERSIONS
from spinodal.processes.group import Broken, Group
from spinodal.processes.lost import LostProcess
from spinodal.processes.messages import Failed, Goodbye, Lost, Ready, Refused, Request, slotted

SAME = 1e-6  # relative, of E in two processes that have the same model and data
GRACE = 2.0  # seconds for news of a loss to come
LEAVE = 30.0  # seconds for the others to take leave, which those that are there do at once


def share(shards: int, rank: int, size: int) -> range:
    """Return the shards that one of so many processes sums.

    Examples
    --------
    >>> [share(4, rank, 3) for rank in range(3)]
    [range(0, 1), range(1, 2), range(2, 4)]
    """
    return range(rank * shards // size, (rank + 1) * shards // size)


def checksum(layout: Layout) -> int:
    """Return a number that tells one layout from another."""
    return crc32(repr(layout).encode())


class Leader:
    """The first process of a group, which the others serve.

    While it leads, a process that is lost interrupts it, and so does SIGTERM, by which launchers end what is left of a run.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.lost: list[int] = []
        self._root: Landscape | None = None
        self._is_in_step, self._is_closing, self._is_told = True, False, False
        self._news = threading.Event()
        self._inbox: dict[int, SimpleQueue[Any]] = {rank: SimpleQueue() for rank in group.others}
        self._heeds, self._kept = threading.current_thread() is threading.main_thread(), None
        if self._heeds:
            self._kept = signal.signal(signal.SIGTERM, self._heed)
        self._listeners = [threading.Thread(target=self._listen, args=(rank,), daemon=True) for rank in group.others]
        for listener in self._listeners:
            listener.start()

    def open(self, landscape: Landscape) -> None:
        """Wait for the others to have opened the same landscape, and let them help with its sums from now on."""
        error = landscape.uncounted_value(landscape.initial)
        for rank in self.group.others:
            answer = self._answer(rank)
            if isinstance(answer, Refused):
                raise _cannot_open(rank, answer.why)
            self._check(rank, answer, landscape, error)
        self._root = landscape
        if landscape.shards is not None:
            landscape.shards.servers = self

    def _check(self, rank: int, answer: Ready, landscape: Landscape, error: float) -> None:
        """Refuse a process with other software, another model or other data."""
        if answer.versions != VERSIONS:
            raise _cannot_open(rank, f"it has {' and '.join(answer.versions)}, and {' and '.join(VERSIONS)} are here")
        if (answer.size, answer.samples) != (landscape.size, landscape.batches.total):
            raise _cannot_open(
                rank,
                f"it has {answer.size:,} parameters and {answer.samples:,} samples, and {landscape.size:,} and "
                f"{landscape.batches.total:,} are here",
            )
        if not math.isclose(answer.error, error, rel_tol=SAME, abs_tol=1e-12):
            raise _cannot_open(rank, f"E at the first theta is {answer.error:.8g} there and {error:.8g} here")

    # -- sums ---------------------------------------------------------------------------------

    def summed(self, landscape: Walked, add: Add, theta: Tensor, arguments: Arguments, total: Sums) -> bool:
        """Add the sums of all shards to a total; False for a landscape that the others do not have."""
        if self._root is None or self._root.shards is None or not self._is_in_step:
            return False
        shards, way = self._root.shards, landscape.batches.way_from(self._root.batches)
        if way is None or landscape.batches.count < shards.number:
            return False
        self._is_in_step = False  # until all have answered: whatever interrupts it, nobody is asked again
        try:
            found = self._with_help(shards, landscape, way, add, theta, arguments, total)
        except Broken:
            self._news.wait(GRACE)
            self._is_told = True
            raise LostProcess(self.lost, self.group.here.size) from None
        self._is_in_step = True
        if found is not None:
            raise found
        return True

    def _with_help(
        self,
        shards: Shards,
        landscape: Walked,
        way: tuple[str | int, ...],
        add: Add,
        theta: Tensor,
        arguments: Arguments,
        total: Sums,
    ) -> Exception | None:
        """Ask the others, sum the shards of this process, add those of the others; return what failed first, if anything."""
        self._ask(way, landscape.sharpness_now, add, theta, arguments)
        failed: Exception | None = None
        layout: Layout = ()
        try:
            own = share(shards.number, 0, self.group.here.size)
            layout = shards.sum_some(own, landscape, add, theta, arguments, total.take)
        except Exception as cause:  # noqa: BLE001 - of whoever's code; the others have answers on their way
            failed = cause
        for rank in self.group.others:
            failed = self._collect(rank, theta, layout, total, failed)
        return failed

    def _ask(self, way: tuple[str | int, ...], sharpness: float | None, add: Add, theta: Tensor, arguments: Arguments) -> None:
        given, tensors = slotted((theta, arguments))
        request = Request(way, sharpness, torch.get_num_threads(), add, given)
        for rank in self.group.others:
            self.group.tell(rank, request)
        self.group.spread(tensors)

    def _collect(self, rank: int, theta: Tensor, layout: Layout, total: Sums, failed: Exception | None) -> Exception | None:
        """Add the sums of one process to a total, unless something failed; return what failed first, if anything."""
        count, size, check = self.group.receive(rank, 3, torch.int64).tolist()
        if not count:
            answer = self._answer(rank)
            return answer.cause if failed is None and isinstance(answer, Failed) else failed
        flats = (self.group.receive(rank, size, PRECISE) for _ in range(count))
        if failed is None and check == checksum(layout):
            for flat in flats:
                total.take(Sums.of(flat.to(theta.device), layout))
            return None
        list(flats)  # they are on their way, whatever becomes of them
        return failed or other_layers()

    # -- news ---------------------------------------------------------------------------------

    def _answer(self, rank: int) -> Any:
        """Return the next message of a process."""
        message = self._inbox[rank].get()
        if isinstance(message, Lost):
            self._is_told = True
            raise LostProcess(self.lost, self.group.here.size)
        return message

    def _listen(self, rank: int) -> None:
        """Hear what a process says, until it takes leave or is lost."""
        try:
            while not isinstance(message := self.group.hear(rank), Goodbye):
                self._inbox[rank].put(message)
        except Broken:
            if not self._is_closing:
                self._lose(rank)

    def _lose(self, rank: int) -> None:
        self.lost.append(rank)
        self._inbox[rank].put(Lost())
        self._news.set()
        self.group.let_go()
        if self._heeds:
            os.kill(os.getpid(), signal.SIGTERM)

    def _heed(self, *_: object) -> None:
        """Interrupt the map, once: while that is told, a launcher may well want this process to end, too."""
        if self._is_told:
            return
        self._is_told = True
        self._news.wait(0.1 * GRACE)
        raise LostProcess(self.lost, self.group.here.size) if self.lost else KeyboardInterrupt

    def close(self) -> None:
        """Let the others end."""
        self._is_closing = True
        if self._root is not None and self._root.shards is not None:
            self._root.shards.servers = None
        farewell = threading.Thread(target=self._take_leave, daemon=True)
        farewell.start()
        for thread in (farewell, *self._listeners):
            thread.join(LEAVE)
        if self._heeds and not self._is_told:
            signal.signal(signal.SIGTERM, self._kept or signal.SIG_DFL)
        if not self.lost:
            self.group.close()

    def _take_leave(self) -> None:
        for rank in self.group.others:
            if rank not in self.lost:
                try:
                    self.group.tell(rank, Goodbye())
                except Broken:
                    self.lost.append(rank)


def _cannot_open(rank: int, why: str) -> SpinodalError:
    return SpinodalError(
        got=f"process {rank} cannot open the task ({why})",
        allowed="a task that is the same in every process, and the same versions of the software, are needed",
        do="see that its files, its data and the packages are there for every process",
    )
