"""The door: a landscape whose sums are shared out among the processes of a run, where there are several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.parallel import use_threads
from spinodal.processes.group import Group
from spinodal.processes.leader import Leader
from spinodal.processes.lost import LostProcess
from spinodal.processes.server import Server
from spinodal.processes.world import World, world

T = TypeVar("T")


@contextmanager
def shared(
    shards: int | None, make: Callable[[], T], landscape_of: Callable[[T], Landscape], *, device: str = "cpu"
) -> Iterator[T]:
    """Lend what `make` opens, in the first process; the others open it as well, and serve the first one until it is done.

    They leave by SystemExit: whatever follows is done once. One process alone, or no shards: what `make` opens, as it is.

    Parameters
    ----------
    shards : int or None
    make : callable
        Opens the task, the same in every process.
    landscape_of : callable
        Returns the landscape of what was opened.
    device : str
        Where it is.

    Raises
    ------
    SpinodalError
        For fewer shards than processes, processes that do not come together or cannot open the task, and a process that is
        lost on the way.
    """
    here = world()
    if shards is None or not here.is_shared:
        yield make()
        return
    _refuse_idle(shards, here)
    group = Group(here, device)
    if here.rank:
        raise SystemExit(Server(group).serve(lambda: landscape_of(make())))
    leader = Leader(group)
    try:
        made = make()
        leader.open(landscape_of(made))
        yield made
    except LostProcess as cause:
        raise cause.refusal from None
    finally:
        leader.close()


@contextmanager
def fixed_threads(*, one: bool) -> Iterator[None]:
    """Compute with one thread while a block runs, if so; else with as many as there are."""
    before = torch.get_num_threads()
    if one:
        use_threads(1)
    try:
        yield
    finally:
        if one:
            use_threads(before)


def is_shared(landscape: Landscape) -> bool:
    """Tell whether other processes serve a landscape already."""
    return landscape.shards is not None and landscape.shards.servers is not None


def refuse_shared(shards: int | None, what: str) -> None:
    """Refuse to share out maps, or parts of one, among workers of a process that shares out sums among others already."""
    here = world()
    if shards is not None and here.is_shared:
        raise SpinodalError(
            got=f"{what} together with shards in {here.size} processes",
            allowed="processes of one map share out the sums over the data, workers the parts of a map, or maps; one of them",
            do="leave one out: the numbers are the same",
        )


def _refuse_idle(shards: int, here: World) -> None:
    if shards < here.size:
        raise SpinodalError(
            got=f"shards = {shards} in {here.size} processes",
            allowed="at least one shard for each process is allowed",
            do=f"give {here.size} or a multiple of it, or start {shards} process{'es' if shards > 1 else ''}",
        )
