"""The lowest eigenpairs of Hess L by Davidson's method: few products where a neighbour's spectrum is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spinodal.definitions import APART, CLUSTERED, DAVIDSON_BESIDE, DAVIDSON_SETTLED, INDEPENDENT, TANGENT_SETTLED
from spinodal.spectrum.krylov import Krylov, random_vectors
from spinodal.spectrum.lanczos import grow_together
from spinodal.spectrum.preconditioner import Preconditioner

SEARCHED = 4  # products in the search for a mode that has softened


@dataclass(frozen=True)
class Subspace:
    """Vectors, shape (k, n), orthonormal, and their images under a symmetric A, with the Ritz pairs in them.

    Examples
    --------
    >>> spectrum = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    >>> space = Subspace.of(torch.eye(3, dtype=torch.float64)[:2], lambda vector: spectrum * vector)
    >>> space.values.tolist(), space.residuals.tolist(), space.solved(torch.ones(3).double()).round(decimals=4).tolist()
    ([1.0, 3.0], [0.0, 0.0], [0.3333, 1.0, 0.0])
    """

    basis: Tensor
    images: Tensor
    values: np.ndarray
    weights: Tensor

    @classmethod
    def of(cls, vectors: Tensor, product: Callable[[Tensor], Tensor]) -> Subspace:
        """Return the space of some vectors, shape (k, n), at a product for each."""
        return cls.spanned(*_with_images(torch.zeros_like(vectors[:0]), vectors, product))

    @classmethod
    def spanned(cls, basis: Tensor, images: Tensor) -> Subspace:
        """Return the space of orthonormal vectors whose images are known."""
        small = basis @ images.T
        values, weights = torch.linalg.eigh(0.5 * (small + small.T))
        return cls(basis, images, values.cpu().numpy(), weights)

    def __len__(self) -> int:
        return len(self.basis)

    @property
    def residuals(self) -> np.ndarray:
        """Return `||A y - value y||` of every Ritz pair: some eigenvalue lies within it."""
        values = torch.from_numpy(self.values).to(self.basis)
        outside = self.weights.T @ self.images - values[:, None] * (self.weights.T @ self.basis)
        lengths: np.ndarray = outside.norm(dim=1).cpu().numpy()
        return lengths

    @property
    def curvatures(self) -> Tensor:
        """Return `v . A v` of the vectors, shape (k,)."""
        return (self.basis * self.images).sum(dim=1)

    def vector(self, place: int) -> Tensor:
        """Return a Ritz vector, shape (n,)."""
        return self.weights[:, place] @ self.basis

    def outside(self, place: int) -> Tensor:
        """Return `A y - value y` of a Ritz pair."""
        return self.weights[:, place] @ (self.images - float(self.values[place]) * self.basis)

    def widened(self, vectors: Tensor, product: Callable[[Tensor], Tensor]) -> Subspace:
        """Return the space with more vectors, at a product for each that is not in it already."""
        basis, images = _with_images(self.basis, vectors, product)
        return Subspace.spanned(torch.cat([self.basis, basis]), torch.cat([self.images, images]))

    def joined(self, vectors: Tensor, images: Tensor) -> Subspace:
        """Return the space with more vectors, shape (k, n), whose images are known; what lies in it already is left out."""
        space = self
        for vector, image in zip(vectors, images, strict=True):
            unit, turned = _outside(vector, image, space.basis, space.images)
            if unit is not None:
                space = replace(space, basis=torch.cat([space.basis, unit]), images=torch.cat([space.images, turned]))
        return Subspace.spanned(space.basis, space.images)

    def solved(self, right: Tensor, zero: float = 0.0) -> Tensor:
        """Return the x in the space at which `A x = right` holds within it; Ritz pairs up to `zero` are left out."""
        alive = torch.from_numpy(np.abs(self.values) > zero).to(self.basis.device)
        along = self.weights.T @ (self.basis @ right)
        values = torch.from_numpy(self.values).to(self.basis)
        return self.weights @ torch.where(alive, along / torch.where(alive, values, 1.0), 0.0) @ self.basis


def davidson(
    product: Callable[[Tensor], Tensor],
    space: Subspace,
    inverse: Callable[[Tensor], Tensor],
    *,
    zero: float,
    budget: int,
    right: Tensor | None = None,
) -> tuple[Subspace, int]:
    """Widen a space until it holds the lowest eigenpair outside the zero modes; return it with the place of that pair.

    Preconditioned residuals of that pair and of the next that is no copy of it widen the space until the first is known to
    `DAVIDSON_SETTLED` and the other to `DAVIDSON_BESIDE`, or until the budget is spent. An eigenvector to which the space
    is orthogonal cannot be found: see `softened`.

    Parameters
    ----------
    product : callable ``v (n,) -> A v (n,)``
    space : Subspace
        Of guesses of the lowest eigenvectors.
    inverse : callable ``v (n,) -> P^-1 v (n,)``
        P positive definite and near A where A is small.
    zero : float
        Eigenvalues up to this magnitude are zero modes.
    budget : int
        Most vectors in the space.
    right : Tensor, shape (n,), optional
        The space is widened until it holds the solution of `A x = right`, too, to a residual of `TANGENT_SETTLED` in the
        metric of P, by the residuals of the solution in it: conjugate gradients whose products also serve the eigenpair.

    Notes
    -----
    Source: E. Davidson, J. Comput. Phys. 17 (1975) 87; the block: B. Liu (1978).

    *What it is not:* proof that there is no lower eigenvalue; see `lanczos_margin`.
    """
    most = 0.0 if right is None else TANGENT_SETTLED**2 * float(right @ inverse(right))
    while True:
        place = lowest_place(space.values, zero)
        loose = [inverse(outside) for outside, close in _watched(space, place, zero) if float(outside.norm()) > close]
        if right is not None:
            rest = right - (space.basis @ space.solved(right, zero)) @ space.images
            gathered = inverse(rest)
            loose += [gathered] if float(rest @ gathered) > most else []
        if not loose or len(space) + len(loose) > min(budget, space.basis.shape[1]):
            return space, place
        wider = space.widened(torch.stack(loose), product)
        if len(wider) == len(space):
            return space, place
        space = wider


def lowest_place(values: np.ndarray, zero: float) -> int:
    """Return the place of the first of the rising values that is no zero mode; 0 where all are."""
    return int(np.argmax(np.abs(values) > zero))


def softened(product: Callable[[Tensor], Tensor], known: Preconditioner, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors, shape (k, n), among which there is one whose curvature has fallen below that of a preconditioner.

    In the coordinates of the preconditioner all curvatures are near 1 but for those of modes that have changed, so a few
    Lanczos steps from a random vector find one that no neighbour knew to be soft: it is the lowest Ritz vector in the space
    of these. Their images under the product come with them.
    """
    vectors, images = list[Tensor](), list[Tensor]()

    def curved(rows: Tensor) -> Tensor:
        vectors.append(known.spread(rows[0]))
        images.append(product(vectors[-1]))
        return known.gather(images[-1])[None]

    krylov = Krylov(next(random_vectors(like)), like.dtype, most=SEARCHED)
    grow_together([krylov], curved, min(SEARCHED, len(like)))
    return torch.stack(vectors), torch.stack(images)


def _watched(space: Subspace, place: int, zero: float) -> list[tuple[Tensor, float]]:
    """Return what lies outside of the pair of the margin and of the next one that is no copy, and how little that must be.

    A lower mode that the space holds in part shows there.
    """
    size = max(abs(float(space.values[place])), zero)
    pairs = [(space.outside(place), max(DAVIDSON_SETTLED * size, zero))]
    for above in range(place + 1, len(space)):
        pairs.append((space.outside(above), DAVIDSON_BESIDE * size))
        if float(space.values[above] - space.values[place]) > CLUSTERED * size:
            break
    return pairs


def _with_images(basis: Tensor, vectors: Tensor, product: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of what vectors add to a basis, shape (k, n), with its images."""
    added: list[Tensor] = []
    for vector in vectors:
        unit = _orthogonal(vector, [basis, *(row[None] for row in added)])
        if unit is not None:
            added.append(unit)
    if not added:
        return vectors[:0], vectors[:0]
    return torch.stack(added), torch.stack([product(row) for row in added])


def _orthogonal(vector: Tensor, bases: list[Tensor]) -> Tensor | None:
    """Return the unit vector of the part outside orthonormal rows, None where that is rounding."""
    vector = vector / vector.norm()
    for _ in range(3):
        for rows in bases:
            vector = vector - (rows @ vector) @ rows
        length = float(vector.norm())
        if not length > INDEPENDENT:
            return None
        vector = vector / length
    return vector


def _outside(vector: Tensor, image: Tensor, basis: Tensor, images: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return the part of a vector outside orthonormal rows, of unit length, with its image, shape (1, n); None if small."""
    vector, image = vector / vector.norm(), image / vector.norm()
    for _ in range(3):
        along = basis @ vector
        vector, image = vector - along @ basis, image - along @ images
        length = float(vector.norm())
        if not length > APART or not bool(torch.isfinite(image).all()):
            return None, image[None]
        vector, image = vector / length, image / length
    return vector[None], image[None]
