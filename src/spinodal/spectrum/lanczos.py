"""The Lanczos process on a budget of products: it starts anew where a space closes, and in less memory where that is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinodal.definitions import UNSYMMETRIC
from spinodal.spectrum.krylov import Krylov, random_vectors

LEAST_PRODUCTS = 12  # before anything counts as converged
LOOKS = 24  # from so many dimensions on, not every product is followed by a look

Keep = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of the spectrum after some products.

    Attributes
    ----------
    krylov : Krylov
        Changes as the process goes on.
    values : array, shape (k,)
        Ritz values, rising.
    weights : array, shape (k, k)
        Their vectors in the basis, as columns.
    products : int
    closed : int
        How many Krylov spaces were exhausted: how often each eigenvalue was found that has so many copies.
    """

    krylov: Krylov
    values: np.ndarray
    weights: np.ndarray
    products: int
    closed: int

    @property
    def is_closed(self) -> bool:
        """Tell whether all pairs are exact because the last space has just been exhausted."""
        return self.is_whole or not self.krylov.is_open

    @property
    def is_whole(self) -> bool:
        """Tell whether the basis spans everything."""
        return len(self.krylov) == self.krylov.rows.shape[1]

    @property
    def largest(self) -> float:
        """Return the largest |Ritz value|, a lower bound of the largest |eigenvalue|."""
        return float(np.abs(self.values).max())

    @property
    def rounding(self) -> float:
        """Return how far rounding may have moved the Ritz values."""
        return max(self.krylov.noise, UNSYMMETRIC * float(torch.finfo(self.krylov.rows.dtype).eps) * self.largest)

    @property
    def residuals(self) -> np.ndarray:
        """Return `||H y - value y||` of every pair but for rounding, shape (k,): some eigenvalue lies within it."""
        outside: np.ndarray = (0.0 if self.is_closed else self.krylov.leak) * np.abs(self.weights[-1])
        return outside


def lanczos(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    *,
    budget: int,
    seed: int = 0,
    rows: int,
    keep: Keep,
    precision: torch.dtype | None = None,
    first: int = LEAST_PRODUCTS,
    every: int = 1,
) -> Iterator[Look]:
    """Yield looks at a growing Krylov space until it spans everything or the budget is spent.

    Parameters
    ----------
    product : callable ``v (n,) -> H v (n,)``
    like : Tensor, shape (n,)
        Gives n, dtype and device.
    budget : int
        Most products; with 0 nothing is yielded.
    seed : int
        Of the start vectors.
    rows : int
        Most basis vectors in memory: with so many, the process restarts with those that `keep` chooses.
    keep : callable ``values (k,) -> indices``
        Which Ritz vectors to keep in a restart, fewer than `rows`.
    precision : torch.dtype, optional
        Of the products. Default: that of `like`.
    first : int
        Products before the first look.
    every : int
        Products from one look to the next, at least: looks cost more than products that are cheap.
    """
    starts, closed = random_vectors(like, seed), 0
    krylov = Krylov(next(starts), precision or like.dtype, most=rows, sums=torch.float64)
    for products in range(1, budget + 1):
        krylov.grow(product)
        is_time = products >= first and _is_time(krylov, products, every)
        if not is_time and products < budget and krylov.is_open and not krylov.is_full:
            continue
        look = Look(krylov, *krylov.ritz(), products, closed)
        if look.is_closed:
            closed += 1
            look = Look(krylov, look.values, look.weights, products, closed)
        yield look
        if look.is_whole or products == budget:
            return
        if look.is_closed:
            krylov.reseed(next(starts))
        if krylov.is_full:
            chosen = keep(look.values)
            krylov.restart(look.values[chosen], look.weights[:, chosen])


def _is_time(krylov: Krylov, products: int, every: int) -> bool:
    """Tell whether to look at the Ritz values, whose price grows with the cube of their number."""
    return products % max(len(krylov) // LOOKS, every) == 0


def grow_together(spaces: Sequence[Krylov], product: Callable[[Tensor], Tensor], steps: int) -> int:
    """Grow spaces side by side by up to so many dimensions each; return the number of products.

    Products of rows (k, n) are cheaper at once. A space that closes stops.
    """
    products, growing = 0, list(spaces)
    for _ in range(steps):
        images = product(torch.stack([space.direction() for space in growing]))
        products += len(growing)
        for space, image in zip(growing, images, strict=True):
            space.absorb(image)
        growing = [space for space in growing if space.is_open]
        if not growing:
            break
    return products


def rows_in(memory: int, like: Tensor, least: int) -> int:
    """Return how many vectors fit into so many bytes, with the copy that a growing buffer needs, but at least `least`."""
    return max(least, memory * 2 // (3 * like.element_size() * max(len(like), 1)))
