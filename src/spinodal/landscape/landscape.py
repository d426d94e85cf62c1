"""The error of a network as a function of one flat vector: `E(theta)`, its gradient and Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import NoReturn, Self

import torch
from torch import Tensor, nn

from spinodal.counts import Ledger
from spinodal.errors import SpinodalError
from spinodal.landscape import hessian as dense
from spinodal.landscape.batches import FIRST, Batch, Batches, Samples, is_of_samples, joined, part_of, size_of
from spinodal.landscape.checks import check_loss, check_second_derivatives, refuse_complex, refuse_randomness
from spinodal.landscape.consistency import EQUAL, parts_are_whole, somewhere
from spinodal.landscape.copying import copied
from spinodal.landscape.energy import Energy, LossFunction
from spinodal.landscape.gradient_graph import products_at_once
from spinodal.landscape.joint_scale import joint_blocks
from spinodal.landscape.kinks import smoothness
from spinodal.landscape.listed import settled_list
from spinodal.landscape.reading.idle import idle_parameters
from spinodal.landscape.reading.sizes import settle_sizes
from spinodal.landscape.sharding import shards_of
from spinodal.landscape.shards import Shards
from spinodal.landscape.sums import Piece, Sums

MANY = 4096  # samples of a batch, below which it is never taken in parts
DEPTH = 6  # graphs of second derivatives hold so many times what the graph of the loss holds
WHOLE, PART = 4, 16  # shares of the memory: of what a batch that is not taken in parts may hold, and of what a part may hold
PAYS = 1_000_000  # parameters times samples from which single precision is faster
SINGLE = "single"  # how the data of `Landscape.single` were made of those of the landscape


class Landscape(Energy):
    """`E(theta) = sum_b (n_b / n) loss(model, batch_b)` on the flat vector of trainable parameters.

    The module is copied, never changed. Frozen parameters stay fixed, tied ones count once.

    Parameters
    ----------
    model : nn.Module
        Any module whose evaluation is deterministic (no dropout, no batch statistics).
    loss : callable (model, batch) -> scalar
        The **mean** over the batch's samples.
    data : one batch, or a re-iterable of batches
        A batch holds tensors or arrays in any nested structure (see `Batches`), or is None where the loss ignores it.
        Batches are weighted by their numbers of samples, so unequal batches agree with one batch.
    dtype : torch.dtype
        Default float64, in which certificates are computed; float32 for large networks.
    device : str or torch.device
        Default "cpu".
    memory : int
        Bytes a dense Hessian may use beyond its own n^2 numbers, and the activations of all samples and what estimates hold
        besides: batches that need more are taken in parts, where E is a mean over samples. Default 512 MiB.
    samples : callable batch -> int, optional
        The number of samples of a batch. Default: the first axis of its tensors; where they begin with different axes, it is
        read from the loss (see `settle_sizes`).
    soften : float, optional
        The sharpness s > 0 of the smooth operations that ReLU and its kin are replaced by (see `Softening`). Default: none
        are replaced.
    shards : int, optional
        A number S of parts into which the data are cut; sums over them are added in double precision and in their order, so
        that they are the same to the last bit whichever process sums which of them (see `map_phases`). Default: no cut.

    Raises
    ------
    SpinodalError
        If the data are empty or not finite, or cannot be cut into shards, if the loss is not a finite differentiable scalar,
        or if E is not a function of theta; the cause is named. Where second derivatives are first
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
        samples: Samples | None = None,
        soften: float | None = None,
        shards: int | Shards | None = None,
    ) -> None:
        refuse_complex(model)
        refuse_randomness(model)
        super().__init__(model, loss, data, dtype=dtype, device=device, memory=memory, samples=samples, soften=soften)
        self._hessian_method: dense.Method | None = None
        self._bends = False  # whether second derivatives were checked
        self.remarks: tuple[str, ...] = ()  # what a user should know about how E was read
        if (given := settled_list(self, data)) is not data:
            self.batches = self.batches_of(given)
            self.notes += (f"the data, a list of {len(given[0])} tensors, are one batch",)
        self._source = self.batches.source  # as it was given
        settle_sizes(self)
        if shards is not None:
            self.shards = shards if isinstance(shards, Shards) else Shards(shards)
            self.batches = shards_of(self, self.shards)
        self.batches = self._affordable()
        self.remarks = (*check_loss(self), *smoothness(self))

    def batches_of(self, data: object) -> Batches:
        """Return other data as this landscape reads its own, refused where they are not finite."""
        batches = Batches(settled_list(self, data), dtype=self.dtype, device=self.device, samples=self.samples)
        batches.check_finite()
        return batches

    @cached_property
    def idle(self) -> tuple[str, ...]:
        """Return the names of the parameters that E does not depend on; looked for once, at no count."""
        return idle_parameters(self)

    @cached_property
    def joint_blocks(self) -> tuple[tuple[str, ...], ...]:
        """Return the blocks of parameter tensors whose common scale E does not feel; looked for once, at no count."""
        return joint_blocks(self)

    @cached_property
    def single(self) -> Landscape | None:
        """Return this landscape in float32, for searches that need no more; None where it saves or serves nothing.

        Arithmetic then takes half the time. It does not pay below `PAYS` parameters times samples.
        """
        if self.dtype != torch.float64 or self.size * self.batches.total < PAYS:
            return None
        try:
            twin = self.with_loss(self.loss, dtype=torch.float32)
        except (SpinodalError, RuntimeError):  # a loss that is bound to double precision
            return None
        exact, rounded = self.uncounted_value(self._given), twin.uncounted_value(twin._given)
        if not abs(exact - rounded) <= EQUAL[torch.float32] * (abs(exact) + abs(rounded)):
            return None
        twin.batches.made_of = (self.batches, SINGLE)
        twin.ledger = self.ledger  # it spends on the same accounts
        twin._bends = True  # its second derivatives are checked in double precision, see `require_second_derivatives`
        return twin

    def with_loss(self, loss: LossFunction, *, dtype: torch.dtype | None = None) -> Landscape:
        """Return the landscape of another loss of the same model and data, in this precision unless another is given."""
        with self.at(self._given) as model:
            return self._making(model, loss)(dtype=dtype or self.dtype)

    def maker(self) -> Callable[[], Landscape]:
        """Return what makes this landscape again, in another thread or process: a copy of the module, the loss and the data.

        Examples
        --------
        >>> E = Landscape(nn.Linear(1, 1), nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
        >>> E.maker()().value(E.initial) == E.value(E.initial)
        True
        """
        with self.at(self._given) as lent:
            model = copied(lent)
        return partial(self._making(model, self.loss), shards=None if self.shards is None else self.shards.number)

    def __copy__(self) -> Self:
        """Return another landscape of the same module, loss and data."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: another process would get parameters that do not follow theta any more, and wrong values."""
        raise SpinodalError(
            got="a Landscape is pickled, to be sent to another process, or copied deeply",
            allowed="its module follows one flat vector in place, which such a copy loses",
            do="send `landscape.maker()`, which makes it again there",
        )

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

    def made_in(self, way: Iterable[str | int]) -> Landscape | None:
        """Return the twin that was made of this landscape in these steps (see `Batches.way_from`), None where there is none."""
        twin: Landscape | None = self
        for step in way:
            if twin is not None:
                twin = twin.part(step) if isinstance(step, int) else twin.single
        return twin

    # -- second derivatives -----------------------------------------------------------------

    def hessian_product(self, theta: Tensor, vectors: Tensor) -> Tensor:
        """Return `H(theta) v`, for one vector (n,) or k of them (k, n), in the same shape."""
        self.require_second_derivatives()
        self.ledger.charge(hessian_products=vectors.numel() // self.size)
        return self.uncounted_product(theta, vectors)

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
            self.ledger.charge(hessian_products=len(rows))
            return graph.products(rows).view_as(vectors)

        return product

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the dense Hessian of E, shape (n, n), symmetric.

        Networks whose trainable parameters all sit in `nn.Linear` layers applied to rows of
        independent samples use the per-sample factorisation (see `spinodal.landscape.hessian`); every result
        is compared with a Hessian product, which belongs to the cost of the Hessian. Everything else
        uses chunked, vectorised products within `memory` bytes.
        """
        method = self.hessian_method
        self.ledger.charge(hessians=1, passes=method.passes(self))
        return method.dense(self, theta)

    def third_product(self, theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return `D^3 E(theta)[u, v, .]`, the gradient of `u . H(theta) v`, shape (n,); it counts as two Hessian products."""
        self.require_second_derivatives()
        self.ledger.charge(hessian_products=2)
        return self.summed(_add_third, theta, u, v).parts["third"]

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
        batches = self._split(theta, pieces)
        return None if batches is None else self.over_batches(batches)

    def part(self, pieces: int) -> Landscape | None:
        """Return E over every `pieces`-th sample of each batch, with counts of its own; None where `split` returns None."""
        if self._split(self._given, pieces) is None:
            return None
        twin = self.over_batches(self.batches.every(pieces))
        twin.batches.made_of = (self.batches, pieces)
        twin.ledger = Ledger(parameters=self.size)
        return twin._gathered() if self.shards is None else twin  # other processes know the parts, not one batch of them

    # -- plumbing ---------------------------------------------------------------------------

    def _making(self, model: nn.Module, loss: LossFunction) -> partial[Landscape]:
        """Return what makes the landscape of a module and a loss on the same data, as this one was made."""
        return partial(
            Landscape, model, loss, self._source, dtype=self.dtype, device=self.device, memory=self.memory,
            samples=self.samples, soften=self.sharpness, shards=self.shards,
        )  # fmt: skip

    def _gathered(self) -> Landscape:
        """Return the same E over all samples in one batch, or as few as memory allows: small ones that lie apart are slow.

        As it is where that is another E, and where each batch has a weight of its own.
        """
        whole = joined(list(self.batches)) if self.batches.sized_by == FIRST else None
        if whole is None:
            return self
        twin = self.over_batches(Batches(whole, dtype=self.dtype, device=self.device))
        twin.batches = twin._affordable()
        try:
            same = all(parts_are_whole(self, twin.batches, self.batches, theta) for theta in (self._given, somewhere(self)))
        except Exception:  # noqa: BLE001 - the user's loss, with more samples than the user calls it with
            return self
        return twin if same else self

    def _affordable(self) -> Batches:
        """Return the batches, in parts where the graph of E of a whole one would need over a quarter of `memory` bytes.

        Only where E is a mean over samples: two ways to cut all of the data must agree.
        """
        if self.batches.largest < MANY:
            return self.batches
        try:
            each = self._bytes_of_a_sample(self._given)
            most = self._samples_of_a_part(each)
            parts, others = self.batches.split(1, most), self.batches.split(1, max(2, 2 * most // 3))
            if self.batches.largest * each <= self.memory // WHOLE or parts is None or others is None:
                return self.batches
            points = (self._given, somewhere(self))
            return parts if all(parts_are_whole(self, parts, others, theta) for theta in points) else self.batches
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            return self.batches

    def _split(self, theta: Tensor, pieces: int) -> Batches | None:
        """Return the data in smaller batches if E over them is E, at theta and at a random point."""
        if not is_of_samples(next(iter(self.batches))):
            return None
        try:
            most = self._samples_of_a_part(self._bytes_of_a_sample(theta)) // products_at_once(self.size, theta.element_size())
            batches = self.batches.split(pieces, max(2, most))
            points = (theta, somewhere(self))
            agree = batches and all(parts_are_whole(self, batches, self.batches, point) for point in points)
        except Exception:  # noqa: BLE001 - the user's loss, with fewer samples than the user calls it with
            return None
        return batches if agree else None

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


def _add_third(landscape: Energy, piece: Piece, sums: Sums, u: Tensor, v: Tensor) -> None:
    sums.add("third", landscape.lent_graph(piece.model, piece.batch).third_product(u, v), piece.weight)
