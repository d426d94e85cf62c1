"""Preconditioners: coordinates in which a Hessian is nearly the identity, and searches in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

FACTOR = 8.0  # by which a shift grows until a matrix is positive definite
TRIES = 24


class Preconditioner(Protocol):
    """A positive definite `P = (S S^T)^-1` that stands for a Hessian: in `z = S^-1 theta` it is the identity."""

    def spread(self, vector: Tensor) -> Tensor:
        """Return `S v`, shape (n,): a step in z as one in theta."""
        ...

    def gather(self, gradient: Tensor) -> Tensor:
        """Return `S^T g`, shape (n,): a gradient in theta as one in z."""
        ...

    def inverse(self, vector: Tensor) -> Tensor:
        """Return `P^-1 v`, shape (n,)."""
        ...


@dataclass(frozen=True)
class Uniform:
    """`P` of one curvature in all directions, where nothing else is known.

    Examples
    --------
    >>> Uniform(4.0).spread(torch.ones(1)).item(), Uniform(4.0).inverse(torch.ones(1)).item()
    (0.5, 0.25)
    """

    curvature: float

    def spread(self, vector: Tensor) -> Tensor:
        """Return `v / sqrt(curvature)`."""
        return vector / math.sqrt(self.curvature)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the same of a gradient."""
        return self.spread(gradient)

    def inverse(self, vector: Tensor) -> Tensor:
        """Return `v / curvature`."""
        return vector / self.curvature


@dataclass(frozen=True)
class Cholesky:
    """`P = F F^T` of a dense matrix and a shift, so that `S = F^-T`.

    Examples
    --------
    >>> four = Cholesky.of(torch.tensor([[4.0]], dtype=torch.float64))
    >>> four.spread(torch.ones(1).double()).item(), four.inverse(torch.ones(1).double()).item()
    (0.5, 0.25)
    """

    factor: Tensor
    shift: float = 0.0

    @classmethod
    def of(cls, matrix: Tensor, least: float = 0.0) -> Cholesky | None:
        """Factorise a symmetric matrix, shape (n, n), shifted until it is positive definite; None if it is not finite.

        `least` is a shift that is added in any case: a smaller eigenvalue would send searches far along its mode.
        """
        size = float(matrix.abs().max())
        if not 0.0 < size < float("inf"):
            return None
        shift = least
        for _ in range(TRIES):
            factor, failed = torch.linalg.cholesky_ex(_shifted(matrix, shift))
            if not int(failed):
                return cls(factor, shift)
            shift = max(FACTOR * shift, 1e-12 * size)
        return None

    def spread(self, vector: Tensor) -> Tensor:
        """Return `F^-T v`."""
        return _solved(self.factor.T, vector, upper=True)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return `F^-1 g`."""
        return _solved(self.factor, gradient, upper=False)

    def inverse(self, vector: Tensor) -> Tensor:
        """Return `P^-1 v`."""
        return self.spread(self.gather(vector))


def _shifted(matrix: Tensor, shift: float) -> Tensor:
    total = matrix.clone()
    total.diagonal().add_(shift)
    return total


def _solved(triangle: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(triangle, right[:, None], upper=upper)[:, 0]
    return solution
