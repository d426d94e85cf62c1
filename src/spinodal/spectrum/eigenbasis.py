"""A Hessian in its eigenbasis: the one dense analysis, of which margin, zero modes, index, ends and density are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinodal.definitions import ZERO_MODE, ZERO_MODE_BENT, ZERO_MODE_LEAST, ZERO_MODE_ROUNDINGS


def zero_fraction(dtype: torch.dtype) -> float:
    """Return the fraction of the largest |eigenvalue| up to which one is that of a zero mode, for entries of this precision.

    Examples
    --------
    >>> zero_fraction(torch.float64), zero_fraction(torch.float32) > 1e-6
    (1e-08, True)
    """
    return max(ZERO_MODE, ZERO_MODE_ROUNDINGS * torch.finfo(dtype).eps)


def zero_limit(largest: float, dtype: torch.dtype, bend: float = math.inf) -> float:
    """Return the magnitude up to which an eigenvalue is that of a zero mode.

    A symmetry makes an eigenvalue that is exactly zero, up to rounding and to what is left of the gradient. In a spectrum that
    is wide, as that of a normalisation, `zero_fraction` of its width may exceed true curvatures: where `bend`, about
    `||grad L|| / ||theta||`, is known, no more than its size is left out.

    Examples
    --------
    >>> zero_limit(1e6, torch.float64), zero_limit(1e6, torch.float64, bend=1e-12)
    (0.01, 1e-06)
    """
    least = max(ZERO_MODE_LEAST, ZERO_MODE_ROUNDINGS * torch.finfo(dtype).eps) * largest
    return min(zero_fraction(dtype) * largest, max(least, ZERO_MODE_BENT * bend))


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """Eigenpairs of a symmetric matrix, rising: all n of them, or the lowest up to some above its zero modes.

    Attributes
    ----------
    values : Tensor, shape (k,), float64
    vectors : Tensor, shape (n, k), float64
        As columns; shape (n, 0) where they were not asked for.
    largest : float
        The largest |eigenvalue|.
    precision : torch.dtype
        In which the entries were computed: it sets what counts as zero (see `zero_limit`).
    bend : float
        See there. Default: not known.
    """

    values: Tensor
    vectors: Tensor
    largest: float
    precision: torch.dtype = torch.float64
    bend: float = math.inf

    @property
    def zero(self) -> float:
        """Return the magnitude up to which an eigenvalue is that of a zero mode."""
        return zero_limit(self.largest, self.precision, self.bend)

    @property
    def index(self) -> int:
        """Return the Morse index: the number of negative eigenvalues outside the zero modes."""
        return int((self.values < -self.zero).sum())

    @property
    def positive(self) -> int:
        """Return the number of positive eigenvalues outside the zero modes."""
        return int((self.values > self.zero).sum())

    @property
    def zero_modes(self) -> int:
        """Return the number of zero modes."""
        return int((self.values.abs() <= self.zero).sum())

    @property
    def lowest(self) -> int:
        """Return the place of the smallest eigenvalue outside the zero modes; 0 where there is none."""
        return int((self.values.abs() > self.zero).int().argmax())

    @property
    def margin(self) -> float:
        """Return the smallest eigenvalue outside the zero modes; 0 where there is none."""
        value = float(self.values[self.lowest])
        return value if abs(value) > self.zero else 0.0

    @property
    def rounding(self) -> float:
        """Return how far the rounding of the entries may have moved eigenvalues, to order of magnitude."""
        return torch.finfo(self.precision).eps * self.largest

    def shifted(self, shift: float) -> Eigenbasis:
        """Return all eigenpairs of the matrix plus `shift` times the identity."""
        values = self.values + shift
        return replace(self, values=values, largest=float(values.abs().max()))


def eigenbasis(
    matrix: Tensor, *, precision: torch.dtype | None = None, bend: float = math.inf, vectors: bool = True
) -> Eigenbasis:
    """Return all eigenpairs of a symmetric matrix, shape (n, n), in double precision.

    Parameters
    ----------
    matrix : Tensor, shape (n, n)
    precision : torch.dtype, optional
        In which its entries were computed. Default: its own.
    bend : float
        See `zero_limit`. Default: not known.
    vectors : bool
        Whether eigenvectors are wanted, which take about twice as long as the values. Default True.

    Examples
    --------
    >>> basis = eigenbasis(torch.diag(torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)))
    >>> basis.index, basis.zero_modes, basis.margin, basis.shifted(1.0).zero_modes
    (1, 1, -1.0, 1)
    """
    double = matrix.double()
    if vectors:
        values, columns = torch.linalg.eigh(double)
    else:
        values, columns = torch.linalg.eigvalsh(double), double[:, :0]
    return Eigenbasis(values, columns, float(values.abs().max()), precision or matrix.dtype, bend)
