"""Hess L in its eigenbasis: stability, zero modes, and minimum-norm solves next to a fold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ZERO = 1e-8  # |eigenvalue| below this fraction of the largest is a zero mode
SOFT = 1e-3  # modes below this fraction of the largest are solved for together, in a small dense system
CUTOFF = 1e-9  # relative singular value of that system below which a direction is left alone (minimum norm)


@dataclass(frozen=True)
class Spectrum:
    """All eigenpairs of Hess L at a point, shape (n,) and (n, n), rising.

    `largest` is the largest |eigenvalue| of Hess L or of its part from the penalty, `2 beta`: a size that does
    not vanish at a fold even where there is but one parameter.
    """

    values: Tensor
    vectors: Tensor
    largest: float

    @property
    def zero(self) -> float:
        """Return the magnitude up to which an eigenvalue is that of a zero mode."""
        return ZERO * self.largest

    @property
    def index(self) -> int:
        """Return the Morse index: the number of negative eigenvalues outside the zero modes."""
        return int((self.values < -self.zero).sum())

    @property
    def zero_modes(self) -> int:
        """Return the number of zero modes."""
        return int((self.values.abs() <= self.zero).sum())

    @property
    def margin(self) -> float:
        """Return the smallest eigenvalue outside the zero modes; 0 where there is none."""
        alive = self.values[self.values.abs() > self.zero]
        return float(alive[0]) if len(alive) else 0.0

    def softest(self, guess: Tensor, within: float) -> tuple[Tensor, float]:
        """Return the unit vector nearest to `guess` among the modes of magnitude up to `within`, and its curvature.

        Zero modes of symmetries lie in the same space; a guess that is orthogonal to them stays so.
        """
        among = self.vectors[:, self.values.abs() <= within]
        part = among.T @ guess
        if not bool(part.norm() > 0):
            part = torch.ones_like(part)
        vector = among @ (part / part.norm())
        weights = self.vectors.T @ vector
        return vector, float(weights**2 @ self.values)


def eigenbasis(matrix: Tensor, least: float = 1e-300) -> Spectrum:
    """Return the spectrum of a symmetric matrix, shape (n, n), of at least a given size.

    Examples
    --------
    >>> spectrum = eigenbasis(torch.diag(torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64)))
    >>> spectrum.index, spectrum.zero_modes, spectrum.margin
    (1, 1, -1.0)
    """
    values, vectors = torch.linalg.eigh(matrix)
    return Spectrum(values, vectors, max(float(values.abs().max()), least))


@dataclass(frozen=True)
class Bordered:
    """The matrix `[[Hess L, column], [row, corner]]`, regular at a fold although Hess L is not.

    `weight` is that of lengths along theta in the metric `weight |x|^2 + b^2`.
    """

    spectrum: Spectrum
    column: Tensor
    row: Tensor
    corner: float
    weight: float

    def product(self, a: tuple[Tensor, float], b: tuple[Tensor, float]) -> float:
        """Return the inner product of two directions `(x, b)` in the metric."""
        return self.weight * float(a[0] @ b[0]) + a[1] * b[1]

    def solve(self, right: Tensor, last: float) -> tuple[Tensor, float]:
        """Return `(x, b)` with `Hess L x + column b = right` and `row . x + corner b = last`.

        Modes that are neither soft nor zero are eliminated one by one; the rest is solved with the
        border by least squares of minimum norm, so a zero mode, which neither column nor row has a
        part in, is left alone, and the soft mode of a fold, which they have, is not.
        """
        values, vectors = self.spectrum.values, self.spectrum.vectors
        largest = self.spectrum.largest
        right_in, column_in, row_in = (vectors.T @ vector for vector in (right, self.column, self.row))
        stiff = values.abs() > SOFT * largest
        soft = ~stiff
        inverse_right, inverse_column = right_in[stiff] / values[stiff], column_in[stiff] / values[stiff]
        size = int(soft.sum())
        system = right.new_zeros(size + 1, size + 1)
        system[:size, :size] = torch.diag(values[soft] / largest)
        system[:size, size] = column_in[soft] / largest
        system[size, :size] = row_in[soft]
        system[size, size] = self.corner - float(row_in[stiff] @ inverse_column)
        load = torch.cat([right_in[soft] / largest, right.new_tensor([last - float(row_in[stiff] @ inverse_right)])])
        weight = 1.0 / max(float(system[size].abs().max()), 1e-300)
        system[size] *= weight
        load[size] *= weight
        found = torch.linalg.pinv(system, rtol=CUTOFF) @ load
        b = float(found[size])
        inside = torch.zeros_like(right_in)
        inside[stiff] = inverse_right - b * inverse_column
        inside[soft] = found[:size]
        return vectors @ inside, b
