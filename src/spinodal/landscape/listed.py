"""Lists of tensors, which are batches, or inputs and labels of one batch as a `DataLoader` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spinodal.errors import SpinodalError
from spinodal.landscape.batches import Batch, Batches

if TYPE_CHECKING:
    from spinodal.landscape.energy import Energy


def settled_list(landscape: Energy, data: Any) -> Any:
    """Return data, in a list of its own where it is one batch: what the loss can be called with decides.

    Raises
    ------
    SpinodalError
        Where the loss can be called with the whole list and with its tensors.
    """
    if not _is_doubtful(data):
        return data
    whole, parts = (Batches(given, dtype=landscape.dtype, device=landscape.device) for given in ([data], data))
    if not all(_runs(landscape, batch) for batch in whole):
        return data
    if all(_runs(landscape, batch) for batch in parts):
        raise SpinodalError(
            got=f"data is a list of {len(data)} tensors, and the loss can be called with the list and with each of them",
            allowed="one batch, or a list of batches is allowed",
            do="pass a tuple (inputs, labels) as one batch, or batches that are no bare tensors",
        )
    return [data]


def _is_doubtful(data: object) -> bool:
    """Tell whether data are a list of bare tensors that begin with one axis."""
    if type(data) is not list or len(data) < 2 or not all(isinstance(part, Tensor | np.ndarray) for part in data):
        return False
    return len({part.shape[0] if part.ndim else None for part in data} - {None}) == 1 and all(part.ndim for part in data)


def _runs(landscape: Energy, batch: Batch) -> bool:
    try:
        with landscape.at(landscape.initial) as model:
            error = landscape.loss(model, batch)
    except Exception:  # noqa: BLE001 - the user's loss, with what the user may not call it with
        return False
    return isinstance(error, Tensor) and error.dim() == 0 and bool(torch.isfinite(error.detach()))
