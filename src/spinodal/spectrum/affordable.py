"""Where a dense Hessian and all its eigenpairs are affordable."""

from __future__ import annotations

import torch

from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Factorised

SMALL = 500  # parameters up to which a dense Hessian is always kept
FACTORISED = 800  # parameters up to which all eigenpairs are computed at every step of a branch


def affords_dense(landscape: Landscape) -> bool:
    """Tell whether a dense Hessian and all its eigenpairs are affordable at every step of a branch.

    In float64 up to 800 parameters where the Hessian factorises over samples, 500 otherwise.
    """
    if landscape.dtype != torch.float64 or landscape.size > FACTORISED:
        return False
    return landscape.size <= SMALL or isinstance(landscape.hessian_method, Factorised)
