"""Hess L with a border, in its eigenbasis: minimum-norm solves that pass a fold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from spinodal.spectrum.eigenbasis import Eigenbasis

NULL = 1e-11  # |eigenvalue| below this fraction of the scale: nothing but rounding is there to solve with
SOFT = 1e-3  # modes below this fraction of the scale are solved for together, in a small dense system
CUTOFF = 1e-14  # relative singular value of that system, its rows scaled, below which a direction is left alone
PART = 1e-7  # relative part in the column from which a null mode belongs to a fold and to no symmetry
ALONG = 0.7  # the same in the row: at the end of a side branch the tangent itself is a null mode


@dataclass(frozen=True, eq=False)
class Spectrum(Eigenbasis):
    """All eigenpairs of Hess L at a point of a branch, with the scale that solves are relative to.

    Points are solved to rounding, so solves tell modes apart that by definition are zero modes: the soft mode of a fold
    that is all but met is one to move along, a symmetry is not.

    Attributes
    ----------
    least : float
        The penalty's part of Hess L, `2 beta`: a size that does not vanish at a fold even where there is but one parameter.
    """

    least: float = 0.0

    @property
    def scale(self) -> float:
        """Return the largest |eigenvalue| of Hess L or of the penalty's part of it."""
        return max(self.largest, self.least)

    @property
    def null(self) -> float:
        """Return the magnitude up to which an eigenvalue is rounding."""
        return NULL * self.scale

    @property
    def null_modes(self) -> int:
        """Return the number of eigenvalues that are rounding."""
        return int((self.values.abs() <= self.null).sum())

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


def spectrum_of(basis: Eigenbasis, least: float) -> Spectrum:
    """Return all eigenpairs of Hess L as those at a point of a branch."""
    return Spectrum(basis.values, basis.vectors, basis.largest, basis.precision, basis.bend, least)


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
        values, vectors, null = self.spectrum.values, self.spectrum.vectors, self.spectrum.null
        stiff = values.abs() > SOFT * self.spectrum.scale
        soft = (values.abs() > null) & ~stiff
        basis = torch.cat([vectors[:, soft], self._bordered_null_modes()], 1)
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

    def _bordered_null_modes(self) -> Tensor:
        """Return an orthonormal basis, shape (n, 0 to 2), of the null modes that column or row have a part in."""
        null = self.spectrum.vectors[:, self.spectrum.values.abs() <= self.spectrum.null]
        parts: list[Tensor] = []
        for vector, least in ((self.column, PART), (self.row, ALONG)):
            part = null @ (null.T @ vector)
            for earlier in parts:
                part = part - earlier * float(earlier @ part)
            if float(part.norm()) > least * float(vector.norm()):
                parts.append(part / part.norm())
        return torch.stack(parts, 1) if parts else null[:, :0]
