"""The margin: the smallest eigenvalue of Hess L outside its zero modes, and the mode that has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinodal.definitions import ALIKE, MARGIN_PLACED, MARGIN_SETTLED
from spinodal.spectrum.eigenbasis import Eigenbasis, zero_fraction
from spinodal.spectrum.lanczos import LEAST_PRODUCTS, Look, lanczos
from spinodal.spectrum.lowest import lowest_eigenbasis
from spinodal.spectrum.preconditioner import Cholesky

BESIDE = 6  # eigenvectors from the margin's own on that are kept for neighbours
LANCZOS_STEPS = 24
DECIDING = 96  # products up to which the sign of a margin is looked for


@dataclass(frozen=True)
class Margin:
    """The lowest curvature of L at a point.

    An eigenvalue is that of a zero mode where its magnitude is at most `zero_limit`.

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
        Largest |eigenvalue|; matrix-free a lower bound of it.
    """

    value: float
    mode: Tensor
    zero_modes: int | None
    residual: float
    largest: float

    @property
    def is_negative(self) -> bool:
        """Tell a saddle: the value is negative beyond its own error."""
        return self.value < -self.residual

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
    return margin_of(lowest_eigenbasis(matrix), matrix)


def margin_of(basis: Eigenbasis, matrix: Tensor) -> Margin:
    """Return the margin of Hess L, shape (n, n), from its eigenpairs, all or the lowest."""
    value, mode = basis.margin, basis.vectors[:, basis.lowest].to(matrix).contiguous()
    residual = float((matrix @ mode - value * mode).norm())
    return Margin(value, mode, basis.zero_modes, residual, basis.largest)


def dense_lowest(
    matrix: Tensor, factor: Cholesky | None = None, *, keep: int, bend: float = math.inf
) -> tuple[Margin, Tensor, Tensor, float]:
    """Return the margin of Hess L, shape (n, n), its lowest eigenpairs, shapes (k, n) and (k,), and the next eigenvalue.

    Zero modes are among the vectors, and `keep` above them; of equal eigenvalues two. For `bend` see `zero_limit`.
    """
    basis = lowest_eigenbasis(matrix, factor, bend=bend)
    places = _distinct(basis.values, basis.lowest)[: basis.zero_modes + keep]
    others = torch.ones_like(basis.values, dtype=torch.bool).index_fill(0, places, False)
    rest = basis.values[others] if len(places) < len(basis.values) else basis.values[-1:]
    beyond = float(rest[0]) if len(places) < len(matrix) else math.inf
    low = basis.vectors[:, places].T.to(matrix).contiguous()
    return margin_of(basis, matrix), low, basis.values[places].to(matrix), beyond


def _distinct(values: Tensor, first: int) -> Tensor:
    """Return the places of the lowest eigenvalues from one on, with all before it, of equal ones two: others may cross them."""
    places = torch.arange(first, len(values), device=values.device)
    third = torch.zeros_like(places, dtype=torch.bool)
    third[2:] = values[places[2:]] - values[places[:-2]] <= ALIKE * values[places[2:]].abs()
    return torch.cat([torch.arange(first, device=values.device), places[~third][:BESIDE]])


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
    accurate to 1 %, which proves a saddle; once the Krylov space is exhausted; or, after `LEAST_PRODUCTS`
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
    eps = torch.finfo(precision).eps
    for look in lanczos(product, like, budget=most, rows=most, keep=lambda values: values, precision=precision, first=1):
        zero = max(noise, zero_fraction(precision) * look.largest)
        chosen = int(np.argmax(np.abs(look.values) > zero))  # 0 where there are only zero modes
        ritz = float(look.values[chosen])
        value = ritz if abs(ritz) > zero else 0.0
        residual = math.hypot(float(look.residuals[chosen]), ritz - value)
        if look.is_closed or _is_settled(look, value, residual):
            break
        if look.products >= steps and residual < max(abs(value), blur):
            break
    residual = max(residual, blur, eps * look.largest)
    return Margin(value, look.krylov.vector(look.weights[:, chosen]), None, residual, look.largest)


def _is_settled(look: Look, value: float, residual: float) -> bool:
    """Tell a pair that is accurate enough: a negative one proves a saddle, others must lie close to the end of the spectrum."""
    width = float(look.values[-1] - look.values[0])
    is_end = residual <= MARGIN_PLACED * width and look.products >= LEAST_PRODUCTS
    return (value < 0 or is_end) and residual <= MARGIN_SETTLED * abs(value)
