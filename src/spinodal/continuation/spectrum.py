"""Hess L in its eigenbasis: stability, zero modes, and minimum-norm solves next to a fold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ZERO = 1e-8  # |eigenvalue| below this fraction of the largest is a zero mode
SOFT = 1e-3  # modes below this fraction of the largest are solved for together, in a small dense system
CUTOFF = 1e-14  # relative singular value of that system, its rows scaled, below which a direction is left alone
PART = 1e-4  # relative part in the border from which a zero mode belongs to the branch and to no symmetry


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
        values, vectors = self.spectrum.values, self.spectrum.vectors
        stiff = values.abs() > SOFT * self.spectrum.largest
        soft = vectors[:, (values.abs() > self.spectrum.zero) & ~stiff]
        basis = torch.cat([soft, self._bordered_zero_modes()], 1)
        inside = torch.diag(values[(values.abs() > self.spectrum.zero) & ~stiff])
        inside = torch.nn.functional.pad(inside, (0, basis.shape[1] - len(inside), 0, basis.shape[1] - len(inside)))
        stiffness, hard = values[stiff], vectors[:, stiff]
        inverse_right, inverse_column = hard.T @ right / stiffness, hard.T @ self.column / stiffness
        rest = hard.T @ self.row
        system = torch.cat([torch.cat([inside, (basis.T @ self.column)[:, None]], 1), basis.new_zeros(1, len(inside) + 1)])
        system[-1, :-1] = basis.T @ self.row
        system[-1, -1] = self.corner - float(rest @ inverse_column)
        load = torch.cat([basis.T @ right, right.new_tensor([last - float(rest @ inverse_right)])])
        scales = system.abs().amax(1, keepdim=True).clamp_min(1e-300)
        found = torch.linalg.lstsq(system / scales, (load[:, None] / scales), driver="gelsd", rcond=CUTOFF).solution[:, 0]
        b = float(found[-1])
        return hard @ (inverse_right - b * inverse_column) + basis @ found[:-1], b

    def _bordered_zero_modes(self) -> Tensor:
        """Return an orthonormal basis, shape (n, 0 to 2), of the zero modes that column or row have a part in."""
        zero = self.spectrum.vectors[:, self.spectrum.values.abs() <= self.spectrum.zero]
        parts: list[Tensor] = []
        for vector in (self.column, self.row):
            part = zero @ (zero.T @ vector)
            for earlier in parts:
                part = part - earlier * float(earlier @ part)
            if float(part.norm()) > PART * float(vector.norm()):
                parts.append(part / part.norm())
        return torch.stack(parts, 1) if parts else zero[:, :0]
