"""What the first process and those that serve it tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spinodal.landscape.sums import Add, Arguments, each_leaf


@dataclass(frozen=True)
class Ready:
    """A process has opened the task, and this is what it found."""

    versions: tuple[str, ...]
    size: int
    samples: int
    error: float


@dataclass(frozen=True)
class Refused:
    """A process cannot open the task."""

    why: str


@dataclass(frozen=True)
class Failed:
    """A process cannot sum its shards."""

    cause: Exception


@dataclass(frozen=True)
class Goodbye:
    """No more is to be summed."""


@dataclass(frozen=True)
class Lost:
    """A process has ended without a word."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among those that travel by themselves."""

    number: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Request:
    """Shards to be summed; its tensors travel by themselves.

    Attributes
    ----------
    way : tuple
        In which steps the landscape was made of the one that was opened (see `Batches.way_from`).
    sharpness : float or None
        Of what takes the place of kinks.
    threads : int
        That compute: others round otherwise.
    add : callable
        What is added up (see `Sums`).
    given : (theta, arguments)
        What `add` takes, with a `Slot` in place of every tensor in tuples, lists and dictionaries; objects travel whole.
    """

    way: tuple[str | int, ...]
    sharpness: float | None
    threads: int
    add: Add
    given: tuple[Any, Arguments]

    @property
    def slots(self) -> list[Slot]:
        """Return the places of all tensors, in the order in which they travel."""
        found: list[Slot] = []
        each_leaf(lambda leaf: found.append(leaf) if isinstance(leaf, Slot) else None, self.given)
        return found

    def filled(self, tensors: list[Tensor]) -> tuple[Tensor, Arguments]:
        """Return theta and the other arguments."""
        theta, arguments = each_leaf(lambda leaf: tensors[leaf.number] if isinstance(leaf, Slot) else leaf, self.given)
        return theta, arguments


def slotted(value: Any) -> tuple[Any, list[Tensor]]:
    """Return a nested value with a `Slot` in place of every tensor, and the tensors.

    Examples
    --------
    >>> slotted((torch.ones(2), (1, {"a": torch.zeros(3)})))[0]  # doctest: +NORMALIZE_WHITESPACE
    (Slot(number=0, shape=(2,), dtype=torch.float32),
     (1, {'a': Slot(number=1, shape=(3,), dtype=torch.float32)}))
    """
    tensors: list[Tensor] = []

    def slot(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        tensors.append(leaf)
        return Slot(len(tensors) - 1, tuple(leaf.shape), leaf.dtype)

    return each_leaf(slot, value), tensors


def sendable(cause: Exception) -> Exception:
    """Return an exception that can be sent: itself where it is of Python's own, else what it says as the nearest of these."""
    plain = (ValueError, TypeError, NotImplementedError, RuntimeError)
    kind = next((kind for kind in plain if isinstance(cause, kind)), RuntimeError)
    return kind(f"{type(cause).__name__}: {cause}" if type(cause) is not kind else str(cause))
