"""The ways between processes: messages, which may take any time, and tensors, over `torch.distributed`."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from spinodal.errors import SpinodalError, told
from spinodal.processes.world import World

JOINING = timedelta(minutes=5)  # for all processes to come, some of which may have to wait for their machines
ON_THE_WAY = timedelta(minutes=30)  # for tensors: as long as a process may sum its shards
EVER = timedelta(days=3650)  # for messages: the first process may be busy by itself; one that ends is noticed at once
SIZE, SHORT = "<q", 1024  # how the size of a message is written; bytes that travel with it, which are all of most messages
HEAD = struct.calcsize(SIZE) + SHORT


class Broken(Exception):  # noqa: N818 - it is no fault of a program
    """A process does not answer any more."""


class Group:
    """All processes of a run, as one of them sees them.

    Messages go over gloo. Tensors go over gloo on processors, and over NCCL where every process of a machine has a GPU of its
    own, which then is the current device.

    Parameters
    ----------
    here : World
    device : str
        Where the landscape is: "cpu" or "cuda".

    Raises
    ------
    SpinodalError
        If the processes do not come together.
    """

    def __init__(self, here: World, device: str) -> None:
        self.here = here
        self.others = [rank for rank in range(here.size) if rank != here.rank]
        self._owns = dist.is_available() and not dist.is_initialized()
        try:
            with _silence():
                if self._owns:
                    dist.init_process_group("gloo", rank=here.rank, world_size=here.size, timeout=JOINING)
                self._messages = dist.new_group(backend="gloo", timeout=JOINING)
                self.device = self._own_device(device)
                backend = "gloo" if self.device.type == "cpu" else "nccl"
                self._tensors = dist.new_group(backend=backend, timeout=ON_THE_WAY)
        except (RuntimeError, ValueError, AttributeError) as cause:
            raise SpinodalError(
                got=f"process {here.rank} of {here.size} did not meet the others ({told(cause)})",
                allowed="processes with ranks from 0, the same WORLD_SIZE, and one MASTER_ADDR and MASTER_PORT are allowed",
                do="start all of them within five minutes (torchrun does), on a port that is free",
            ) from cause

    def _own_device(self, device: str) -> torch.device:
        """Return where tensors travel from: the GPU of this process, if every process here has one, else the processor."""
        if not device.startswith("cuda") or not torch.cuda.is_available():
            return torch.device("cpu")
        places = torch.cuda.device_count()
        torch.cuda.set_device(self.here.local_rank % places)
        mine = torch.tensor([self.here.local_rank < places and dist.is_nccl_available()], dtype=torch.int64)
        dist.all_reduce(mine, op=dist.ReduceOp.MIN, group=self._messages)
        if not int(mine):
            return torch.device("cpu")
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # so that a timeout raises
        return torch.device("cuda", torch.cuda.current_device())

    # -- messages -----------------------------------------------------------------------------

    def tell(self, rank: int, message: Any) -> None:
        """Send a message."""
        sent = pickle.dumps(message)
        whole = torch.frombuffer(bytearray(struct.pack(SIZE, len(sent)) + sent.ljust(SHORT, b" ")), dtype=torch.uint8)
        with _noticing():
            for part in (whole[:HEAD], whole[HEAD:]):
                if len(part):
                    dist.send(part, dst=rank, group=self._messages)

    def hear(self, rank: int) -> Any:
        """Wait for the next message of a process, as long as there is that process."""
        head = torch.empty(HEAD, dtype=torch.uint8)
        with _noticing():
            _have(dist.irecv(head, src=rank, group=self._messages))
            (size,) = struct.unpack_from(SIZE, head.numpy().tobytes())
            rest = torch.empty(max(size - SHORT, 0), dtype=torch.uint8)
            if len(rest):
                _have(dist.irecv(rest, src=rank, group=self._messages))
        return pickle.loads(torch.cat([head[HEAD - SHORT :], rest]).numpy().tobytes())

    # -- tensors ------------------------------------------------------------------------------

    def spread(self, tensors: list[Tensor]) -> list[Tensor]:
        """Send tensors of the first process to all; the others give some to be filled, and have them returned."""
        kinds = dict.fromkeys(tensor.dtype for tensor in tensors)
        found = {kind: self._spread_one([tensor for tensor in tensors if tensor.dtype == kind]) for kind in kinds}
        return [next(found[tensor.dtype]) for tensor in tensors]

    def _spread_one(self, tensors: list[Tensor]) -> Iterator[Tensor]:
        """Send tensors of one kind, joined."""
        with _noticing():
            joined = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).to(self.device)
            dist.broadcast(joined, src=0, group=self._tensors)
        parts = torch.split(joined, [tensor.numel() for tensor in tensors])
        return (part.view(tensor.shape).clone() for part, tensor in zip(parts, tensors, strict=True))

    def send(self, tensor: Tensor) -> None:
        """Send a tensor to the first process."""
        with _noticing():
            dist.send(tensor.to(self.device), dst=0, group=self._tensors)

    def receive(self, rank: int, size: int, dtype: torch.dtype) -> Tensor:
        """Return what a process sends."""
        with _noticing():
            room = torch.empty(size, dtype=dtype, device=self.device)
            dist.recv(room, src=rank, group=self._tensors)
        return room

    def let_go(self) -> None:
        """Let nobody wait for tensors of a process that is lost: gloo does so by itself, and NCCL does not."""
        abort = getattr(dist.distributed_c10d, "_abort_process_group", None)  # which older versions do not have
        if self.device.type == "cuda" and abort is not None:
            with suppress(RuntimeError, ValueError):
                abort(self._tensors)

    def close(self) -> None:
        """Take leave."""
        if self._owns:
            with suppress(RuntimeError, ValueError, AssertionError):
                dist.destroy_process_group()


def _have(coming: dist.Work | None) -> None:
    """Wait for a message, as long as there is who sends it."""
    if coming is not None:
        coming.wait(EVER)


@contextmanager
def _noticing() -> Iterator[None]:
    """Say that a process does not answer, where that is why something failed."""
    try:
        yield
    except RuntimeError as cause:
        raise Broken(told(cause)) from cause


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what gloo says of its connections out of standard output, which is for results."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
