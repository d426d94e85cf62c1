"""Edges of a graph of minima sought by other processes, and the parts of searches that they send back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spinodal.landscape import Landscape


@dataclass(frozen=True)
class Part:
    """A part of a search, in memory."""

    kind: str
    record: dict[str, Any]
    named: dict[str, Tensor]

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name."""
        return self.named


@dataclass(frozen=True)
class Parts:
    """A recorder that keeps the parts of searches in memory."""

    found: dict[str, Part] = field(default_factory=dict)

    def find(self, key: str) -> Part | None:
        """Return a part by its request, None if it is not there."""
        return self.found.get(key)

    def add(self, kind: str, key: str, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Keep a part."""
        self.found[key] = Part(kind, dict(record), dict(tensors))


@dataclass(frozen=True)
class Remade:
    """Where others make a landscape again.

    Attributes
    ----------
    make : callable
        Which returns it.
    threads : int
        Of this process, and so of every worker: other threads round otherwise.
    token : str
        Tells one from another.
    """

    make: Callable[[], Landscape]
    threads: int = field(default_factory=torch.get_num_threads)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def open(self) -> Landscape:
        """Return the landscape."""
        return self.make()
