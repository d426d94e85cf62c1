"""The lowest eigenpairs of a dense matrix, where all of them would cost too much."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spinodal.definitions import CLEAR_OF_ZERO
from spinodal.spectrum.eigenbasis import Eigenbasis, eigenbasis, zero_limit
from spinodal.spectrum.extremes import lanczos_extremes
from spinodal.spectrum.lanczos import lanczos
from spinodal.spectrum.preconditioner import Cholesky

WHOLE_SPECTRUM = 400  # up to this size all eigenvalues are computed; beyond, the lowest few
WANTED = 6  # of them at first, from below
CHEAP = 8  # products of a dense matrix from one look at the Ritz values to the next, which costs as much
LARGEST = 1e-4  # residual of the largest eigenpair, relative
INVERTED = 1e-11  # residual of Lanczos on the inverse, relative to its largest eigenvalue


def lowest_eigenbasis(matrix: Tensor, factor: Cholesky | None = None, *, bend: float = math.inf) -> Eigenbasis:
    """Return eigenpairs of a symmetric matrix, shape (n, n), from below to one above all zero modes: all of a small one.

    `factor` is that of the matrix, shifted; without it one is made where it is needed. For `bend` see `zero_limit`.
    """
    if len(matrix) <= WHOLE_SPECTRUM or not bool(matrix.any()):
        return eigenbasis(matrix, bend=bend)
    largest = _largest(matrix)
    factor = factor or Cholesky.of(matrix)
    found = None if factor is None else _by_inversion(factor, largest, bend)
    return found or _by_parts(matrix, largest, bend) or eigenbasis(matrix, bend=bend)


def _largest(matrix: Tensor) -> float:
    """Return the largest |eigenvalue|; its error is of the order of the square of `LARGEST`."""
    size, look = len(matrix), None
    for look in lanczos(
        lambda vector: matrix @ vector, matrix[0], budget=size, rows=size, keep=lambda values: values, every=CHEAP
    ):
        if look.residuals[np.abs(look.values).argmax()] <= LARGEST * look.largest:
            break
    return 0.0 if look is None else look.largest


def _by_inversion(factor: Cholesky, largest: float, bend: float) -> Eigenbasis | None:
    """Return the lowest eigenpairs by Lanczos on the inverse, None where there are zero modes, as it may miss copies."""
    like = factor.factor[0]
    found = lanczos_extremes(factor.inverse, like, largest=WANTED, smallest=0, tolerance=INVERTED, every=CHEAP)
    if found.status == "budget" or not bool((found.largest.values > 0).all()):
        return None
    values = 1.0 / found.largest.values - factor.shift
    clear = float(values.abs().min()) > CLEAR_OF_ZERO * zero_limit(largest, like.dtype, bend) and float(values[-1]) > 0
    return Eigenbasis(values.to(like.device), found.largest.vectors.T, largest, like.dtype, bend) if clear else None


def _by_parts(matrix: Tensor, largest: float, bend: float) -> Eigenbasis | None:
    """Return the lowest eigenpairs by LAPACK, more of them until one lies above the zero modes; None if that is most."""
    from scipy.linalg import eigh  # slow to import, and needed by large matrices with zero modes only

    array, wanted = matrix.cpu().numpy(), WANTED
    while wanted < len(array) // 4:
        try:
            values, vectors = eigh(array, subset_by_index=[0, wanted - 1], check_finite=False)
        except np.linalg.LinAlgError:  # LAPACK's subset driver gives up on some degenerate spectra
            return None
        pairs = torch.from_numpy(values).to(matrix), torch.from_numpy(vectors).to(matrix)
        found = Eigenbasis(*pairs, largest, matrix.dtype, bend)
        if values[-1] > found.zero:
            return found
        wanted *= 4
    return None
