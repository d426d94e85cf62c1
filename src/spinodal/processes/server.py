"""A process that serves: it sums its shards of the data wherever the first one is, and ends with it."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from spinodal.errors import SpinodalError, one_line, unexpected
from spinodal.landscape import Landscape
from spinodal.landscape.shards import Shards
from spinodal.parallel import VERSIONS, use_threads
from spinodal.processes.group import Broken, Group
from spinodal.processes.leader import checksum, share
from spinodal.processes.messages import Failed, Goodbye, Lost, Ready, Refused, Request, sendable

LEFT = 1  # exit code of a process whose first one was lost
SOON = 0.5  # seconds in which a process that is not at work hears that it is to end


class Server:
    """A process that serves the first one of its group; it prints nothing, and leaves Ctrl-C to that one."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._is_over = threading.Event()
        self._twins: dict[tuple[str | int, ...], Landscape | None] = {}
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self._listen, daemon=True).start()

    def serve(self, make: Callable[[], Landscape]) -> int:
        """Open the task, and sum what is asked for until there is no more; return an exit code."""
        warnings.simplefilter("ignore")  # the first process warns of the same
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            landscape = self._opened(make)
            while isinstance(message := self._inbox.get(), Request):
                if landscape is not None:
                    self._answer(landscape, message)
        self._is_over.set()
        self.group.close()
        return 0 if isinstance(message, Goodbye) else LEFT

    def _opened(self, make: Callable[[], Landscape]) -> Landscape | None:
        try:
            landscape = make()
            error = landscape.uncounted_value(landscape.initial)
            self._tell(Ready(VERSIONS, landscape.size, landscape.batches.total, error))
        except Exception as cause:  # noqa: BLE001 - whatever it is, the first process tells it
            self._tell(Refused(one_line(cause if isinstance(cause, SpinodalError) else unexpected(cause))))
            return None
        return landscape

    def _answer(self, landscape: Landscape, request: Request) -> None:
        """Sum the shards of this process, and send their sums, or why there are none."""
        try:
            rooms = [torch.empty(slot.shape, dtype=slot.dtype) for slot in request.slots]
            tensors = [tensor.to(landscape.device) for tensor in self.group.spread(rooms)]
            for tensor in self._sums(landscape, request, tensors):
                self.group.send(tensor)
        except Broken:  # whoever is lost, the first process says so, or is it itself
            return

    def _sums(self, landscape: Landscape, request: Request, tensors: list[Tensor]) -> list[Tensor]:
        """Return how many sums there are, of how many numbers, in which layout, and then the sums."""
        found: list[Tensor] = []
        try:
            twin, shards = self._twin(landscape, request.way), landscape.shards or Shards(1)
            if torch.get_num_threads() != request.threads:
                use_threads(request.threads)
            own = share(shards.number, self.group.here.rank, self.group.here.size)
            theta, arguments = request.filled(tensors)
            with _softened(twin, request.sharpness):
                layout = shards.sum_some(own, twin, request.add, theta, arguments, lambda sums: found.append(sums.flat))
        except Exception as cause:  # noqa: BLE001 - of whoever's code: the first process deals with it
            self._tell(Failed(sendable(cause)))
            return [torch.zeros(3, dtype=torch.int64)]
        return [torch.tensor([len(found), len(found[0]), checksum(layout)]), *found]

    def _twin(self, landscape: Landscape, way: tuple[str | int, ...]) -> Landscape:
        """Return the landscape that sums are asked of."""
        if way not in self._twins:
            self._twins[way] = landscape.made_in(way)
        twin = self._twins[way]
        if twin is None:
            raise LookupError(way)
        return twin

    # -- news ---------------------------------------------------------------------------------

    def _tell(self, message: object) -> None:
        try:
            self.group.tell(0, message)
        except Broken:
            self._inbox.put(Lost())

    def _listen(self) -> None:
        """Hear what the first process says; when it takes leave or is lost, end, at work or not."""
        message: object = None
        while not isinstance(message, Goodbye | Lost):
            try:
                message = self.group.hear(0)
            except Broken:
                message = Lost()
            self._inbox.put(message)
        if isinstance(message, Goodbye):
            self._tell(message)
        if not self._is_over.wait(SOON):
            os._exit(0 if isinstance(message, Goodbye) else LEFT)


def _softened(landscape: Landscape, sharpness: float | None) -> AbstractContextManager[None]:
    """Evaluate as the first process does."""
    if sharpness == landscape.sharpness:
        return nullcontext()
    return landscape.as_given() if sharpness is None else landscape.softened(sharpness)
