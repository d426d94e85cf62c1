"""Dead modes made alive: the small singular values of every weight matrix, raised above the saddle beneath which they die."""

from __future__ import annotations

import torch
from torch import Tensor

from spinodal.dynamics.observing import telling_slots
from spinodal.landscape import Landscape


def raised(landscape: Landscape, thetas: Tensor, amplitude: float) -> Tensor:
    """Return thetas, shape (k, n), whose weight matrices have no singular value below an amplitude; larger ones stay.

    The singular vectors stay, too: what training left of the dead modes says where they grow. Other parameters are untouched.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    >>> E = Landscape(net, lambda model, x: model(x).square().sum(), torch.eye(2))
    >>> raised(E, torch.tensor([[4.0, 0, 0, 0.1, 1, 0, 0, 0.25]]), 0.5).round(decimals=6).tolist()
    [[4.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.5]]
    """
    moved = thetas.clone()
    for start, stop, rows in telling_slots(landscape):
        left, values, right = torch.linalg.svd(thetas[:, start:stop].reshape(len(thetas), rows, -1), full_matrices=False)
        moved[:, start:stop] = ((left * values.clamp_min(amplitude)[:, None, :]) @ right).reshape(len(thetas), -1)
    return moved
