"""A subspace in which H is known exactly, so that random probes see only what lies outside of it."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e3  # epsilons of a row of a sketch: what is left of it below that, next to known directions, is rounding


class Deflation:
    """An orthonormal basis Q of k directions with its image H Q, and the projection `P = 1 - Q Q^T`.

    With it `tr H = tr Q^T H Q + tr P H P` and `||H||_F^2 = 2 ||H Q||^2 - ||Q^T H Q||^2 + ||P H P||_F^2`.

    Attributes
    ----------
    basis, image : Tensor, shape (k, n)
        Rows: Q and H Q.

    Examples
    --------
    A matrix of rank one is all in its first image:

    >>> H = torch.outer(torch.ones(3), torch.ones(3)).double()
    >>> probe = torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64)
    >>> known = Deflation(torch.zeros(3, dtype=torch.float64))
    >>> found = known.directions(probe @ H)
    >>> known.add(found, found @ H)
    >>> round(known.trace(), 12), round(known.square_norm(), 12), float((known.outside(probe) @ H).norm()) < 1e-12
    (3.0, 9.0, True)
    """

    def __init__(self, like: Tensor) -> None:
        self.basis = like.new_zeros(0, len(like))
        self.image = self.basis

    @property
    def size(self) -> int:
        """Return k."""
        return len(self.basis)

    def directions(self, sketch: Tensor) -> Tensor:
        """Return an orthonormal basis, shape (k', n), of what rows of a sketch add to the known directions.

        By Gram and Schmidt, each row twice: one row of memory beside the result, where a QR decomposition takes several times
        the sketch.
        """
        fresh = sketch.new_zeros(0, sketch.shape[1])
        for row in sketch:
            length = row.norm()
            if float(length) > 0:
                row = row / length
                for _ in range(2):
                    row = self.outside(row[None])[0]
                    row = row - (fresh @ row) @ fresh
                    left = row.norm()
                if float(left) > ROUNDING * torch.finfo(row.dtype).eps:
                    fresh = torch.cat([fresh, row[None] / left])
        return fresh

    def add(self, directions: Tensor, image: Tensor) -> None:
        """Add directions, shape (k', n), with their images under H."""
        self.basis, self.image = torch.cat([self.basis, directions]), torch.cat([self.image, image])

    def outside(self, rows: Tensor) -> Tensor:
        """Return `P v` for every row."""
        return rows - (rows @ self.basis.T) @ self.basis if self.size else rows

    def shifted(self, shift: Tensor | None) -> Tensor:
        """Return `(H + diag shift) Q`, rows."""
        return self.image if shift is None else self.image + shift * self.basis

    def trace(self, shift: Tensor | None = None) -> float:
        """Return `tr Q^T (H + diag shift) Q`."""
        return float((self.basis.double() * self.shifted(shift).double()).sum())

    def square_norm(self, shift: Tensor | None = None) -> float:
        """Return `2 ||H Q||^2 - ||Q^T H Q||^2` of `H + diag shift`."""
        image = self.shifted(shift).double()
        return float(2 * image.square().sum() - (self.basis.double() @ image.T).square().sum())

    def shift_outside(self, shift: Tensor | None) -> tuple[float, float]:
        """Return the trace and the squared norm of `P (diag shift) P`."""
        if shift is None:
            return 0.0, 0.0
        whole, rows = shift.double(), self.basis.double()
        inside = (rows * whole) @ rows.T
        trace = float(whole.sum() - inside.trace())
        return trace, float(whole.square().sum() - 2 * (rows * whole).square().sum() + inside.square().sum())
