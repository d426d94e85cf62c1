"""The processes of one run, as `torchrun` or another launcher tells each of them by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spinodal.errors import SpinodalError

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """Which process this is, and of how many.

    Attributes
    ----------
    rank : int
        0 leads: it maps, prints and writes. The others serve it.
    size : int
    local_rank : int
        Among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_shared(self) -> bool:
        """Tell whether there are others."""
        return self.size > 1


def world() -> World:
    """Return the processes of this run, from the environment; one alone where no launcher tells of others.

    Raises
    ------
    SpinodalError
        Where the environment tells of others, but not all that is needed to meet them.
    """
    if not _is_shared():
        return World()
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise SpinodalError(
            got=f"WORLD_SIZE without {' and '.join(missing)} in the environment",
            allowed=f"{', '.join(NEEDED)} together, as torchrun sets them, are allowed",
            do="start with torchrun, set them all, or unset WORLD_SIZE",
        )
    size, rank, _ = (_number(name) for name in ("WORLD_SIZE", "RANK", "MASTER_PORT"))
    if not 0 <= rank < max(size, 1):
        raise SpinodalError(
            got=f"RANK = {rank} with WORLD_SIZE = {size}",
            allowed="ranks from 0 to below WORLD_SIZE are allowed",
            do="give every process a rank of its own",
        )
    local = os.environ.get("LOCAL_RANK") or "0"
    return World(rank, size, int(local) if local.isdecimal() else 0)


def serves() -> bool:
    """Tell whether this process is one that serves, and leaves it to the first one to say anything."""
    rank = os.environ.get("RANK", "0")
    return _is_shared() and rank.isdecimal() and int(rank) > 0


def _is_shared() -> bool:
    return os.environ.get("WORLD_SIZE", "") not in ("", "1")


def _number(name: str) -> int:
    text = os.environ[name]
    if not text.isdecimal():
        raise SpinodalError(
            got=f"{name} = {text!r} in the environment",
            allowed="whole numbers >= 0 are allowed",
            do="start with torchrun, which sets it",
        )
    return int(text)
