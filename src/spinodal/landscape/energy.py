"""The error of a network as a function of one flat vector: evaluations and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn

from spinodal.counts import Counts, Ledger
from spinodal.landscape.attention import plain_attention
from spinodal.landscape.batches import Batch, Batches, Samples, is_of_samples, part_of, size_of
from spinodal.landscape.copying import evaluable, hooks_left_out, plain_module
from spinodal.landscape.criterion import Criterion
from spinodal.landscape.gradient_graph import GradientGraph
from spinodal.landscape.lender import Lender
from spinodal.landscape.parameters import Parameters, Substitution
from spinodal.landscape.shards import Shards
from spinodal.landscape.soften import Softening, check_sharpness
from spinodal.landscape.sums import Add, Arguments, Choose, Piece, Sums, adding

LossFunction = Callable[[nn.Module, Batch], Tensor]


class Energy:
    """`E(theta) = sum_b (n_b / n) loss(model, batch_b)`, evaluated; `Landscape` says what it takes and what it guarantees.

    Attributes
    ----------
    model : nn.Module
        A copy of the user's, which is lent with its parameters set to theta.
    loss : callable (model, batch) -> scalar
    parameters : Parameters
    batches : Batches
    shards : Shards or None
        Where sums over the data are taken shard by shard.
    notes : tuple of str
        What a user should know about how model and data were taken, in words.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        data: object,
        *,
        dtype: torch.dtype,
        device: str | torch.device,
        memory: int,
        samples: Samples | None = None,
        soften: float | None = None,
    ) -> None:
        if soften is not None:
            check_sharpness(soften)
        self.device, self.dtype, self.memory, self.samples = torch.device(device), dtype, memory, samples
        self.model = evaluable(plain_module(model)).to(device=self.device, dtype=dtype)
        self.notes = hooks_left_out(model)
        self.loss: LossFunction = _cast(Criterion.of(loss), dtype, self.device)
        self.parameters = Parameters(self.model)
        self.batches = Batches(data, dtype=dtype, device=self.device, samples=samples)
        self.batches.check_finite()
        self.shards: Shards | None = None
        self.ledger = Ledger(parameters=self.size)
        self.softening = None if soften is None else Softening(soften)
        flat = torch.empty(self.size, dtype=dtype, device=self.device)
        self.lender = Lender(self.model, self.parameters, flat, self.softening)
        self._substituted = Substitution(_Scalar(self.model, self.loss))
        self._leaves = self.lender.leaves
        self._given = self.lender.flat.clone()

    @property
    def size(self) -> int:
        """Return n, the number of trainable parameters."""
        return self.parameters.size

    @property
    def initial(self) -> Tensor:
        """Return theta of the module as it was given, shape (n,)."""
        return self._given.clone()

    @property
    def sharpness(self) -> float | None:
        """Return the sharpness of what takes the place of kinks, None where E is as it was given."""
        return None if self.softening is None else self.softening.sharpness

    @property
    def sharpness_now(self) -> float | None:
        """Return the sharpness that E is evaluated with at the moment, see `as_given` and `softened`."""
        return getattr(self.lender.softening, "sharpness", None)

    # -- what is spent ----------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """Return the evaluations since this landscape was made; what a computation took, `counting` tells."""
        return self.ledger.total

    def counting(self) -> AbstractContextManager[Counts]:
        """Count what a block spends, on this landscape and its twins; blocks may lie in one another.

        Examples
        --------
        >>> one = nn.Linear(1, 1, bias=False)
        >>> E = Energy(one, lambda model, batch: model.weight.square().sum(), None, dtype=torch.float64, device="cpu", memory=0)
        >>> with E.counting() as spent:
        ...     slope = E.gradient(E.initial)
        >>> spent.gradient_evaluations, spent.error_evaluations
        (1, 0)
        """
        return self.ledger.counting()

    def uncounted(self) -> AbstractContextManager[None]:
        """Count nothing of a block outside of it: for what is done again, or to check the code."""
        return self.ledger.uncounted()

    # -- values and gradients ---------------------------------------------------------------

    def value(self, theta: Tensor) -> float:
        """Return `E(theta)`."""
        self.ledger.charge(error_evaluations=1)
        return self.uncounted_value(theta)

    def uncounted_value(self, theta: Tensor) -> float:
        """Return `E(theta)` for a check of the code, which is no cost of the user's computation."""
        return self.summed(_add_error, theta).error

    def gradient(self, theta: Tensor) -> Tensor:
        """Return `grad E(theta)`, shape (n,)."""
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return `E(theta)` and `grad E(theta)`, shape (n,), in one pass."""
        self.ledger.charge(gradient_evaluations=1)
        sums = self.summed(_add_gradient, theta)
        return sums.error, sums.parts["gradient"]

    def values_and_gradients(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return E, shape (k,), and gradients, shape (k, n), at k points, shape (k, n).

        Point by point: over whole data sets `vmap` was measured to be no faster, and rows stay independent.
        """
        values, gradients = zip(*(self.value_and_gradient(theta) for theta in thetas), strict=True)
        return thetas.new_tensor(values), torch.stack(gradients)

    def as_given(self) -> AbstractContextManager[None]:
        """Evaluate with the kinks of the model and the loss as they were given, while the context lasts."""
        return self._with(nullcontext())

    def softened(self, sharpness: float) -> AbstractContextManager[None]:
        """Evaluate with smooth operations of this sharpness in place of kinks, while the context lasts."""
        return self._with(Softening(sharpness))

    @contextmanager
    def _with(self, softening: AbstractContextManager[object]) -> Iterator[None]:
        self.lender.softening, kept = softening, self.lender.softening
        try:
            yield
        finally:
            self.lender.softening = kept

    def error_as_given(self, theta: Tensor) -> float:
        """Return E of the model and the loss as they were given, kinks and all, uncounted: what softening is compared with."""
        with self.as_given():
            return self.uncounted_value(theta)

    # -- products -------------------------------------------------------------------------------

    def uncounted_product(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Return `H(theta) v` for a check of the code, which is no cost of the user's computation."""
        sums = self.summed(_add_products, theta, vectors.reshape(-1, self.size))
        return sums.parts["products"].view_as(vectors)

    def gradient_graph(self, theta: Tensor) -> GradientGraph:
        """Return the gradient of the first batch's error at theta with its graph, which stays valid."""
        leaf = theta.detach().clone().requires_grad_(True)
        return GradientGraph(self.call(leaf, next(iter(self.batches))), [leaf])

    def batch_product(self, theta: Tensor, batch: Batch, vectors: Tensor) -> Tensor:
        """Return `H_b(theta) v` of one batch's own error, in the shape of `vectors`; it is counted by whoever sums batches."""
        with self.lender.at(theta) as model:
            return self.lent_graph(model, batch).products(vectors.reshape(-1, self.size)).view_as(vectors)

    # -- plumbing ---------------------------------------------------------------------------

    def at(self, theta: Tensor) -> AbstractContextManager[nn.Module]:
        """Lend the landscape's module with its parameters set to theta, a copy inside another loan at another theta.

        Gradients are on, as E is one function.
        """
        return self.lender.lend(theta)

    def over(self, theta: Tensor, batches: Batches) -> tuple[float, Tensor]:
        """Return the error over these batches at theta and its gradient, shape (n,), uncounted."""
        sums = Sums()
        self.walk(_add_gradient, theta, (), adding(sums), batches)
        return sums.error, sums.parts["gradient"]

    def summed(self, add: Add, theta: Tensor, *arguments: Any, start: Mapping[str, Tensor] | None = None) -> Sums:
        """Return what `add` adds up over the data, with the module lent at theta: the one way to a sum over all of them."""
        if self.shards is not None:
            return self.shards.summed(self, add, theta, arguments, start)
        sums = Sums(start)
        self.walk(add, theta, arguments, adding(sums))
        return sums

    def walk(self, add: Add, theta: Tensor, arguments: Arguments, choose: Choose, batches: Batches | None = None) -> None:
        """Walk the batches with the module lent at theta; add of each to the sums that are chosen for its number, if any."""
        with self.lender.at(theta) as model:
            for number, (weight, batch) in enumerate((batches or self.batches).weighted()):
                if (sums := choose(number)) is not None:
                    add(self, Piece(model, batch, weight, number), sums, *arguments)

    def call(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the loss of one batch as a differentiable function of theta, shape ()."""
        return self.call_of(self.parameters.unflatten(theta), batch)

    def call_of(self, named: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return the loss of one batch as a differentiable function of parameters by their names, shape ()."""
        with plain_attention(), self.lender.softening:
            error: Tensor = self._substituted({f"model.{name}": value for name, value in named.items()}, (batch,))
        return error

    def slope(self, error: Tensor) -> Tensor | None:
        """Return the gradient of a loss taken from the lent module, shape (n,), None where it does not depend on theta."""
        if not error.requires_grad:
            return None
        parts = torch.autograd.grad(error, self._leaves, allow_unused=True)
        return None if all(part is None for part in parts) else self._join(parts)

    def over_batches(self, batches: Batches) -> Self:
        """Return the same error over other batches; model and counts are shared."""
        twin = copy.copy(self)
        twin.batches = batches
        return twin

    def of_few(self, samples: int) -> Self:
        """Return the error of a few samples, taken from all over the first batch, for checks of the code.

        It need not be the mean that E is; all of E where the loss cannot do with few.
        """
        first = next(iter(self.batches))
        if not is_of_samples(first) or size_of(first) <= samples:
            return self
        some = part_of(first, slice(None, None, -(-size_of(first) // samples)))
        twin = self.over_batches(Batches(some, dtype=self.dtype, device=self.device))
        try:
            finite = math.isfinite(twin.uncounted_value(self._given))
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            return self
        return twin if finite else self

    def lent_graph(self, model: nn.Module, batch: Batch) -> GradientGraph:
        """Return the gradient of a batch's error with its graph, valid while the model is lent.

        Of small networks, the substitution of parameters in `gradient_graph` takes a third of a product.
        """
        return GradientGraph(self.loss(model, batch), self._leaves)

    def _join(self, gradients: Sequence[Tensor | None]) -> Tensor:
        pairs = zip(gradients, self._leaves, strict=True)
        return torch.cat([(torch.zeros_like(leaf) if part is None else part).reshape(-1) for part, leaf in pairs])


def _add_error(landscape: Energy, piece: Piece, sums: Sums) -> None:
    sums.error += piece.weight * float(landscape.loss(piece.model, piece.batch).detach())


def _add_gradient(landscape: Energy, piece: Piece, sums: Sums) -> None:
    error = landscape.loss(piece.model, piece.batch)
    sums.error += piece.weight * float(error.detach())
    gradient, slope = sums.room("gradient", (landscape.size,), landscape.lender.flat), landscape.slope(error)
    if slope is not None:
        gradient.add_(slope, alpha=piece.weight)


def _add_products(landscape: Energy, piece: Piece, sums: Sums, rows: Tensor) -> None:
    graph, total = landscape.lent_graph(piece.model, piece.batch), sums.room("products", rows.shape, rows)
    graph.add_products(rows, total, piece.weight, is_last=True)


def _cast(loss: LossFunction, dtype: torch.dtype, device: torch.device) -> LossFunction:
    """Return a loss that is a module, with class weights among its buffers, in the dtype of the model; others as they are."""
    return copy.deepcopy(loss).to(dtype=dtype, device=device) if isinstance(loss, nn.Module) else loss


class _Scalar(nn.Module):
    """The scalar `loss(model, batch)` as a module, so that parameters can be substituted."""

    def __init__(self, model: nn.Module, loss: LossFunction) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(self.model, batch)
