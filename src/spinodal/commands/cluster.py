"""Workers of a dask cluster, by the address of its scheduler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rich.console import Console

from spinodal.errors import refusing, told
from spinodal.parallel import Executor

PATIENCE = 5  # seconds in which a scheduler answers


@contextmanager
def cluster(address: str, console: Console) -> Iterator[Executor]:
    """Lend the workers of a scheduler, and say how many there are.

    Raises
    ------
    SpinodalError
        If dask.distributed is not installed, or nobody answers at the address.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it logs, with tracebacks, what is told here in one line
    client = _client(address)
    try:
        threads = client.nthreads()
        count = f"{len(threads)} worker{'s' if len(threads) != 1 else ''}"
        console.print(f"{count} at {address}" + ("" if threads else "; the maps wait until there is one"))
        yield client.get_executor()
    finally:
        client.close()


def _client(address: str) -> Any:
    """Return a client of a scheduler, or refuse an address where there is none."""
    with refusing(
        ImportError,
        lambda cause: f"--scheduler, but dask.distributed cannot be imported ({told(cause)})",
        allowed="it comes with the extra `cluster`",
        do="pip install 'spinodal[cluster]'; or leave --scheduler out: --workers N are processes of this machine",
    ):
        distributed = import_module("distributed")
    with refusing(
        (OSError, ValueError, TypeError),
        lambda cause: f"nobody answers at {address} ({told(cause)})",
        allowed="the address of a dask scheduler is allowed, as tcp://HOST:8786",
        do="see that it is running (`dask scheduler` prints its address) and can be reached from here",
    ):
        asyncio.run(asyncio.wait_for(_answers(distributed, address), PATIENCE))
        return distributed.Client(address, timeout=PATIENCE, set_as_default=False)


async def _answers(distributed: Any, address: str) -> None:
    """Ask a scheduler who it is: whoever takes the call and is silent would be waited for without end by a client."""
    arguments = distributed.security.Security().get_connection_args("client")
    async with distributed.core.rpc(address, connection_args=arguments) as scheduler:
        await scheduler.identity()
