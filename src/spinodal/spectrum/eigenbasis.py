"""Hess L in its eigenbasis: stability, zero modes, and minimum-norm solves next to a fold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ZERO = 1e-11  # |eigenvalue| below this fraction of the largest is a zero mode: points are solved to rounding here
SOFT = 1e-3  # modes below this fraction of the largest are solved for together, in a small dense system
CUTOFF = 1e-14  # relative singular value of that system, its rows scaled, below which a direction is left alone
PART = 1e-7  # relative part in the column from which a zero mode belongs to a fold and to no symmetry
ALONG = 0.7  # the same in the row: at the end of a side branch the tangent itself is a zero mode


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
    def positive(self) -> int:
        """Return the number of positive eigenvalues outside the zero modes."""
        return int((self.values > self.zero).sum())

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
class _Parts:
    """A bordered matrix taken apart: stiff modes, one by one, and the rest as a small dense inverse."""

    hard: Tensor
    stiffness: Tensor
    inverse_column: Tensor
    hard_row: Tensor
    basis: Tensor
    inverse: Tensor


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

        Modes that are neither soft nor zero are eliminated one by one; the rest is solved together with the
        border. A zero mode of a symmetry, which neither column nor row has a part in, is left alone (minimum
        norm); the soft mode of a fold, which they have, is not.
        """
        parts = self._parts
        inverse_right = parts.hard.T @ right / parts.stiffness
        rest = last - float(parts.hard_row @ inverse_right)
        load = torch.cat([parts.basis.T @ right, right.new_tensor([rest])])
        found = parts.inverse @ load
        b = float(found[-1])
        return parts.hard @ (inverse_right - b * parts.inverse_column) + parts.basis @ found[:-1], b

    @cached_property
    def _parts(self) -> _Parts:
        """Return what every solve with this matrix needs."""
        values, vectors, zero = self.spectrum.values, self.spectrum.vectors, self.spectrum.zero
        stiff = values.abs() > SOFT * self.spectrum.largest
        soft = (values.abs() > zero) & ~stiff
        basis = torch.cat([vectors[:, soft], self._bordered_zero_modes()], 1)
        hard, stiffness = vectors[:, stiff], values[stiff]
        inverse_column, hard_row = hard.T @ self.column / stiffness, hard.T @ self.row
        size = basis.shape[1]
        system = basis.new_zeros(size + 1, size + 1)
        system.diagonal()[:-1] = ((vectors.T @ basis) ** 2 * values[:, None]).sum(0)
        system[:-1, -1], system[-1, :-1] = basis.T @ self.column, basis.T @ self.row
        system[-1, -1] = self.corner - float(hard_row @ inverse_column)
        scales = system.abs().amax(1).clamp_min(1e-300)
        inverse = torch.linalg.pinv(system / scales[:, None], rtol=CUTOFF) / scales
        return _Parts(hard, stiffness, inverse_column, hard_row, basis, inverse)

    def _bordered_zero_modes(self) -> Tensor:
        """Return an orthonormal basis, shape (n, 0 to 2), of the zero modes that column or row have a part in."""
        zero = self.spectrum.vectors[:, self.spectrum.values.abs() <= self.spectrum.zero]
        parts: list[Tensor] = []
        for vector, least in ((self.column, PART), (self.row, ALONG)):
            part = zero @ (zero.T @ vector)
            for earlier in parts:
                part = part - earlier * float(earlier @ part)
            if float(part.norm()) > least * float(vector.norm()):
                parts.append(part / part.norm())
        return torch.stack(parts, 1) if parts else zero[:, :0]
