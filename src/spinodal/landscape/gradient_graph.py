"""The gradient of one batch's error at one theta, with its graph: Hessian and third products (reverse over reverse)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROWS, ROW_BYTES = 16, 2**22  # vectors of Hessian products that are vectorised


class GradientGraph:
    """The graph of `grad E(theta)`, from which products are taken.

    Parameters
    ----------
    error : Tensor, shape ()
        E, with its graph.
    leaves : sequence of Tensor
        What theta consists of, in its order: one vector, or the parameters of a module.

    Examples
    --------
    `E = x^3 y` at (1, 2) has the Hessian `[[12, 3], [3, 0]]`:

    >>> x, y = leaves = [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)]
    >>> graph = GradientGraph(x**3 * y, leaves)
    >>> graph.products(torch.eye(2)).tolist(), graph.third_product(torch.ones(2), torch.tensor([1.0, 0.0])).tolist()
    ([[12.0, 3.0], [3.0, 0.0]], [18.0, 6.0])
    """

    def __init__(self, error: Tensor, leaves: Sequence[Tensor]) -> None:
        self.leaves = list(leaves)
        self.slopes: Sequence[Tensor | None] = torch.autograd.grad(error, self.leaves, create_graph=True, allow_unused=True)
        self._sizes = [leaf.numel() for leaf in self.leaves]
        self._are_small = sum(self._sizes) * self.leaves[0].element_size() <= ROW_BYTES
        self._together = products_at_once(sum(self._sizes), self.leaves[0].element_size())

    def products(self, rows: Tensor) -> Tensor:
        """Return `H v` for every row, shape (k, n)."""
        total = torch.zeros_like(rows)
        self.add_products(rows, total, 1.0)
        return total

    def add_products(self, rows: Tensor, total: Tensor, weight: float, *, is_last: bool = False) -> None:
        """Add `weight H v` for every row to those of a total; the graph is used up if these are the last products."""
        if len(rows) == 1:  # most are, and of small networks every call counts
            self._add(self._pulled(self.slopes, rows[0], keeps=not is_last), total[0], weight)
            return
        chunks = list(zip(torch.split(rows, self._together), torch.split(total, self._together), strict=True))
        for index, (chunk, place) in enumerate(chunks):
            if len(chunk) == 1 or self._together == 1 or not self._add_several(chunk, place, weight):
                self._add_each(chunk, place, weight, keeps=not is_last or index + 1 < len(chunks))

    def third_product(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the gradient of `u . H v`, shape (n,)."""
        total = torch.zeros_like(u)
        self._add(self._pulled(self._pulled(self.slopes, v, bends=True), u), total, 1.0)
        return total

    def _add_several(self, rows: Tensor, total: Tensor, weight: float) -> bool:
        """Add products by vmap, or tell that it cannot batch an operation of the user's model."""
        try:
            products = self._pulled(self.slopes, rows, several=True)
        except RuntimeError:
            self._together = 1
            return False
        self._add(products, total, weight)
        return True

    def _add_each(self, rows: Tensor, total: Tensor, weight: float, *, keeps: bool) -> None:
        for index, (row, place) in enumerate(zip(rows, total, strict=True)):
            self._add(self._pulled(self.slopes, row, keeps=keeps or index + 1 < len(rows)), place, weight)

    def _pulled(
        self, outputs: Sequence[Tensor | None], v: Tensor, *, several: bool = False, bends: bool = False, keeps: bool = True
    ) -> Sequence[Tensor | None]:
        """Return the gradient of `outputs . v`, leaf by leaf; None where it is zero."""
        seeds = self._parted(v)
        bent = [pair for pair in zip(outputs, seeds, strict=True) if pair[0] is not None and pair[0].requires_grad]
        if not bent:
            return [None] * len(self.leaves)
        heads, chosen = zip(*bent, strict=True)
        found: Sequence[Tensor | None] = torch.autograd.grad(
            heads, self.leaves, chosen, create_graph=bends, retain_graph=keeps, is_grads_batched=several, allow_unused=True
        )
        return found

    def _parted(self, v: Tensor) -> list[Tensor]:
        """Return the parts of theta's vectors, shape (n,) or (k, n), in the shapes of the leaves."""
        parts = zip(torch.split(v, self._sizes, dim=-1), self.leaves, strict=True)
        return [part.reshape(v.shape[:-1] + leaf.shape) for part, leaf in parts]

    def _add(self, parts: Sequence[Tensor | None], total: Tensor, weight: float) -> None:
        """Add parts where they belong: small ones joined, in one call; large ones would need room for one vector more."""
        found = [part for part in parts if part is not None]
        if self._are_small and len(found) == len(self.leaves):
            total.add_(torch.cat([part.reshape(*total.shape[:-1], -1) for part in found], -1), alpha=weight)
            return
        for part, place in zip(parts, torch.split(total, self._sizes, dim=-1), strict=True):
            if part is not None:
                place.add_(part.reshape(place.shape), alpha=weight)


def products_at_once(size: int, width: int) -> int:
    """Return how many products of n numbers of so many bytes are vectorised: of large networks none, where it saves no time."""
    return max(1, min(ROWS, ROW_BYTES // (size * width)))
