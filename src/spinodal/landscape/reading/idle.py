"""Parameters that E does not depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from spinodal.landscape.energy import Energy


def idle_parameters(landscape: Energy) -> tuple[str, ...]:
    """Return the names of the parameters whose gradient is exactly zero at two random points, on every batch.

    The penalty takes them to its centre at once. A walk over the batches ends where all parameters were seen to matter.
    """
    generator = torch.Generator().manual_seed(0)
    names = [slot.name for slot in landscape.parameters.slots]
    matter = [False] * len(names)
    for _ in range(2):
        if all(matter):
            break
        noise = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(landscape.initial)
        theta = landscape.initial + (0.1 + 0.1 * landscape.initial.abs()) * noise
        matter = _felt(landscape, theta, matter)
    return tuple(name for name, felt in zip(names, matter, strict=True) if not felt)


def _felt(landscape: Energy, theta: Tensor, known: list[bool]) -> list[bool]:
    """Return which parameters matter: those that are known to, and those with a gradient at theta."""
    with landscape.at(theta) as model:
        parameters = dict(model.named_parameters())
        leaves = [parameters[slot.name] for slot in landscape.parameters.slots]
        for batch in landscape.batches:
            error = landscape.loss(model, batch)
            if error.requires_grad:
                slopes = torch.autograd.grad(error, leaves, allow_unused=True)
                seen = [slope is not None and bool((slope != 0).any()) for slope in slopes]
                known = [before or now for before, now in zip(known, seen, strict=True)]
            if all(known):
                break
    return known
