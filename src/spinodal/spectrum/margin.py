"""The margin: the smallest eigenvalue of Hess L outside its zero modes, and the mode that has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from spinodal.spectrum.krylov import Krylov, random_vectors
from spinodal.spectrum.preconditioner import Cholesky

ZERO = 1e-8  # |eigenvalue| below this fraction of the largest is a zero mode
WHOLE_SPECTRUM = 400  # up to this size all eigenvalues are computed; beyond, the lowest few
BESIDE = 6  # eigenvectors from the margin's own on that are kept for neighbours
ALIKE = 1e-6  # relative difference up to which eigenvalues are copies of one
LANCZOS_STEPS = 24
DECIDING = 96  # products up to which the sign of a margin is looked for
LEAST_STEPS = 12


@dataclass(frozen=True)
class Margin:
    """The lowest curvature of L at a point.

    An eigenvalue is a zero mode where its magnitude is at most `ZERO` times `largest`, or within ten
    roundings of it (float32).

    Attributes
    ----------
    value : float
        Smallest eigenvalue of Hess L outside the zero modes, negative at a saddle; 0 where there is
        nothing but zero modes. Matrix-free it is an estimate: see `lanczos_margin`.
    mode : Tensor, shape (n,)
        Its unit eigenvector.
    zero_modes : int or None
        Number of zero modes; None matrix-free, where they are left out but cannot be counted.
    residual : float
        `||Hess L mode - value mode||`: some eigenvalue lies within this distance of `value`.
    largest : float
        Largest |eigenvalue|, to 1 %; matrix-free a lower bound of it.
    """

    value: float
    mode: Tensor
    zero_modes: int | None
    residual: float
    largest: float

    @property
    def is_undecided(self) -> bool:
        """Tell whether the sign is within its error."""
        return self.value != 0.0 and abs(self.value) <= self.residual


def dense_margin(matrix: Tensor) -> Margin:
    """Return the margin of Hess L, shape (n, n), from its lowest eigenpairs.

    Examples
    --------
    >>> margin = dense_margin(torch.diag(torch.tensor([4.0, 0.0, 0.5], dtype=torch.float64)))
    >>> margin.value, margin.zero_modes
    (0.5, 1)
    """
    return dense_lowest(matrix)[0]


def dense_lowest(matrix: Tensor, factor: Cholesky | None = None) -> tuple[Margin, Tensor]:
    """Return the margin of Hess L, shape (n, n), and its lowest eigenvectors, shape (k, n), zero modes among them.

    `factor` is that of the matrix, shifted; without it one is made where it is needed.
    """
    array = matrix.cpu().numpy()
    whole = len(array) <= WHOLE_SPECTRUM or not array.any()  # ARPACK cannot start on a matrix of zeros
    values, vectors, largest = _all(array) if whole else _lowest(array, factor or Cholesky.of(matrix))
    alive = np.abs(values) > zero_fraction(matrix.dtype) * largest
    first = int(np.argmax(alive))  # 0 where nothing is alive
    value = float(values[first]) if alive[first] else 0.0
    mode = torch.from_numpy(np.ascontiguousarray(vectors[:, first])).to(matrix)
    residual = float((matrix @ mode - value * mode).norm())
    low = torch.from_numpy(np.ascontiguousarray(vectors[:, _distinct(values, first)].T)).to(matrix)
    return Margin(value, mode, int(np.sum(~alive)), residual, largest), low


def _distinct(values: np.ndarray, first: int) -> np.ndarray:
    """Return the places of the lowest eigenvalues from one on, with all before it, of equal ones two: others may cross them."""
    places = np.arange(first, len(values))
    third = np.zeros(len(places), dtype=bool)
    third[2:] = values[places[2:]] - values[places[:-2]] <= ALIKE * np.abs(values[places[2:]])
    return np.append(np.arange(first), places[~third][:BESIDE])


def zero_fraction(dtype: torch.dtype) -> float:
    """Return the fraction of the largest eigenvalue up to which one is a zero mode."""
    return max(ZERO, 10 * torch.finfo(dtype).eps)


def _all(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return all eigenvalues, rising, their vectors, and the largest |eigenvalue|."""
    values, vectors = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(array)))
    return values, vectors, float(np.abs(values).max())


def _lowest(array: np.ndarray, factor: Cholesky | None, wanted: int = BESIDE) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the eigenpairs from below to one above all zero modes, and the largest |eigenvalue| to 1 %."""
    start = np.linspace(1.0, 2.0, len(array))
    largest = abs(float(eigsh(array, k=1, which="LM", v0=start, tol=1e-2, return_eigenvectors=False)[0]))
    zero = zero_fraction(torch.from_numpy(array).dtype) * largest
    found = None if factor is None else _by_inversion(factor, zero)
    if found is not None:
        return *found, largest
    while wanted < len(array) // 4:
        try:
            values, vectors = eigh(array, subset_by_index=[0, wanted - 1], check_finite=False)
        except np.linalg.LinAlgError:  # LAPACK's subset driver gives up on some degenerate spectra
            break
        if values[-1] > zero:
            return values, vectors, largest
        wanted *= 4
    return _all(array)


def _by_inversion(factor: Cholesky, zero: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the lowest eigenpairs by Lanczos on the inverse, None where there are zero modes, as it may miss copies."""
    matrix = factor.factor

    def inverse(vector: np.ndarray) -> np.ndarray:
        right = torch.from_numpy(np.ascontiguousarray(vector)).reshape(-1).to(matrix)
        found: np.ndarray = factor.inverse(right).cpu().numpy()
        return found

    operator = LinearOperator(tuple(matrix.shape), matvec=inverse, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(len(matrix))
    try:
        values, vectors = eigsh(operator, k=BESIDE, which="LM", v0=start, tol=1e-10)
    except ArpackNoConvergence:
        return None
    order = np.argsort(-values)
    lowest, vectors = 1.0 / values[order] - factor.shift, vectors[:, order]
    clear = float(np.abs(lowest).min()) > 10 * zero and float(lowest[-1]) > 0
    return (lowest, vectors) if clear else None


def lanczos_margin(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    *,
    steps: int = LANCZOS_STEPS,
    precision: torch.dtype | None = None,
    noise: float = 0.0,
    blur: float = 0.0,
) -> Margin:
    """Return the lowest Ritz value of Hess L outside the zero modes, after `steps` products, or more until its sign is known.

    Lanczos with full reorthogonalisation, twice (Parlett). The start vector is random but fixed, so
    the result is reproducible. It stops early where nothing is left to find: once a negative value is
    accurate to 1 %, which proves a saddle; once the Krylov space is exhausted; or, after `LEAST_STEPS`
    products, once the pair is accurate to 1 % of its value and to 1e-4 of the spectrum's width.

    Parameters
    ----------
    product : callable ``v (n,) -> Hess L v (n,)``
    like : Tensor, shape (n,)
        Gives n, the dtype and the device.
    steps : int
        Most products, but for those that the sign takes, up to `DECIDING`. Default `LANCZOS_STEPS`.
    precision : torch.dtype, optional
        Of the products; it sets what counts as zero. Default: that of `like`.
    noise : float
        Eigenvalues up to this magnitude are zero modes, too. Where the gradient of L is `g` and not 0,
        the zero mode of a symmetry has a curvature of about `||g|| / ||theta||`. Default 0.
    blur : float
        The same at a loosely minimised point, where it would hide saddles: a part of the error, instead. Default 0.

    Returns
    -------
    Margin
        `value` is an upper bound of the smallest eigenvalue, up to rounding, and within `residual` of
        some eigenvalue; where a zero mode was left out, both hold among the others.

    Notes
    -----
    *What it is not:* proof that there is no lower eigenvalue. A negative one is found if it lies apart
    from the rest; one that is close below many others may be missed. On average over start vectors
    the smallest Ritz value of k products lies no more than `0.103 (ln(n (k - 1)^4) / (k - 1))^2` of
    the spectrum's width above the smallest eigenvalue (Kuczynski & Wozniakowski, SIAM J. Matrix Anal.
    Appl. 13 (1992) 1094). A zero mode is left out once its Ritz value is one (see
    `Margin`); until then it is the margin, with a residual of its size or more.

    Examples
    --------
    >>> spectrum = torch.tensor([2.0, 0.0, 0.5], dtype=torch.float64)
    >>> margin = lanczos_margin(lambda vector: spectrum * vector, spectrum)
    >>> round(margin.value, 12), margin.zero_modes
    (0.5, None)
    """
    precision = precision or like.dtype
    most = min(max(steps, DECIDING), len(like))
    krylov = Krylov(next(random_vectors(like)), precision, most=most)
    for count in range(1, most + 1):
        krylov.grow(product)
        if count % _stride(count) and count < most and krylov.is_open:
            continue
        values, vectors = krylov.ritz()
        largest = float(np.abs(values).max())
        zero = max(noise, zero_fraction(precision) * largest)
        chosen = int(np.argmax(np.abs(values) > zero))  # 0 where there are only zero modes
        ritz, outside = float(values[chosen]), krylov.leak * abs(float(vectors[-1, chosen]))
        value = ritz if abs(ritz) > zero else 0.0
        residual = math.hypot(outside, ritz - value)
        width = float(values[-1] - values[0])
        settled = value < 0 or (residual <= 1e-4 * width and count >= LEAST_STEPS)
        if krylov.leak <= krylov.rounding * largest or (settled and residual <= 1e-2 * abs(value)):
            break
        if count >= steps and residual < max(abs(value), blur):
            break
    residual = max(residual, blur, torch.finfo(precision).eps * largest)
    return Margin(value, krylov.vector(vectors[:, chosen]), None, residual, largest)


def _stride(count: int) -> int:
    """Return how many products lie between two looks at the Ritz values, whose price grows with the cube of their number."""
    return max(count // LANCZOS_STEPS, 1)
