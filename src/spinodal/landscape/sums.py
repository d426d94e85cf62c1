"""Sums over batches: what is added up of each of them, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spinodal.landscape.batches import Batch

Layout = tuple[tuple[str, tuple[int, ...]], ...]  # names and shapes


class Piece(NamedTuple):
    """One batch of a walk over the data, with the module lent at theta."""

    model: nn.Module
    batch: Batch
    weight: float
    number: int  # among the batches


Add = Callable[..., None]  # (landscape, piece, sums, *arguments), of a module: other processes find it by its name


class Sums:
    """A number and tensors, each of which begins with zero when it is first added to.

    Parameters
    ----------
    start : mapping of names to tensors, optional
        What tensors begin with in place of zero.
    dtype : torch.dtype, optional
        In which tensors are added up. Default: their own.

    Examples
    --------
    >>> sums = Sums(dtype=torch.float64)
    >>> sums.add("slope", torch.tensor([1.0, 2.0]), 0.5)
    >>> sums.add("slope", torch.tensor([2.0, 0.0]))
    >>> sums.parts["slope"].tolist(), sums.layout
    ([2.5, 1.0], (('slope', (2,)),))
    """

    def __init__(self, start: Mapping[str, Tensor] | None = None, dtype: torch.dtype | None = None) -> None:
        self.error, self.dtype = 0.0, dtype
        self.parts = {name: value.to(dtype or value.dtype, copy=True) for name, value in (start or {}).items()}

    def room(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return the tensor of a name, to be added to in place."""
        if name not in self.parts:
            self.parts[name] = torch.zeros(tuple(shape), dtype=self.dtype or like.dtype, device=like.device)
        return self.parts[name]

    def add(self, name: str, value: Tensor, weight: float = 1.0) -> None:
        """Add a tensor, times a weight."""
        self.room(name, value.shape, value).add_(value, alpha=weight)

    def take(self, other: Sums) -> None:
        """Add other sums to these."""
        self.error += other.error
        for name, value in other.parts.items():
            self.add(name, value)

    # -- on the way between processes ---------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """Return the names and shapes of the tensors, in their order."""
        return tuple((name, tuple(value.shape)) for name, value in self.parts.items())

    @property
    def flat(self) -> Tensor:
        """Return the number and all tensors as one vector."""
        parts = list(self.parts.values())
        error = torch.tensor([self.error], dtype=torch.float64, device=parts[0].device if parts else None)
        return torch.cat([error, *(value.reshape(-1) for value in parts)])

    @classmethod
    def of(cls, flat: Tensor, layout: Layout) -> Sums:
        """Return the sums that `flat` was made of."""
        made, sizes = cls(dtype=flat.dtype), [torch.Size(shape).numel() for _, shape in layout]
        error, *parts = torch.split(flat, [1, *sizes])
        made.error = float(error)
        made.parts = {name: part.view(shape) for (name, shape), part in zip(layout, parts, strict=True)}
        return made

    def rounded(self, dtype: torch.dtype) -> Sums:
        """Return the sums in another precision."""
        made = Sums()
        made.error, made.parts = self.error, {name: value.to(dtype) for name, value in self.parts.items()}
        return made


def each_leaf(function: Callable[[Any], Any], value: Any) -> Any:
    """Return tuples, lists and dictionaries of the function of whatever else is in them.

    Examples
    --------
    >>> each_leaf(lambda leaf: leaf + 1, (1, {"a": [2, 3]}))
    (2, {'a': [3, 4]})
    """
    if type(value) is dict:
        return {key: each_leaf(function, child) for key, child in value.items()}
    if type(value) in (tuple, list):
        return type(value)(each_leaf(function, child) for child in value)
    return function(value)


def adding(sums: Sums) -> Callable[[int], Sums]:
    """Return what chooses the same sums for every batch."""
    return lambda _: sums


Choose = Callable[[int], Sums | None]
Arguments = tuple[Any, ...]
