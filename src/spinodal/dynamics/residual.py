"""What is left of the dead modes of a phase: their amplitude in the weight matrices."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from spinodal.dynamics.observing import telling_slots
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.theory.escape import escape_time


def amplitudes(landscape: Landscape, thetas: Tensor) -> Tensor:
    """Return the amplitudes of the modes, shape (k, modes): geometric means over the weight matrices of their singular values.

    Number i is the mean of the i-th largest singular values; there are as many as in the narrowest matrix.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    >>> E = Landscape(net, lambda model, x: model(x).square().sum(), torch.eye(2))
    >>> amplitudes(E, torch.tensor([[4.0, 0, 0, 1, 1, 0, 0, 0.25]])).tolist()
    [[2.0, 0.5]]
    """
    parts = [thetas[:, start:stop].reshape(len(thetas), rows, -1) for start, stop, rows in telling_slots(landscape)]
    if not parts:
        raise no_matrices()
    values = [torch.linalg.svdvals(matrices.double()) for matrices in parts]
    modes = min(value.shape[1] for value in values)
    return torch.stack([value[:, :modes].clamp_min(1e-300).log() for value in values]).mean(0).exp()


def no_matrices() -> SpinodalError:
    """Return the refusal of a model that has no modes."""
    return SpinodalError(
        got="a model without weight matrices", allowed="modes live in weight matrices", do="take a network with layers"
    )


def until_residual(landscape: Landscape, rank: int, amplitude: float) -> Callable[[Tensor], Tensor]:
    """Return what is 0 or less once the strongest mode beyond a rank has an amplitude or less: `until` of `train`."""

    def distance(thetas: Tensor) -> Tensor:
        found = amplitudes(landscape, thetas)
        if found.shape[1] <= rank:
            return torch.full((len(thetas),), -1.0)
        return (found[:, rank] / amplitude).log()

    return distance


def waiting_times(found: list[float], singular_values: list[float], *, beta: float, matrices: int) -> list[float]:
    """Return the escape times of modes of these amplitudes, by theory; infinite for those that never grow.

    Examples
    --------
    >>> [round(time) for time in waiting_times([0.5, 0.01], [0.9, 0.5], beta=0.0, matrices=3)]
    [1, 99]
    """
    pairs = zip(found, singular_values, strict=False)
    return [escape_time(max(w, 1e-300), s, beta=beta, matrices=matrices) if w > 0 else math.inf for w, s in pairs]
