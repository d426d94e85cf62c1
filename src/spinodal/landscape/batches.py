"""Data as weighted batches: one batch, or a re-iterable of batches of any sizes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from spinodal.errors import SpinodalError, blaming
from spinodal.landscape.structure import flatten, mapped, named_tensors

Batch: TypeAlias = Any  # tensors in any nested structure, or None
Samples: TypeAlias = Callable[[Batch], int]

ALLOWED = (
    "tensors and arrays are allowed, alone or in tuples, lists, mappings, named tuples, data classes and objects that hold them"
)
ALIGNED = 64  # bytes, of which the places of tensors that PyTorch makes are multiples
FIRST = "the first axis of the tensors"
SIMPLE = (str, int, float, bool, type(None))  # leaves that can be told from one another
TELL = "give the number of samples of a batch: samples=lambda batch: ..."


class Batches:
    """Data of a landscape, cast once, walked many times.

    A tensor, array, tuple, mapping, data class, other object that holds tensors, or None is one batch. Any other iterable
    yields batches; it is walked anew at every evaluation, so it must give the same batches each time (no shuffling).
    Floating entries are cast to `dtype` wherever they lie; the types of all containers are kept.

    Weights are sizes over the total size. The size of a batch is what `samples` says of it; by default the first axis of its
    tensors, numbers (tensors without axes) aside. Where they begin with different axes, see `resize`.

    Parameters
    ----------
    data : one batch, or a re-iterable of batches
    dtype : torch.dtype
    device : torch.device
    samples : callable batch -> int, optional

    Attributes
    ----------
    sizes, weights : list
        One for each batch; weights sum to one.
    sized_by : str
        What sizes were read from.
    made_of : (Batches, str or int) or None
        Other data that these were made of, and how, where a process that has those can make these as well.
    """

    def __init__(self, data: object, *, dtype: torch.dtype, device: torch.device, samples: Samples | None = None) -> None:
        self.dtype, self.device, self.samples = dtype, device, samples
        self.source: Iterable[Batch] = self._source(data)
        self.sizes: list[int] = []
        self.weights: list[float] = []
        self.is_clear, shapes = True, set()
        for index, batch in enumerate(self):
            if batch is not None and samples is None:
                _refuse_unread(batch, index)
            self.sizes.append(self._size(batch))
            shapes.add(tuple(tuple(value.shape) for _, value in _flat(batch)))
            self.is_clear = self.is_clear and _is_clear(batch)
        self.is_clear = self.is_clear or samples is not None or len(shapes) < 2
        self.sized_by = "`samples`" if samples else FIRST
        self.made_of: tuple[Batches, str | int] | None = None
        self._weigh()

    def resize(self, sizes: Sequence[int], by: str) -> None:
        """Weigh batches by other sizes, read from what `by` says."""
        self.sizes, self.sized_by, self.is_clear = list(sizes), by, True
        self._weigh()

    def __iter__(self) -> Iterator[Batch]:
        """Walk the batches, cast to the landscape's dtype and device."""
        if isinstance(self.source, list):
            return iter(self.source)
        return (self._cast(batch) for batch in self.source)

    def weighted(self) -> Iterator[tuple[float, Batch]]:
        """Walk `(weight, batch)`; the weights sum to one."""
        return zip(self.weights, self, strict=True)

    def are_the_same_again(self) -> bool:
        """Tell whether two walks give the same batches; what was cast once is walked but once."""
        if isinstance(self.source, list):
            return True
        pairs = zip(self, self, strict=True)
        tensors = (zip(named_tensors(a), named_tensors(b), strict=True) for a, b in pairs)
        return all(torch.equal(x, y) for pair in tensors for (_, x), (_, y) in pair)

    def check_finite(self) -> None:
        """Refuse data with NaN or infinite entries, naming the tensor."""
        for index, batch in enumerate(self):
            for name, value in named_tensors(batch):
                numbers = _numbers(value)
                if numbers.is_floating_point() and not _is_finite(numbers):
                    bad = int((~torch.isfinite(numbers)).sum())
                    raise SpinodalError(
                        got=f"data is not finite: {bad} of {numbers.numel()} entries of tensor {name}, batch {index}",
                        allowed="finite numbers are allowed",
                        do="clean or drop these samples",
                    )

    def split(self, pieces: int, most: int, *, least: int = 2) -> Batches | None:
        """Return the same samples in smaller batches, or None where a batch is not made of samples.

        Every batch is split into `pieces` parts, more where they would hold over `most` samples and fewer where they would
        hold less than `least`. Part k of c has its samples k, k + c, k + 2 c, ..., so that sorted data are mixed.
        Parts are views: nothing is copied.
        """
        if not all(is_of_samples(batch) for batch in self):
            return None
        source = _Parts(self, pieces, most, least)
        parts = Batches(source, dtype=self.dtype, device=self.device)
        if self.sized_by != FIRST:
            parts._share(self, source)
        return parts

    def every(self, pieces: int, *, least: int = 2) -> Batches:
        """Return every `pieces`-th sample of each batch, fewer apart where less than `least` would be left; as views."""
        steps = [max(1, min(size_of(batch) // least, pieces)) for batch in self]
        fewer = [part_of(batch, slice(None, None, step)) for batch, step in zip(self, steps, strict=True)]
        parts = Batches(fewer, dtype=self.dtype, device=self.device)
        if self.sized_by != FIRST:
            parts.weights = list(self.weights)
        return parts

    def settled(self) -> Batches:
        """Return the same batches, those that are kept each in memory of its own: products may round by where numbers lie."""
        kept = self.source.whole.source if isinstance(self.source, _Parts) else self.source
        if not isinstance(kept, list):
            return self
        twin = copy.copy(self)
        twin.source = [mapped(in_own_memory, batch) for batch in self]
        return twin

    def sized(self, samples: Samples) -> Batches:
        """Return the same batches, weighed by what `samples` says of each."""
        return Batches(self.source, dtype=self.dtype, device=self.device, samples=samples)

    def way_from(self, first: Batches) -> tuple[str | int, ...] | None:
        """Return the steps in which these data were made of others, None where they were not.

        Examples
        --------
        >>> whole, part = (Batches(torch.ones(4, 1), dtype=torch.float64, device=torch.device("cpu")) for _ in range(2))
        >>> part.made_of = (whole, "half")
        >>> part.way_from(whole), whole.way_from(whole), whole.way_from(part)
        (('half',), (), None)
        """
        if self is first:
            return ()
        before = None if self.made_of is None else self.made_of[0].way_from(first)
        return None if before is None or self.made_of is None else (*before, self.made_of[1])

    def _share(self, whole: Batches, parts: _Parts) -> None:
        """Give the parts of a batch the weight that it has, whatever it was weighed by."""
        counts = [parts.count(batch) for batch in whole]
        sizes = iter(self.sizes)
        shares = [[next(sizes) for _ in range(count)] for count in counts]
        pairs = zip(whole.weights, shares, strict=True)
        self.weights = [weight * size / sum(share) for weight, share in pairs for size in share]

    def _source(self, data: object) -> Iterable[Batch]:
        if data is None or _is_one_batch(data):
            return [self._cast(data)]
        if _is_of_single_samples(data):
            raise SpinodalError(
                got=f"data is a {type(data).__name__}, a data set of single samples",
                allowed="batches are allowed",
                do="pass DataLoader(data, batch_size=len(data)), or smaller batches without shuffle=True",
            )
        if not isinstance(data, Iterable):
            raise SpinodalError(got=f"data is a {type(data).__name__} without tensors", allowed=ALLOWED, do="pass its tensors")
        if iter(data) is data:
            raise SpinodalError(
                got=f"data is a {type(data).__name__}, which cannot be walked twice",
                allowed="one batch, or a re-iterable of batches is allowed",
                do="keep its batches in a list, or pass a DataLoader with shuffle=False",
            )
        return [self._cast(batch) for batch in data] if isinstance(data, Sequence) else data

    def _weigh(self) -> None:
        self.count, self.total, self.largest = len(self.sizes), sum(self.sizes), max(self.sizes, default=0)
        if self.total == 0 or (self.samples is None and 0 in self.sizes):
            which = f"batch {self.sizes.index(0)}" if self.total else "data"
            raise SpinodalError(
                got=f"{which} is empty", allowed="at least one sample is needed", do="check the data set's path or filter"
            )
        self.weights = [size / self.total for size in self.sizes]

    def _size(self, batch: Batch) -> int:
        if self.samples is None:
            return size_of(batch)
        with blaming("samples(batch)", allowed="a whole number >= 0 is allowed", do=TELL):
            size = self.samples(batch)
            if int(size) != size or size < 0:
                raise ValueError(size)
        return int(size)

    def _cast(self, batch: Batch) -> Batch:
        return mapped(self._cast_leaf, batch)

    def _cast_leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.to(self.device, self.dtype if leaf.is_floating_point() else leaf.dtype)
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and self.dtype in (torch.float64, torch.float32):
            return leaf.astype(str(self.dtype).removeprefix("torch."), copy=False)
        return leaf


class _Parts:
    """A re-iterable of the parts of other batches."""

    def __init__(self, whole: Batches, pieces: int, most: int, least: int) -> None:
        self.whole, self.pieces, self.most, self.least = whole, pieces, most, least

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.whole:
            count = self.count(batch)
            yield from (part_of(batch, slice(first, None, count)) for first in range(count))

    def count(self, batch: Batch) -> int:
        """Return how many parts a batch is split into."""
        size = size_of(batch)
        return max(1, min(size // self.least, max(self.pieces, -(-size // self.most))))


def _is_of_single_samples(data: object) -> bool:
    """Tell whether data give one sample at a place: data sets, and what has their two methods and no walk."""
    if isinstance(data, Dataset):
        return not isinstance(data, IterableDataset)
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Iterable)


def _is_one_batch(data: object) -> bool:
    """Tell whether data are one batch: no list, loader or other iterable of batches."""
    if isinstance(data, Tensor | np.ndarray | tuple | Mapping) or is_dataclass(data) or hasattr(type(data), "keys"):
        return True
    return not isinstance(data, Iterable | Dataset) and any(True for _ in named_tensors(data))


def _refuse_unread(batch: Batch, index: int) -> None:
    """Refuse a batch in which there is no tensor: nobody knows how many samples it has."""
    if any(True for _ in named_tensors(batch)):
        return
    kinds = sorted({type(leaf).__name__ for leaf in flatten(batch)[0]})
    do = f"make tensors of it (torch.as_tensor), or {TELL}"
    inside = f" of {', '.join(kinds)}" if kinds and kinds != [type(batch).__name__] else ""
    raise SpinodalError(got=f"batch {index} is a {type(batch).__name__}{inside}, without a tensor", allowed=ALLOWED, do=do)


def _numbers(value: Any) -> Tensor:
    """Return the numbers of a tensor or array as a plain tensor."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    numbers: Tensor = value
    if numbers.is_nested:
        return torch.cat([part.reshape(-1) for part in numbers.unbind()])
    if numbers.layout == torch.sparse_coo:
        return numbers.coalesce().values()
    return numbers if numbers.layout == torch.strided else numbers.to_dense()


def _is_finite(value: Tensor) -> bool:
    """Tell whether all entries are finite. NaN passes through smallest and largest, which take no memory beside the data."""
    return not value.numel() or all(bool(torch.isfinite(end)) for end in value.aminmax())


def named_axes(batch: Batch, axis: int) -> dict[str, int]:
    """Return the length of an axis of every tensor of a batch that has it."""
    return {name: int(value.shape[axis]) for name, value in _flat(batch) if value.ndim > axis}


def _flat(batch: Batch) -> Iterator[tuple[str, Any]]:
    """Walk the tensors of a batch, nested ones as their count."""
    for name, value in named_tensors(batch):
        is_ragged = isinstance(value, Tensor) and value.is_nested
        yield name, torch.empty(value.size(0), 0) if is_ragged else value


def _is_clear(batch: Batch) -> bool:
    """Tell whether axes leave no doubt about the number of samples: the first ones agree, and the second ones do not."""
    first, second = named_axes(batch, 0), named_axes(batch, 1)
    return len(set(first.values())) < 2 and (len(second) < len(first) or len(set(second.values())) != 1)


def is_of_samples(batch: Batch) -> bool:
    """Tell whether the first axis of every tensor of a batch counts its samples."""
    leaves = [value for _, value in named_tensors(batch)]
    if not all(isinstance(value, Tensor) and value.layout == torch.strided and not value.is_nested for value in leaves):
        return False
    sizes = {int(value.shape[0]) if value.dim() else 0 for value in leaves}
    return len(sizes) == 1 and min(sizes) > 0


def in_own_memory(leaf: Any) -> Any:
    """Return a tensor whose numbers lie in their order from a place that libraries like; whatever else as it is."""
    if not isinstance(leaf, Tensor) or leaf.layout != torch.strided or leaf.is_nested:
        return leaf
    return (
        leaf if leaf.is_contiguous() and leaf.data_ptr() % ALIGNED == 0 else leaf.clone(memory_format=torch.contiguous_format)
    )


def part_of(batch: Batch, samples: slice) -> Batch:
    """Return some samples of a batch, as views."""
    return mapped(lambda leaf: leaf[samples] if isinstance(leaf, Tensor) else leaf, batch)


def joined(batches: Sequence[Batch]) -> Batch | None:
    """Return batches of samples as one, a copy; None where they differ in more than samples.

    Examples
    --------
    >>> joined([{"x": torch.zeros(1, 2), "name": "a"}, {"x": torch.ones(1, 2), "name": "a"}])
    {'x': tensor([[0., 0.],
            [1., 1.]]), 'name': 'a'}
    >>> joined([torch.zeros(1, 2), torch.zeros(1, 3)]) is None
    True
    """
    flat = [flatten(batch) for batch in batches]
    structure = flat[0][1]
    columns = list(zip(*(leaves for leaves, _ in flat), strict=False))
    if any(other.places != structure.places for _, other in flat) or not all(_are_alike(column) for column in columns):
        return None
    return structure.filled([torch.cat(column) if isinstance(column[0], Tensor) else column[0] for column in columns])


def _are_alike(leaves: Sequence[Any]) -> bool:
    """Tell whether leaves at one place differ in their samples alone."""
    first = leaves[0]
    if isinstance(first, Tensor):
        known = (first.shape[1:], first.dtype)
        return all(isinstance(leaf, Tensor) and (leaf.shape[1:], leaf.dtype) == known for leaf in leaves)
    return all(leaf is first or (isinstance(leaf, SIMPLE) and leaf == first) for leaf in leaves)


def size_of(batch: Batch) -> int:
    """Return the number of samples in a batch: the first axis of the first of its tensors that has one, else 1."""
    return next(iter(named_axes(batch, 0).values()), 1)
