"""The margin: the smallest eigenvalue of Hess L outside its zero modes, and the mode that has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

ZERO = 1e-8  # |eigenvalue| below this fraction of the largest is a zero mode
WHOLE_SPECTRUM = 400  # up to this size all eigenvalues are computed; beyond, the lowest few
LANCZOS_STEPS = 24


@dataclass(frozen=True)
class Margin:
    """The lowest curvature of L at a point.

    Attributes
    ----------
    value : float
        Smallest eigenvalue of Hess L outside the zero modes; negative at a saddle. Matrix-free it is
        a Ritz value, hence never below the true one by more than rounding.
    mode : Tensor, shape (n,)
        Its unit eigenvector.
    zero_modes : int or None
        Number of eigenvalues below 1e-8 of the largest in magnitude; None where not counted.
    residual : float
        `||Hess L mode - value mode||`.
    """

    value: float
    mode: Tensor
    zero_modes: int | None
    residual: float
    largest: float


def dense_margin(matrix: Tensor) -> Margin:
    """Return the margin of Hess L, shape (n, n), from its lowest eigenpairs."""
    array = matrix.cpu().numpy()
    values, vectors, largest = _lowest(array) if len(array) > WHOLE_SPECTRUM else _all(array)
    alive = np.flatnonzero(np.abs(values) >= ZERO * largest)
    first = alive[0] if len(alive) else 0
    mode = torch.from_numpy(np.ascontiguousarray(vectors[:, first])).to(matrix)
    value = float(values[first]) if len(alive) else 0.0
    residual = float((matrix @ mode - value * mode).norm())
    zero = int(np.sum(np.abs(values) < ZERO * largest))
    return Margin(value, mode, zero, residual, largest)


def _all(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return all eigenvalues, rising, their vectors, and the largest |eigenvalue|."""
    values, vectors = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(array)))
    return values, vectors, float(np.abs(values).max())


def _lowest(array: np.ndarray, wanted: int = 6) -> tuple[np.ndarray, np.ndarray, float]:
    """Return at least one eigenpair beyond the zero modes, from below, and the largest |eigenvalue| to 1 %."""
    start = np.linspace(1.0, 2.0, len(array))
    largest = abs(float(eigsh(array, k=1, which="LM", v0=start, tol=1e-2, return_eigenvectors=False)[0]))
    found = _by_inversion(array, largest)
    if found is not None:
        return *found, largest
    while wanted < len(array) // 4:
        try:
            values, vectors = eigh(array, subset_by_index=[0, wanted - 1], check_finite=False)
        except np.linalg.LinAlgError:  # LAPACK's subset driver gives up on some degenerate spectra
            break
        if (np.abs(values) >= ZERO * largest).any():
            return values, vectors, largest
        wanted *= 4
    return _all(array)


def _by_inversion(array: np.ndarray, largest: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the lowest eigenpair of a positive definite matrix by Lanczos on its inverse, else None."""
    factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(array))
    if int(failed):
        return None

    def inverse(vector: np.ndarray) -> np.ndarray:
        right = torch.from_numpy(np.ascontiguousarray(vector)).reshape(-1, 1)
        return torch.cholesky_solve(right, factor)[:, 0].numpy()

    operator = LinearOperator(array.shape, matvec=inverse, dtype=array.dtype)
    start = np.random.default_rng(0).standard_normal(len(array))
    try:
        values, vectors = eigsh(operator, k=1, which="LM", v0=start, tol=1e-8, ncv=12)
    except ArpackNoConvergence:
        return None
    lowest = 1.0 / values
    return None if lowest[0] < 10 * ZERO * largest else (lowest, vectors)


def lanczos_margin(product: Callable[[Tensor], Tensor], like: Tensor, *, steps: int = LANCZOS_STEPS) -> Margin:
    """Return the lowest Ritz value of Hess L after at most `steps` products, with its residual.

    Lanczos with full reorthogonalisation, twice (Parlett); the start vector is fixed, so the result
    is reproducible. It stops early once the lowest Ritz pair is accurate to 1 % of its value.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(len(like), generator=generator, dtype=torch.float64).to(like)
    basis = [vector / vector.norm()]
    alphas: list[float] = []
    betas: list[float] = []
    values, vectors, residual = np.zeros(1), np.ones((1, 1)), float("inf")
    for _ in range(min(steps, len(like))):
        image = product(basis[-1])
        alphas.append(float(image @ basis[-1]))
        span = torch.stack(basis)
        for _ in range(2):
            image = image - span.T @ (span @ image)
        betas.append(float(image.norm()))
        tridiagonal = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        residual = abs(betas[-1] * vectors[-1, 0])
        if residual <= 1e-2 * abs(values[0]) or betas[-1] <= 1e-12 * abs(values).max():
            break
        basis.append(image / betas[-1])
    weights = torch.from_numpy(vectors[:, 0].copy()).to(like)
    mode = torch.stack(basis[: len(weights)]).T @ weights
    return Margin(float(values[0]), mode / mode.norm(), None, float(residual), float(np.abs(values).max()))
