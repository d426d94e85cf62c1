"""Data as weighted batches: one batch, or a re-iterable of batches of any sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from spinodal.errors import SpinodalError

Batch: TypeAlias = Any  # a tensor, a tuple of tensors, a dict of tensors, or None


class Batches:
    """Data of a landscape, cast once, walked many times.

    A tensor, tuple, dict or None is one batch. Any other iterable yields batches; it is walked
    anew at every evaluation, so it must give the same batches each time (no shuffling).
    Weights are sizes over the total size, a batch's size being the first axis of its first tensor.
    """

    def __init__(self, data: object, *, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.source: Iterable[Batch]
        if data is None or isinstance(data, Tensor | tuple | dict):
            self.source = [self._cast(data)]
        elif not isinstance(data, Iterable) or iter(data) is data:
            raise SpinodalError(
                got=f"data is a {type(data).__name__}, which cannot be walked twice",
                allowed="a tensor, a tuple or dict of tensors, or a re-iterable of such batches is allowed",
                do="pass list(data), or a DataLoader with shuffle=False",
            )
        elif isinstance(data, Sequence):
            self.source = [self._cast(batch) for batch in data]
        else:
            self.source = data
        sizes = [size_of(batch) for batch in self]
        self.count, self.total, self.largest = len(sizes), sum(sizes), max(sizes, default=0)
        if self.total == 0:
            raise SpinodalError(
                got="data is empty", allowed="at least one sample is needed", do="check the data set's path or filter"
            )
        self.weights = [size / self.total for size in sizes]

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
                if value.is_floating_point() and not _is_finite(value):
                    bad = int((~torch.isfinite(value)).sum())
                    raise SpinodalError(
                        got=f"data is not finite: {bad} of {value.numel()} entries of tensor {name}, batch {index}",
                        allowed="finite numbers are allowed",
                        do="clean or drop these samples",
                    )

    def split(self, pieces: int, most: int) -> Batches | None:
        """Return the same samples in smaller batches, or None where a batch is not made of samples.

        Every batch is split into `pieces` parts, more where they would hold over `most` samples and fewer where they would
        hold less than two. Part k of c has its samples k, k + c, k + 2 c, ..., so that sorted data are mixed.
        Parts are views: nothing is copied.
        """
        if not all(is_of_samples(batch) for batch in self):
            return None
        return Batches(_Parts(self, pieces, most), dtype=self.dtype, device=self.device)

    def _cast(self, batch: Batch) -> Batch:
        if isinstance(batch, Tensor):
            return batch.to(self.device, self.dtype if batch.is_floating_point() else batch.dtype)
        if isinstance(batch, dict):
            return {key: self._cast(value) for key, value in batch.items()}
        if isinstance(batch, list | tuple):
            return tuple(self._cast(value) for value in batch)
        return batch


class _Parts:
    """A re-iterable of the parts of other batches."""

    def __init__(self, whole: Batches, pieces: int, most: int) -> None:
        self.whole, self.pieces, self.most = whole, pieces, most

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.whole:
            size = size_of(batch)
            count = max(1, min(size // 2, max(self.pieces, -(-size // self.most))))
            yield from (part_of(batch, slice(first, None, count)) for first in range(count))


def _is_finite(value: Tensor) -> bool:
    """Tell whether all entries are finite. NaN passes through smallest and largest, which take no memory beside the data."""
    return not value.numel() or all(bool(torch.isfinite(end)) for end in value.aminmax())


def is_of_samples(batch: Batch) -> bool:
    """Tell whether the first axis of every tensor of a batch counts its samples."""
    sizes = {int(value.shape[0]) if value.dim() else 0 for _, value in named_tensors(batch)}
    return len(sizes) == 1 and min(sizes) > 0


def part_of(batch: Batch, samples: slice) -> Batch:
    """Return some samples of a batch, as views."""
    if isinstance(batch, Tensor):
        return batch[samples]
    if isinstance(batch, dict):
        return {key: part_of(value, samples) for key, value in batch.items()}
    return tuple(part_of(value, samples) for value in batch) if isinstance(batch, tuple) else batch


def stacked(batches: Sequence[Batch]) -> Batch:
    """Return batches of equal shapes as one, along a new first axis of every tensor."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.stack(list(batches))
    if isinstance(first, dict):
        return {key: stacked([batch[key] for batch in batches]) for key in first}
    return tuple(map(stacked, zip(*batches, strict=True))) if isinstance(first, tuple) else first


def named_tensors(batch: Batch, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Walk the tensors of a batch with their place in it."""
    if isinstance(batch, Tensor):
        yield prefix or "0", batch
    elif isinstance(batch, dict):
        for key, value in batch.items():
            yield from named_tensors(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(batch, tuple):
        for key, value in enumerate(batch):
            yield from named_tensors(value, f"{prefix}.{key}" if prefix else str(key))


def size_of(batch: Batch) -> int:
    """Return the number of samples in a batch: the first axis of its first tensor, else 1."""
    first = next((value for _, value in named_tensors(batch)), None)
    return 1 if first is None or first.dim() == 0 else int(first.shape[0])


def first_tensor(batch: Batch) -> Tensor | None:
    """Return the first tensor of a batch, by convention the inputs."""
    return next((value for _, value in named_tensors(batch)), None)
