"""Krylov spaces of a symmetric operator: the Lanczos recursion with full reorthogonalisation, and restarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

FIRST_ROWS = 16  # of the buffer, or fewer; it doubles
COLUMNS = 65_536  # of the basis that a restart turns at once


def random_vectors(like: Tensor, seed: int = 0) -> Iterator[Tensor]:
    """Yield normally distributed vectors of the length, dtype and device of `like`, the same for the same seed everywhere."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(len(like), generator=generator, dtype=torch.float64).to(like)


class Krylov:
    """An orthonormal basis `V`, (k, n), of a Krylov space of a symmetric H, and the small matrix `T = V H V^T` in it.

    Every image is orthogonalised against the whole basis, twice (B. Parlett, *The Symmetric Eigenvalue Problem*, ch. 6 and 13),
    so that Ritz values are those of an orthonormal basis: no ghosts, and Cauchy's interlacing holds up to rounding. From one
    start the space holds one vector of every eigenspace; another copy of an eigenvalue needs `reseed` once the space is closed.

    Memory is k vectors of length n, `k <= most`, and half as many again for the moment in which the buffer grows.

    Parameters
    ----------
    start : Tensor, shape (n,)
        Not zero. The basis has its dtype and device.
    precision : torch.dtype
        Of the products; it sets when the space counts as closed.
    most : int, optional
        Most basis vectors held at a time. Default n.
    sums : torch.dtype, optional
        In which the entries of T are summed. Default that of `start`.

    Examples
    --------
    >>> spectrum = torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64)
    >>> krylov = Krylov(torch.ones(3, dtype=torch.float64), torch.float64)
    >>> for _ in range(2):
    ...     krylov.grow(lambda vector: spectrum * vector)
    >>> krylov.ritz()[0].round(12).tolist(), krylov.is_open
    ([1.0, 3.0], False)
    """

    def __init__(
        self, start: Tensor, precision: torch.dtype, *, most: int | None = None, sums: torch.dtype | None = None
    ) -> None:
        self.next: Tensor = start / start.norm()
        self.most = min(most or len(start), len(start))
        self.rows = start.new_empty(_first_rows(self.most), len(start))
        self.diagonal: list[float] = []
        self.beside: list[float] = []  # couplings of every vector to the next; the last one leads out of the space
        self.leak = 0.0
        self.rounding = 100 * torch.finfo(precision).eps
        self._sums = sums or start.dtype
        self._is_unit = True  # whether `next` has length 1 already
        self._kept = 0  # vectors from before a restart; they come first
        self._across: list[np.ndarray] = []  # entries of T between them and every later vector
        self._neglected = 0.0  # squared norm of V H V^T - T

    def __len__(self) -> int:
        return len(self.diagonal)

    @property
    def basis(self) -> Tensor:
        """Return the basis, shape (k, n), a view."""
        return self.rows[: len(self)]

    @property
    def is_full(self) -> bool:
        """Tell whether no vector can be added without a restart."""
        return len(self) >= self.most

    @property
    def is_open(self) -> bool:
        """Tell whether the space can grow by products alone, beyond the rounding of its largest entry.

        `leak` is the length of the part of the last image that lies outside the space.
        """
        return self.leak > self.rounding * max(map(abs, self.diagonal))

    @property
    def noise(self) -> float:
        """Return `||V H V^T - T||_F` as measured: how far products and sums are from those of one symmetric H.

        Eigenvalues of the two differ by at most this (Weyl). It is rounding, and says how large that is.
        """
        return math.sqrt(self._neglected)

    def grow(self, product: Callable[[Tensor], Tensor]) -> None:
        """Add a dimension, at the price of one product."""
        self.absorb(product(self.direction()))

    def direction(self) -> Tensor:
        """Add the next unit vector to the basis and return it, shape (n,); `absorb` must follow."""
        if not self._is_unit:
            self.next = self.next / self.leak
        if len(self) == len(self.rows):
            grown = self.rows.new_empty(min(2 * len(self), self.most), self.rows.shape[1])
            grown[: len(self)] = self.rows
            self.rows = grown
        self.rows[len(self)] = self.next
        return self.next

    def absorb(self, image: Tensor) -> None:
        """Take the image of the last `direction`."""
        self.diagonal.append(float(image.to(self._sums) @ self.next.to(self._sums)))
        inside = self.basis @ image
        self._note(inside.double().cpu().numpy())
        image = image - self.basis.T @ inside
        image = image - self.basis.T @ (self.basis @ image)
        self.next, self._is_unit = image, False
        self.leak = float(image.to(self._sums).norm())
        self.beside.append(self.leak)

    def reseed(self, start: Tensor) -> None:
        """Go on from the part of `start` outside the closed space, of dimension below n: for further copies of eigenvalues."""
        for _ in range(2):
            start = start - self.basis.T @ (self.basis @ start)
        self.next, self._is_unit = start / start.norm(), True
        self.leak = self.beside[-1] = 0.0

    def restart(self, values: np.ndarray, vectors: np.ndarray) -> None:
        """Keep only these Ritz vectors, (k, p), `p < k`, with their values, and the way out (thick restart).

        Source: K. Wu & H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000) 602.
        """
        count, self._kept = len(self), len(values)
        turn = torch.from_numpy(vectors.T.copy()).to(self.rows)
        for part in torch.split(self.rows, COLUMNS, dim=1):
            part[: self._kept] = turn @ part[:count]
        self.diagonal, self.beside, self._across = values.tolist(), [0.0] * self._kept, []

    def lock(self, values: np.ndarray, vectors: np.ndarray) -> None:
        """Keep only these Ritz vectors, as `restart` does, and close the space: `reseed` must follow."""
        self.restart(values, vectors)
        self.leak = 0.0

    def matrix(self) -> np.ndarray:
        """Return T, shape (k, k), float64."""
        beside = self.beside[:-1]
        matrix = np.diag(self.diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        for place, column in enumerate(self._across, self._kept):
            matrix[: self._kept, place] = matrix[place, : self._kept] = column
        return matrix

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the Ritz values, rising, shape (k,), and their vectors in the basis, shape (k, k)."""
        values, vectors = np.linalg.eigh(self.matrix())
        return values, vectors

    def vector(self, weights: np.ndarray) -> Tensor:
        """Return a combination of the basis as a unit vector, shape (n,)."""
        total = self.basis.T @ torch.from_numpy(weights.copy()).to(self.next)
        unit: Tensor = total / total.norm()
        return unit

    def _note(self, inside: np.ndarray) -> None:
        """Take what the last image has along the basis, shape (k,): couplings to what was kept, and rounding elsewhere."""
        if self._kept:
            self._across.append(inside[: self._kept].copy())
        rest = inside[self._kept : -1].copy()
        rest[-1:] -= self.beside[-1:]
        self._neglected += 2.0 * float(rest @ rest)


def _first_rows(most: int) -> int:
    """Return a small number of rows that grows into `most` by doubling."""
    return most if most <= FIRST_ROWS else _first_rows(-(-most // 2))
