"""The number of samples of a batch whose tensors do not begin with one common axis, from the call inside the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape.batches import TELL, Batch, named_axes
from spinodal.landscape.reading.record import Record, record
from spinodal.landscape.structure import mapped, named_tensors

if TYPE_CHECKING:
    from spinodal.landscape.energy import Energy

FEW = 16  # samples on which the mean is verified
AGREE = {torch.float64: 1e-9, torch.float32: 1e-4}


def settle_sizes(landscape: Energy) -> None:
    """Weigh the batches of a landscape by samples where the first axes of their tensors leave a doubt.

    Where all tensors begin with the same axis, that axis counts the samples if E is the mean over it, as is verified; if it
    is the mean over the second axis instead, as of sequences with time first, that one does; if it is neither and the loss
    compares single outputs, as of sequences one by one, each is one sample. Where the first axes differ, the number of samples
    is the length of what the loss compares, or of the outputs of the model.

    Raises
    ------
    SpinodalError
        Where nothing tells the samples.
    """
    batches = landscape.batches
    if batches.is_clear:
        return
    if all(len(set(named_axes(batch, 0).values())) < 2 for batch in batches):
        if _is_second(landscape):
            batches.resize([next(iter(named_axes(batch, 1).values())) for batch in batches], "the second axis of the tensors")
        elif len(set(batches.sizes)) > 1 and not _is_mean(landscape, next(iter(batches)), 0):
            _settle_alone(landscape)
        return
    found = [_rows(record(landscape, landscape.initial, batch), batch, index) for index, batch in enumerate(batches)]
    batches.resize([size for size, _ in found], found[0][1])


def _settle_alone(landscape: Energy) -> None:
    """Weigh batches by what is compared in the loss where their common axis does not show there: single sequences, sets."""
    batches = landscape.batches
    seen = [record(landscape, landscape.initial, batch) for batch in batches]
    compared = [{found.rows for found in one.comparisons} for one in seen]
    shown = [rows | {len(value) for _, value in one.outputs} for rows, one in zip(compared, seen, strict=True)]
    if all(size in rows for size, rows in zip(batches.sizes, shown, strict=True)):
        return
    if all(len(rows) == 1 for rows in compared):
        batches.resize([next(iter(rows)) for rows in compared], f"the first axis of what {seen[0].comparisons[0].by} is given")
    elif all(any(value.ndim == 0 for _, value in named_tensors(batch)) for batch in batches):
        batches.resize([1] * batches.count, "the numbers among the tensors, one to a sample")
    elif any(shown):
        raise _unknown(named_axes(next(iter(batches)), 0), 0)


def _is_second(landscape: Energy) -> bool:
    """Tell whether E is the mean over the second axis of the tensors, and not over the first."""
    batch = next(iter(landscape.batches))
    return not _is_mean(landscape, batch, 0) and _is_mean(landscape, batch, 1)


def _is_mean(landscape: Energy, batch: Batch, axis: int) -> bool:
    """Tell whether the error of some samples along an axis is the mean of those of its parts, away from where theta began."""
    few = min([FEW, *named_axes(batch, axis).values()])
    if len(set(named_axes(batch, axis).values())) != 1 or few < 2:
        return False
    cut = max(1, few // 3)
    noise = torch.randn(landscape.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta = landscape.initial + 0.1 * noise.to(landscape.initial)
    try:
        whole, first, second = (
            float(_error(landscape, theta, _along(batch, axis, part))) for part in (slice(few), slice(cut), slice(cut, few))
        )
    except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
        return False
    mean = (cut * first + (few - cut) * second) / few
    return first != second and abs(whole - mean) <= AGREE.get(landscape.dtype, 1e-2) * (abs(whole) + abs(mean))


def _error(landscape: Energy, theta: Tensor, batch: Batch) -> Tensor:
    with landscape.at(theta) as model:
        return landscape.loss(model, batch).detach()


def _along(batch: Batch, axis: int, part: slice) -> Batch:
    where = (slice(None),) * axis + (part,)
    return mapped(lambda leaf: leaf[where] if isinstance(leaf, Tensor) and leaf.dim() > axis else leaf, batch)


def _rows(seen: Record, batch: Batch, index: int) -> tuple[int, str]:
    """Return the number of samples of a batch, and what it was read from."""
    axes = set(named_axes(batch, 0).values())
    compared = {found.rows: f"the first axis of what {found.by} is given" for found in seen.comparisons}
    given = {len(value): "the first axis of the outputs of the model" for _, value in seen.outputs}
    common, returned = ([size for size in known if size in axes] for known in (compared, given))
    if len(common) == 1:
        return common[0], f"{compared[common[0]]} in the loss"
    if len(compared) == 1:
        (size,) = compared
        if not any(rows and size % rows == 0 for rows in given):  # a choice among the outputs, such as nodes under a mask
            return size, f"{compared[size]} in the loss"
    if len(returned) == 1 and not any(size != returned[0] and size * returned[0] in compared for size in axes):
        return returned[0], f"{given[returned[0]]} in the loss"
    raise _unknown(named_axes(batch, 0), index)


def _unknown(axes: dict[str, int], index: int) -> SpinodalError:
    listed = ", ".join(f"{name} of {size}" for name, size in axes.items())
    return SpinodalError(
        got=f"nothing tells how many samples batch {index} has, and batches differ: its tensors begin with axes {listed}",
        allowed="tensors that begin with one axis, or a loss that compares the outputs of model(...) row by row, are allowed",
        do=TELL,
    )
