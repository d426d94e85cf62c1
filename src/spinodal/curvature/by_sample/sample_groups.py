"""Probes that differ from one group of samples to the next: the trace of H from one pass, with far less noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.func import jvp, vmap

from spinodal.curvature.by_sample.pass_of_probes import PassOfProbes
from spinodal.curvature.deflation import Deflation
from spinodal.curvature.probes import Probes
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.landscape.structure import flatten, named_tensors

GROUPS = 64  # more of them gain little where H of a group is dominated by few samples
AT_ONCE = 2**23  # bytes of probes in one vectorised call
AGREE = {torch.float64: 1e-8, torch.float32: 1e-2}  # relative, of two ways to the same form

Form = Callable[[Tensor, Batch], Tensor]


class SampleGroups:
    """`tr P H P` by independent probes for every group g of samples, `sum_g w_g (P v_g)^T H_g (P v_g)`.

    E is a mean over samples, so `H = sum_g w_g H_g`. Giving each group a probe of its own costs what one product with
    one probe for all costs, and is unbiased as well, but the errors of the groups average out: the variance is
    `2 sum_g w_g^2 ||H_g||_F^2` in place of `2 ||H||_F^2` (without the diagonals, for signs). With G alike groups it is G
    times smaller. No vectors are needed, so that forms are second derivatives along a line, `d^2 E_g(theta + t v) / dt^2`,
    by forward differentiation, which keeps no activations.

    Parameters
    ----------
    landscape : Landscape
        With one batch for every group, see `Landscape.split`.
    theta : Tensor, shape (n,)
    probes : Probes
    """

    sees_all = False
    outputs = None

    def __init__(self, landscape: Landscape, theta: Tensor, probes: Probes) -> None:
        self.landscape, self.theta, self.probes = landscape, theta, probes
        self._form: Form | None = None
        self._chunk = max(1, AT_ONCE // (len(theta) * theta.element_size()))

    def trace(self, known: Deflation) -> PassOfProbes:
        """Return one unbiased estimate of tr H, of which only `tr P H P` is not known; it counts as one product."""
        self.landscape.ledger.charge(hessian_products=1)
        total = known.trace()
        for weights, batches in self._chunks():
            vectors = known.outside(self.probes.rows(len(batches)))
            total += float(weights @ self._forms(vectors, batches).double().cpu())
        return PassOfProbes(total, None)

    def _chunks(self) -> Iterator[tuple[Tensor, list[Batch]]]:
        """Walk groups of equal shape, as many as are taken at once, with their weights."""
        held: list[tuple[float, Batch]] = []
        for weight, batch in self.landscape.batches.weighted():
            if held and (len(held) == self._chunk or _shape(batch) != _shape(held[0][1])):
                yield _separated(held)
                held = []
            held.append((weight, batch))
        yield _separated(held)

    def _forms(self, vectors: Tensor, batches: list[Batch]) -> Tensor:
        """Return `v_g^T H_g v_g` for every group, shape (groups,)."""
        if self._form is None:
            self._form = self._choose(vectors[0], batches[0])
        with torch.no_grad() if self._form == self._forward else torch.enable_grad():
            if len(batches) > 1:
                try:
                    return self._vectorised(self._form, vectors, batches)
                except (RuntimeError, NotImplementedError, ValueError):  # an operation that vmap cannot batch
                    self._chunk = 1
            return torch.stack([self._form(vector, batch) for vector, batch in zip(vectors, batches, strict=True)])

    def _vectorised(self, form: Form, vectors: Tensor, batches: list[Batch]) -> Tensor:
        """Return the forms of groups of equal shape in one call, with their tensors side by side."""
        leaves, structure = flatten(batches[0])
        moving = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        columns = zip(*(flatten(batch)[0] for batch in batches), strict=True)
        stacked = {place: torch.stack(column) for place, column in enumerate(columns) if place in moving}

        def of_one(vector: Tensor, rows: dict[int, Tensor]) -> Tensor:
            return form(vector, structure.filled([rows.get(place, leaf) for place, leaf in enumerate(leaves)]))

        return vmap(of_one)(vectors, stacked)

    def _choose(self, vector: Tensor, batch: Batch) -> Form:
        """Return the forward way if it works here and agrees with the reverse one."""
        exact = self._reverse(vector, batch)
        try:
            with torch.no_grad():
                found = self._forward(vector, batch)
        except (RuntimeError, NotImplementedError, ValueError):
            return self._reverse
        close = AGREE.get(self.theta.dtype, 1e-2)
        return self._forward if float((found - exact).abs()) <= close * (1e-12 + float(exact.abs())) else self._reverse

    def _forward(self, vector: Tensor, batch: Batch) -> Tensor:
        def slope(at: Tensor) -> Tensor:
            rate: Tensor = jvp(lambda there: self.landscape.call(there, batch), (at,), (vector,))[1]
            return rate

        bend: Tensor = jvp(slope, (self.theta,), (vector,))[1]
        return bend

    def _reverse(self, vector: Tensor, batch: Batch) -> Tensor:
        return vector @ self.landscape.batch_product(self.theta, batch, vector)


def _shape(batch: Batch) -> list[torch.Size]:
    return [value.shape for _, value in named_tensors(batch)]


def _separated(held: list[tuple[float, Batch]]) -> tuple[Tensor, list[Batch]]:
    return torch.tensor([weight for weight, _ in held], dtype=torch.float64), [batch for _, batch in held]
