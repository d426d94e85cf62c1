"""The error of a network as a function of one flat vector: `E(theta)`, its gradient and Hessian."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call

from spinodal import hessian as dense
from spinodal.batches import Batch, Batches, part_of, size_of
from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.gradient_graph import GradientGraph, products_at_once
from spinodal.parameters import Parameters
from spinodal.soundness import check_loss, check_second_derivatives, refuse_complex, refuse_randomness, samples_are_apart

LossFunction = Callable[[nn.Module, Batch], Tensor]

MANY = 4096  # samples of a batch, below which it is never taken in parts
DEPTH = 6  # graphs of second derivatives hold so many times what the graph of the loss holds
WHOLE, PART = 4, 16  # shares of the memory: of what a batch that is not taken in parts may hold, and of what a part may hold
PAYS = 1_000_000  # parameters times samples from which single precision is faster


class Landscape:
    """`E(theta) = sum_b (n_b / n) loss(model, batch_b)` on the flat vector of trainable parameters.

    The module is copied, never changed. Frozen parameters stay fixed, tied ones count once.

    Parameters
    ----------
    model : nn.Module
        Any module whose evaluation is deterministic (no dropout, no batch statistics).
    loss : callable (model, batch) -> scalar
        The **mean** over the batch's samples.
    data : one batch, or a re-iterable of batches
        A batch is a tensor, a tuple or a dict of tensors, or None where the loss ignores it.
        Batches are weighted by their sizes, so unequal batches agree with one batch.
    dtype : torch.dtype
        Default float64, in which certificates are computed; float32 for large networks.
    device : str or torch.device
        Default "cpu".
    memory : int
        Bytes a dense Hessian may use beyond its own n^2 numbers, and the activations of all samples and what estimates hold
        besides: batches that need more are taken in parts, where E is a mean over samples. Default 512 MiB.

    Raises
    ------
    SpinodalError
        If the data are empty or not finite, if the loss is not a finite differentiable scalar, or
        if E is not a function of theta; the cause is named. Where second derivatives are first
        needed: if there are none, or if they are not symmetric.

    Notes
    -----
    This is E alone: the penalty `beta * ||theta||^2` is added by `Regularised`.

    Examples
    --------
    >>> line = nn.Linear(1, 1, bias=False)
    >>> batch = (torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]]))
    >>> E = Landscape(line, lambda model, b: ((model(b[0]) - b[1]) ** 2).mean(), batch)
    >>> theta = torch.tensor([1.0], dtype=torch.float64)
    >>> E.value(theta), E.gradient(theta).item(), E.hessian(theta).item()
    (2.5, -5.0, 5.0)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        data: object,
        *,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
        memory: int = 512 * 2**20,
    ) -> None:
        self.device, self.dtype, self.memory = torch.device(device), dtype, memory
        refuse_complex(model)
        self.model = copy.deepcopy(model).to(device=self.device, dtype=dtype)
        self.loss = loss
        refuse_randomness(self.model)
        self.energy = _Energy(self.model, loss)
        self.parameters = Parameters(self.model)
        self.batches = Batches(data, dtype=dtype, device=self.device)
        self.batches.check_finite()
        self.counts = Counts(parameters=self.size)
        self._flat = torch.empty(self.size, dtype=dtype, device=self.device)
        self._leaves = self.parameters.bind(self.model, self._flat)
        self._given = self._flat.clone()
        self._hessian_method: dense.Method | None = None
        self._bends = False  # whether second derivatives were checked
        self._source = self.batches.source  # as it was given
        self.batches = self._affordable()
        check_loss(self)

    @property
    def size(self) -> int:
        """Return n, the number of trainable parameters."""
        return self.parameters.size

    @property
    def initial(self) -> Tensor:
        """Return theta of the module as it was given, shape (n,)."""
        return self._given.clone()

    @cached_property
    def single(self) -> Landscape | None:
        """Return this landscape in float32, for searches that need no more; None where it saves or serves nothing.

        Arithmetic then takes half the time. It does not pay below `PAYS` parameters times samples.
        """
        if self.dtype != torch.float64 or self.size * self.batches.total < PAYS:
            return None
        try:
            with self.at(self._given) as model:
                twin = Landscape(model, self.loss, self._source, dtype=torch.float32, device=self.device, memory=self.memory)
        except (SpinodalError, RuntimeError):  # a loss that is bound to double precision
            return None
        twin._bends = True  # its second derivatives are checked in double precision, see `require_second_derivatives`
        return twin

    def vector(self, theta: object) -> Tensor:
        """Return `theta` as a vector of this landscape, or refuse it."""
        if isinstance(theta, nn.Module):
            theta = self.parameters.flatten(theta)
        if not isinstance(theta, Tensor) or theta.shape != (self.size,):
            shape = tuple(theta.shape) if isinstance(theta, Tensor) else type(theta).__name__
            raise SpinodalError(
                got=f"theta is {shape}",
                allowed=f"a tensor of shape ({self.size},) is allowed",
                do="flatten with landscape.vector(module)",
            )
        if theta.is_complex():
            raise SpinodalError(got="theta is complex", allowed="real numbers are allowed", do="take its real part")
        vector = theta.detach().to(device=self.device, dtype=self.dtype)
        if not bool(torch.isfinite(vector).all()):
            raise SpinodalError(got="theta is not finite", allowed="finite numbers are allowed", do="start from another point")
        return vector

    # -- values and gradients ---------------------------------------------------------------

    def value(self, theta: Tensor) -> float:
        """Return `E(theta)`."""
        self.counts.error_evaluations += 1
        with self.at(theta) as model, torch.no_grad():
            return sum(weight * float(self.loss(model, batch)) for weight, batch in self.batches.weighted())

    def gradient(self, theta: Tensor) -> Tensor:
        """Return `grad E(theta)`, shape (n,)."""
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return `E(theta)` and `grad E(theta)`, shape (n,), in one pass."""
        self.counts.gradient_evaluations += 1
        total, gradient = 0.0, torch.zeros_like(self._flat)
        with self.at(theta) as model:
            for weight, batch in self.batches.weighted():
                error = self.loss(model, batch)
                total += weight * float(error.detach())
                gradient.add_(self._join(torch.autograd.grad(error, self._leaves, allow_unused=True)), alpha=weight)
        return total, gradient

    def values_and_gradients(self, thetas: Tensor) -> tuple[Tensor, Tensor]:
        """Return E, shape (k,), and gradients, shape (k, n), at k points, shape (k, n).

        Point by point: over whole data sets `vmap` was measured to be no faster, and rows stay independent.
        """
        values, gradients = zip(*(self.value_and_gradient(theta) for theta in thetas), strict=True)
        return thetas.new_tensor(values), torch.stack(gradients)

    # -- second derivatives -----------------------------------------------------------------

    def hessian_product(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Return `H(theta) v`, for one vector (n,) or k of them (k, n), in the same shape."""
        self.require_second_derivatives()
        self.counts.hessian_products += vectors.numel() // self.size
        return self.uncounted_product(theta, vectors)

    def uncounted_product(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Return `H(theta) v` for a check of the code, which is no cost of the user's computation."""
        rows = vectors.reshape(-1, self.size)
        total = torch.zeros_like(rows)
        with self.at(theta) as model:
            for weight, batch in self.batches.weighted():
                self._lent_graph(model, batch).add_products(rows, total, weight, is_last=True)
        return total.view_as(vectors)

    def gradient_graph(self, theta: Tensor) -> GradientGraph:
        """Return the gradient of the first batch's error at theta with its graph, which stays valid."""
        leaf = theta.detach().clone().requires_grad_(True)
        return GradientGraph(self.call(leaf, next(iter(self.batches))), [leaf])

    def hessian_operator(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `v -> H(theta) v`; with one batch, the gradient at theta is differentiated but once.

        With one batch each product then costs about 1.3 gradients instead of 2.4.
        """
        if self.batches.count > 1:
            return lambda vectors: self.hessian_product(theta, vectors)
        self.require_second_derivatives()
        graph = self.gradient_graph(theta)

        def product(vectors: Tensor) -> Tensor:
            rows = vectors.reshape(-1, self.size)
            self.counts.hessian_products += len(rows)
            return graph.products(rows).view_as(vectors)

        return product

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the dense Hessian of E, shape (n, n), symmetric.

        Networks whose trainable parameters all sit in `nn.Linear` layers applied to rows of
        independent samples use the per-sample factorisation (see `spinodal.hessian`); every result
        is compared with a Hessian product, which belongs to the cost of the Hessian. Everything else
        uses chunked, vectorised products within `memory` bytes.
        """
        method = self.hessian_method
        self.counts.hessians += 1
        self.counts.passes += method.passes(self)
        return method.dense(self, theta)

    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 E(theta)[u, v, .]`, the gradient of `u . H(theta) v`, shape (n,); it counts as two Hessian products."""
        self.require_second_derivatives()
        self.counts.hessian_products += 2
        total = torch.zeros_like(theta)
        with self.at(theta) as model:
            for weight, batch in self.batches.weighted():
                total.add_(self._lent_graph(model, batch).third_product(u, v), alpha=weight)
        return total

    @property
    def hessian_method(self) -> dense.Method:
        """Return how the dense Hessian is computed, chosen and checked at first use."""
        if self._hessian_method is None:
            self.require_second_derivatives()
            self._hessian_method = dense.choose(self)
        return self._hessian_method

    def require_second_derivatives(self) -> None:
        """Refuse E, at first use of its second derivatives, if it has none that can be relied on."""
        if not self._bends:
            check_second_derivatives(self)
            self._bends = True

    def batch_product(self, theta: Tensor, batch: Batch, vectors: Tensor) -> Tensor:
        """Return `H_b(theta) v` of one batch's own error, in the shape of `vectors`; it is counted by whoever sums batches."""
        with self.at(theta) as model:
            return self._lent_graph(model, batch).products(vectors.reshape(-1, self.size)).view_as(vectors)

    def split(self, theta: Tensor, *, pieces: int = 1) -> Landscape | None:
        """Return the same E with its batches split into smaller ones; model and counts are shared.

        None where E is not a mean over samples: where samples meet in the loss or in the model, as is verified at theta.

        Parameters
        ----------
        theta : Tensor, shape (n,)
        pieces : int
            Parts of every batch, at least: more where the activations of second derivatives would need over a sixteenth of
            `memory` bytes. Default 1.
        """
        if not samples_are_apart(self, theta):
            return None
        most = self._samples_of_a_part(self._bytes_of_a_sample(theta)) // products_at_once(self.size, theta.element_size())
        batches = self.batches.split(pieces, max(2, most))
        if batches is None:
            return None
        twin = copy.copy(self)
        twin.batches = batches
        return twin

    def of_few(self, samples: int) -> Landscape:
        """Return the mean over the first samples of the first batch, for checks of the code; all of E where samples meet."""
        first = next(iter(self.batches))
        if not samples_are_apart(self, self.initial):
            return self
        twin = copy.copy(self)
        twin.batches = Batches(part_of(first, slice(samples)), dtype=self.dtype, device=self.device)
        return twin

    # -- plumbing ---------------------------------------------------------------------------

    @contextmanager
    def at(self, theta: Tensor) -> Iterator[nn.Module]:
        """Lend the landscape's own module with its parameters set to theta."""
        self._flat.copy_(theta.detach())
        yield self.model

    def call(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the loss of one batch as a differentiable function of theta, shape ()."""
        named = {f"model.{name}": value for name, value in self.parameters.unflatten(theta).items()}
        error: Tensor = functional_call(self.energy, named, (batch,))
        return error

    def depends_on_theta(self, error: Tensor) -> bool:
        """Tell whether the loss of a batch, taken from the lent module, has a gradient with respect to theta."""
        return any(part is not None for part in torch.autograd.grad(error, self._leaves, allow_unused=True))

    def _lent_graph(self, model: nn.Module, batch: Batch) -> GradientGraph:
        """Return the gradient of a batch's error with its graph, valid while the model is lent.

        Of small networks, the substitution of parameters in `gradient_graph` takes a third of a product.
        """
        return GradientGraph(self.loss(model, batch), self._leaves)

    def _affordable(self) -> Batches:
        """Return the batches, in parts where the graph of E of a whole one would need over a quarter of `memory` bytes."""
        if self.batches.largest < MANY:
            return self.batches
        try:
            each = self._bytes_of_a_sample(self._given)
            if self.batches.largest * each <= self.memory // WHOLE or not samples_are_apart(self, self._given):
                return self.batches
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            return self.batches
        return self.batches.split(1, self._samples_of_a_part(each)) or self.batches

    def _samples_of_a_part(self, each: int) -> int:
        """Return how many samples at once second derivatives may take: few, as a heap wastes as much as they hold."""
        return max(2, self.memory // (PART * DEPTH * each))

    def _bytes_of_a_sample(self, theta: Tensor) -> int:
        """Return what the graph of the error holds for each sample, from those of few and of more of them."""
        batch = next(iter(self.batches))
        more = min(size_of(batch), 32)
        few = more // 2
        held = [self._held(theta, part_of(batch, slice(count))) for count in (few, more)]  # weights are held in both
        return max(1, (held[1] - held[0]) // (more - few))

    def _held(self, theta: Tensor, batch: Batch) -> int:
        """Return the bytes that the graph of the error of a batch holds."""
        return dense.with_saved_bytes(lambda: self.call(theta.clone().requires_grad_(True), batch))[1]

    def _join(self, gradients: Sequence[Tensor | None]) -> Tensor:
        pairs = zip(gradients, self._leaves, strict=True)
        return torch.cat([(torch.zeros_like(leaf) if part is None else part).reshape(-1) for part, leaf in pairs])


class _Energy(nn.Module):
    """The scalar `loss(model, batch)` as a module, so that parameters can be substituted."""

    def __init__(self, model: nn.Module, loss: LossFunction) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(self.model, batch)
