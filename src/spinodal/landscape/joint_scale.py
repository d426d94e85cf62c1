"""Several blocks of parameters whose common scale E does not feel, as what they write is added up and then normalised."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from spinodal.definitions import CANCELS, SHARE_OF_SCALE
from spinodal.landscape.consistency import somewhere
from spinodal.landscape.energy import Energy
from spinodal.landscape.parameters import Slot

SAMPLES = 4  # that show which scales E feels: what holds for E holds for that of every sample
MORE = 8  # random points beyond the number of tensors
SCALES = (1.0, 2.0)  # of the random points; far from the origin a smooth activation is too much like ReLU
PACKED = 3  # matrices that attention keeps in one
SHRUNK = 0.5  # factor by which a block is scaled to see whether E feels it


def joint_blocks(landscape: Energy) -> tuple[tuple[str, ...], ...]:
    """Return the names of the parameter tensors of every block whose common scale E does not feel; uncounted.

    `d E / d log(scale of tensor i) = g_i . theta_i =: d_i(theta)`. A block is a set of exponents `c_i >= 0` with
    `sum_i c_i d_i = 0` at all theta: in a network whose blocks add to a stream that a normalisation ends, the embedding and
    all that is added have `c = 1`. Each tensor's column of `d` at random points is cancelled by multiples >= 0 of the others',
    if it can be (non-negative least squares), and E of the scaled block is compared. Queries, keys and values in one tensor are
    told apart: values could shrink in place of what reads them.

    Examples
    --------
    >>> import torch
    >>> class Sum(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.a, self.b, self.c = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    >>> def loss(model, x):
    ...     return (torch.nn.functional.normalize(model.a * x + model.b, dim=1) @ model.c).square().mean()
    >>> from spinodal.landscape import Landscape
    >>> joint_blocks(Landscape(Sum(), loss, torch.randn(5, 3, generator=torch.Generator().manual_seed(0))))
    (('a', 'b'),)
    """
    few, slots = landscape.of_few(SAMPLES), tuple(_pieces(landscape.parameters.slots))
    slopes, sizes = _radial(few, slots)
    felt = [index for index in range(len(slots)) if sizes[:, index].max() > 0.0]
    blocks = dict.fromkeys(block for index in felt for block in _cancelled(slopes, index, felt))
    found = [block for block in blocks if _is_unfelt(few, [slots[index] for index in block])]
    return tuple(dict.fromkeys(tuple(dict.fromkeys(slots[index].name for index in block)) for block in found))


def _pieces(slots: tuple[Slot, ...]) -> Iterator[Slot]:
    """Yield tensors, those that hold queries, keys and values below each other in three parts, each with a scale of its own."""
    packed = {_owner(slot) for slot in slots if len(slot.shape) == 2 and slot.shape[0] == PACKED * slot.shape[1]}
    for slot in slots:
        parts = PACKED if _owner(slot) in packed and slot.shape[0] % PACKED == 0 else 1
        length = (slot.stop - slot.start) // parts
        for part in range(parts):
            shape = torch.Size((slot.shape[0] // parts, *slot.shape[1:])) if parts > 1 else slot.shape
            yield Slot(slot.name, shape, slot.start + part * length, slot.start + (part + 1) * length)


def _owner(slot: Slot) -> str:
    """Return the name of a tensor without what tells weights from biases."""
    return slot.name.removesuffix("weight").removesuffix("bias")


def _radial(few: Energy, slots: tuple[Slot, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return `g_i . theta_i` and `|g_i| |theta_i|` at random points, shape (points, tensors), each point over its largest."""
    slopes, sizes = [], []
    for point in range(len(slots) + MORE):
        theta = somewhere(few, SCALES[point % len(SCALES)], point)
        gradient = few.over(theta, few.batches)[1]
        pairs = [(gradient[slot.start : slot.stop], theta[slot.start : slot.stop]) for slot in slots]
        size = np.array([float(g.norm() * t.norm()) for g, t in pairs])
        largest = max(size.max(), 1e-300)
        slopes.append(np.array([float(g @ t) for g, t in pairs]) / largest)
        sizes.append(size / largest)
    return np.array(slopes), np.array(sizes)


def _cancelled(slopes: np.ndarray, index: int, felt: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield the tensors whose columns cancel one column, with it, if they do."""
    from scipy.optimize import nnls  # slow to import

    others = [other for other in felt if other != index]
    column = slopes[:, index]
    weights, left = nnls(slopes[:, others], -column) if others else (np.zeros(0), float(np.linalg.norm(column)))
    if left <= CANCELS * np.linalg.norm(column):
        partners = [other for other, weight in zip(others, weights, strict=True) if weight > SHARE_OF_SCALE]
        if partners:
            yield tuple(sorted([index, *partners]))


def _is_unfelt(few: Energy, block: list[Slot]) -> bool:
    """Tell whether E stays when a whole block shrinks, by far more than when its tensors shrink one by one."""
    theta = somewhere(few, SCALES[-1], 0)
    before = few.uncounted_value(theta)
    together = abs(few.uncounted_value(_shrunk(theta, block)) - before)
    alone = max(abs(few.uncounted_value(_shrunk(theta, [slot])) - before) for slot in block)
    return together <= CANCELS * alone


def _shrunk(theta: Tensor, block: list[Slot]) -> Tensor:
    scaled = theta.clone()
    for slot in block:
        scaled[slot.start : slot.stop] *= SHRUNK
    return scaled
