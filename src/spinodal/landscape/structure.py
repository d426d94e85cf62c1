"""Nested values taken apart into their leaves and put together again: what batches and outputs of models are made of."""

from __future__ import annotations

import copy
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

DEEPEST = 16  # levels, beyond which nothing is looked for
ATOMS = (  # values that are never taken apart
    Tensor, np.ndarray, np.generic, nn.Module, str, bytes, bytearray, int, float, complex, type, type(None),
    types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.GeneratorType,
    torch.Generator, torch.dtype, torch.device, torch.Size, weakref.ref,
)  # fmt: skip
Children = list[tuple[str, Any]]


@dataclass(frozen=True)
class Structure:
    """A nested value without its leaves: tuples, lists, mappings, named tuples, data classes, any object that holds tensors.

    Attributes
    ----------
    value : the value
    places : tuple of int
        The leaf at every place, in the order of the walk; a tensor that lies at several places is one leaf.

    Examples
    --------
    >>> leaves, structure = flatten({"x": torch.ones(2), "more": [torch.zeros(1), None]})
    >>> structure.filled([leaf if leaf is None else leaf + 1 for leaf in leaves])
    {'x': tensor([2., 2.]), 'more': [tensor([1.]), None]}
    """

    value: Any
    places: tuple[int, ...]

    def filled(self, leaves: Sequence[Any]) -> Any:
        """Return a value of the same types with other leaves."""
        found = iter(self.places)
        return mapped(lambda _: leaves[next(found)], self.value)


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of a value, each tensor once, and how they are put together."""
    seen: dict[int, int] = {}
    leaves: list[Any] = []
    places = []
    for _, leaf in named_leaves(value):
        known = seen.get(id(leaf)) if isinstance(leaf, Tensor) else None
        places.append(len(leaves) if known is None else known)
        if known is None:
            seen[id(leaf)] = len(leaves)
            leaves.append(leaf)
    return leaves, Structure(value, tuple(places))


def named_leaves(value: Any, name: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Walk the leaves of a value with the path to each."""
    children = _children(value, above)
    if children is None:
        yield name or "0", value
        return
    for key, child in children:
        yield from named_leaves(child, f"{name}.{key}" if name else key, (*above, id(value)))


def mapped(function: Callable[[Any], Any], value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return a value of the same types with the function of every leaf; the value itself is left alone."""
    children = _children(value, above)
    if children is None:
        return function(value)
    path = (*above, id(value))
    return _rebuilt(value, [(key, mapped(function, child, path)) for key, child in children])


def _children(value: Any, above: tuple[int, ...] = ()) -> Children | None:
    """Return what a value is made of by name, None for a leaf; no value is looked for inside itself."""
    if isinstance(value, ATOMS) or id(value) in above or len(above) > DEEPEST:
        return None
    if isinstance(value, Mapping):
        return [(str(key), value[key]) for key in value]
    if isinstance(value, tuple):
        return list(zip(getattr(value, "_fields", map(str, range(len(value)))), value, strict=True))
    if isinstance(value, list):
        return [(str(place), child) for place, child in enumerate(value)]
    path = (*above, id(value))
    held = _attributes(value)
    return held if any(_holds_tensors(child, path) for _, child in held) else None


def _attributes(value: Any) -> Children:
    """Return the attributes of an object, whether it keeps them in a dictionary or in slots."""
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return list((held | dict(getattr(value, "__dict__", {}))).items())


def _slots(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    names = [names] if isinstance(names, str) else list(names)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _holds_tensors(value: Any, above: tuple[int, ...]) -> bool:
    if isinstance(value, Tensor | np.ndarray):
        return True
    return any(_holds_tensors(child, (*above, id(value))) for _, child in _children(value, above) or ())


def _rebuilt(value: Any, children: Children) -> Any:
    """Return a value of the same type made of other children."""
    kind, parts = type(value), [child for _, child in children]
    if kind in (tuple, list):
        return kind(parts)
    if isinstance(value, PackedSequence):
        parts[1] = parts[1].cpu()  # the sizes of its steps never leave the processor
    if isinstance(value, tuple):
        return value._make(parts) if hasattr(value, "_make") else kind(parts)
    if isinstance(value, list):
        made = copy.copy(value)
        made[:] = parts
        return made
    if isinstance(value, Mapping):
        return _rebuilt_mapping(value, dict(zip(value, parts, strict=True)))
    made = copy.copy(value)
    for name, child in children:
        _set(made, name, child)
        _own(child, by=made, instead_of=value)
    return made


def _rebuilt_mapping(value: Mapping[Any, Any], entries: dict[Any, Any]) -> Any:
    """Return a mapping of the same type, made without its constructor where it can be."""
    kind: Any = type(value)
    if kind is dict:
        return entries
    if not hasattr(kind, "__setitem__"):
        return kind(entries)
    made = copy.copy(value)
    for key, child in entries.items():
        made[key] = child  # type: ignore[index]
    return made


def _set(made: Any, name: str, child: Any) -> None:
    """Set an attribute as it is kept: neither a frozen class nor a class with setters of its own has a say."""
    held = getattr(made, "__dict__", {})
    if name in held:
        held[name] = child
    else:
        object.__setattr__(made, name, child)


def _own(child: Any, *, by: Any, instead_of: Any) -> None:
    """Let a part that knew its owner know the new one."""
    held = getattr(child, "__dict__", {})
    for name, known in held.items():
        if isinstance(known, weakref.ref) and known() is instead_of:
            held[name] = weakref.ref(by)


def named_tensors(value: Any) -> Iterator[tuple[str, Any]]:
    """Walk the tensors and arrays of numbers of a value with the path to each."""
    return ((name, leaf) for name, leaf in named_leaves(value) if is_tensor(leaf))


def is_tensor(leaf: Any) -> bool:
    """Tell whether a leaf is a tensor or an array of numbers."""
    return isinstance(leaf, Tensor) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiubc")
