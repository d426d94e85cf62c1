"""The state dicts in what a training loop keeps: tensors by name, somewhere among settings and optimisers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class State:
    """Tensors by name.

    Attributes
    ----------
    keys : tuple
        Under which it lies in the whole, the outermost first.
    tensors : mapping of str to Tensor
    """

    keys: tuple[object, ...]
    tensors: Mapping[str, Tensor]

    @property
    def place(self) -> str:
        """Return the keys as Python writes them, empty for the whole."""
        return "".join(f"[{key!r}]" for key in self.keys)

    @property
    def of_optimiser(self) -> bool:
        """Tell what optimisers keep of one parameter: `{"state": {0: ...}, "param_groups": ...}`."""
        return self.keys[-2:-1] == ("state",) and isinstance(self.keys[-1], int)

    def is_beside(self, other: State) -> bool:
        """Tell other weights than these: a state dict with a matrix, under a key that speaks of no optimiser."""
        apart = self.keys != other.keys[: len(self.keys)] and other.keys != self.keys[: len(other.keys)]
        matrix = any(value.dim() > 1 and value.is_floating_point() for value in self.tensors.values())
        return apart and matrix and "optim" not in self.place.lower()


def states_in(held: Any) -> list[State]:
    """Return every mapping of names to tensors in nested mappings and sequences, the outermost first.

    Examples
    --------
    >>> import torch
    >>> [state.place for state in states_in({"net": {"w": torch.zeros(1)}, "old": [{"w": torch.ones(1), "epoch": 3}]})]
    ["['net']", "['old'][0]"]
    """
    found: list[State] = []
    seen: set[int] = set()  # a pickle may hold itself
    waiting: list[tuple[tuple[object, ...], Any]] = [((), held)]
    for keys, value in waiting:  # grows below
        if id(value) in seen:
            continue
        seen.add(id(value))
        tensors = {name: item for name, item in _items(value) if isinstance(name, str) and isinstance(item, Tensor)}
        if tensors:
            found.append(State(keys, tensors))
        waiting += [((*keys, name), item) for name, item in _items(value) if isinstance(item, Mapping | list | tuple)]
    return found


def joined_states(states: list[State], names: frozenset[str]) -> Iterator[State]:
    """Return states that lie side by side as one: `{"encoder": ..., "decoder": ...}`, as far as names begin with their keys."""
    parents = dict.fromkeys(state.keys[:-1] for state in states if state.keys)
    for parent in parents:
        parts = [state for state in states if state.keys and state.keys[:-1] == parent]
        used = [part for part in parts if any(name.startswith(f"{part.keys[-1]}.") for name in names)]
        tensors = {f"{part.keys[-1]}.{name}": value for part in used for name, value in part.tensors.items()}
        if len(used) > 1:
            yield State(parent, tensors)


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Return what a mapping or a sequence holds; a pickle may have given it attributes that hide its methods."""
    if isinstance(value, dict):
        return list(dict.items(value))
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
