"""Two ways to a dense Hessian of the error: factorised over samples, or product by product.

**Factorised.** Let every trainable parameter sit in an `nn.Linear` layer `z_l = W_l a_l + b_l`
applied once to the rows (samples) of a matrix, and let samples meet only in the mean. Shift every
`z_l` by `eps_l`; then with `F(eps)` the error, `g_l = dF/deps_l`, `B = d2F/deps2` and
`J = da/deps`, all per sample i, and `a' = (a, 1)`,

    H[W_l (o,p), W_m (q,r)] = sum_i ( B_i[lo, mq] a'_l,i[p] + g_l,i[o] J_i[lp, mq] ) a'_m,i[r],  m <= l

(the second term only for m < l). B and J need one product per *neuron* instead of one per
*parameter*, and the sum is a matrix product. Since samples do not meet, one direction serves all
samples at once. Whether they truly do not meet is not assumed: the result is compared with an
ordinary Hessian product, at a random point before the method is chosen and then at every theta it
is used at. Where they differ, vectorised products take its place.

**Vectorised.** Chunks of unit vectors through reverse-over-reverse products, one parameter tensor
after the other, differentiating only with respect to this and later tensors: the lower triangle
follows by symmetry. Each tensor is a leaf of its own, and no part of one theta, so that PyTorch leaves
out what lies in front of it: of a network whose parameters come in their order of use, half or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from spinodal.counts import passes_of
from spinodal.definitions import HESSIAN_PRODUCT_COST
from spinodal.landscape.copying import hooked
from spinodal.landscape.sums import Piece, Sums

if TYPE_CHECKING:
    from spinodal.landscape.batches import Batch
    from spinodal.landscape.energy import Energy

CACHE_BYTES = 2 * 2**20  # intermediates of this size stay in cache; measured in bench/hessian.py
DIRECTIONS = 64  # unit vectors in one vectorised pass
FEWEST, CACHED = 8, 2**23  # rows at least in a batch of products, and bytes of intermediates that stay near the processor
FEW = 4  # rows up to which one product after the other is faster than a batch of them
SAMPLES = 32  # with which the factorised method is tried; every result is compared over all of them
CHECK_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative, of two ways to the same product


class Method(Protocol):
    """A way to compute the dense Hessian of E, with a name to report."""

    name: str

    def dense(self, landscape: Energy, theta: Tensor) -> Tensor:
        """Return H, shape (n, n)."""
        ...

    def passes(self, landscape: Energy) -> int:
        """Return what `dense` costs in gradients."""
        ...


def choose(landscape: Energy) -> Method:
    """Return the factorised method where it applies and its check passes, else the vectorised one."""
    layers = _linear_layers(landscape)
    if layers is None:
        return Vectorised()
    method = Factorised(layers)
    return method if _agrees(landscape.of_few(SAMPLES), method) else Vectorised()


def _agrees(landscape: Energy, method: Factorised) -> bool:
    """Tell whether the method works, and with what result, at a random point."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(landscape.initial)
    theta = landscape.initial + 0.1 * noise
    try:
        return is_hessian(landscape, theta, method.factorised(landscape, theta))
    except (RuntimeError, NotImplementedError, ValueError):  # an operation that vmap cannot batch
        return False


def is_hessian(landscape: Energy, theta: Tensor, claimed: Tensor) -> bool:
    """Compare `H v`, for one random v, with a Hessian product, which is not counted."""
    generator = torch.Generator().manual_seed(1)
    probe = torch.randn(landscape.size, generator=generator, dtype=torch.float64).to(theta)
    exact, found = landscape.uncounted_product(theta, probe), claimed @ probe
    tolerance = CHECK_TOLERANCE.get(landscape.dtype, 1e-3)
    return bool((found - exact).norm() <= tolerance * (exact.norm() + found.norm()))


# -- factorised over samples -----------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """One linear layer and the place of its `(W, b)` in theta, row by row; -1 marks frozen entries."""

    name: str
    inputs: int
    outputs: int
    bias: bool
    index: Tensor


def _linear_layers(landscape: Energy) -> list[_Layer] | None:
    """Return the linear layers in order of use if they hold every trainable parameter, else None."""
    order = _order_of_use(landscape)
    if order is None:
        return None
    slots = {slot.name: slot for slot in landscape.parameters.slots}
    layers = []
    for name, module in order:
        parts = []
        for kind, shape in (("weight", (module.out_features, module.in_features)), ("bias", (module.out_features, 1))):
            if kind == "bias" and module.bias is None:
                continue
            slot = slots.pop(f"{name}.{kind}" if name else kind, None)
            frozen = torch.full(shape, -1)
            parts.append(frozen if slot is None else torch.arange(slot.start, slot.stop).view(shape))
        index = torch.cat(parts, 1)
        layers.append(_Layer(name, module.in_features, module.out_features, module.bias is not None, index.reshape(-1)))
    return None if slots else layers


def _order_of_use(landscape: Energy) -> list[tuple[str, nn.Linear]] | None:
    """Run the first batch and return the linear layers in the order of their calls, or None if one does not fit."""
    calls: list[tuple[str, nn.Linear]] = []
    fits: list[bool] = []
    batch = next(iter(landscape.batches))
    names = {module: name for name, module in landscape.model.named_modules() if type(module) is nn.Linear}

    def record(module: nn.Linear, arguments: tuple[Any, ...], output: Tensor) -> None:
        calls.append((names[module], module))
        fits.append(output.dim() == 2)

    with hooked(names, record), landscape.at(landscape.initial) as model:
        landscape.loss(model, batch)
    once = len(calls) == len({name for name, _ in calls})
    return calls if calls and once and all(fits) else None


@dataclass(frozen=True)
class _Samples:
    """What the factorisation needs of one batch; the sample axis is last, `N` long."""

    inputs: list[Tensor]  # a'_l: (inputs_l [+ 1], N)
    slopes: list[Tensor]  # g_l: (outputs_l, N)
    curvatures: dict[tuple[int, int], Tensor]  # B: (outputs_l, outputs_m, N), l >= m
    jacobians: dict[tuple[int, int], Tensor]  # J: (inputs_l, outputs_m, N), m < l


class Factorised:
    """The per-sample factorisation for networks of linear layers; see the module's docstring."""

    name = "factorised over samples"

    def __init__(self, layers: list[_Layer]) -> None:
        self.layers = layers
        ends = list(accumulate(len(layer.index) for layer in layers))
        self.spans = [slice(end - len(layer.index), end) for end, layer in zip(ends, layers, strict=True)]
        self.total = ends[-1]
        index = torch.cat([layer.index for layer in layers])
        trained = torch.nonzero(index >= 0)[:, 0]
        self.place = trained[index[trained].argsort()]  # where each entry of theta sits in layer order

    def dense(self, landscape: Energy, theta: Tensor) -> Tensor:
        """Return H, shape (n, n): by vectorised products where samples turn out to meet at theta."""
        matrix = self.factorised(landscape, theta)
        if is_hessian(landscape, theta, matrix):
            return matrix
        landscape.ledger.charge(passes=Vectorised().passes(landscape))
        return Vectorised().dense(landscape, theta)

    def passes(self, landscape: Energy) -> int:
        """Return what one Hessian costs in gradients.

        One gradient; a product for every neuron's slope and one to compare with; a pass backwards for every activation
        that a later layer takes; and the sum over samples, half of an n by n matrix.
        """
        products = 1 + sum(layer.outputs for layer in self.layers)
        backwards = sum(layer.inputs for layer in self.layers[1:])
        shape = {"parameters": self.total, "samples": landscape.batches.total}
        summed = passes_of(0.5 * self.total**2 * landscape.batches.total, **shape)
        return math.ceil(1 + HESSIAN_PRODUCT_COST * products + backwards + summed)

    def factorised(self, landscape: Energy, theta: Tensor) -> Tensor:
        """Return what is H, shape (n, n), if samples do not meet at theta."""
        ordered = landscape.summed(_add_blocks, theta, self, theta).parts["ordered"]
        for late, rows in enumerate(self.spans):
            for columns in self.spans[:late]:
                ordered[columns, rows] = ordered[rows, columns].T
        place = self.place.to(theta.device)
        return ordered[place][:, place]

    def add_blocks(self, samples: _Samples, weight: float, ordered: Tensor) -> None:
        """Add the lower blocks of H of one batch, layer by layer, rows (output, input [+ bias])."""
        for late, rows in enumerate(self.spans):
            for early, columns in enumerate(self.spans[: late + 1]):
                ordered[rows, columns].add_(self._block(samples, late, early), alpha=weight)

    def differentiated(self, landscape: Energy, theta: Tensor, batch: Batch) -> _Samples:
        """Return activations, slopes, curvatures and Jacobians with respect to shifts of every layer's output."""
        shifts: list[Tensor] = []
        activations: list[Tensor] = []

        def shift(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
            activations.append(arguments[0])
            shifts.append(torch.zeros_like(output, requires_grad=True))
            return output.detach() + shifts[-1] if len(shifts) == 1 else output + shifts[-1]

        layers = [landscape.model.get_submodule(layer.name) for layer in self.layers]
        with hooked(layers, shift), landscape.at(theta) as model:
            error = landscape.loss(model, batch)
        slopes = torch.autograd.grad(error, shifts, create_graph=True, materialize_grads=True)
        curvatures = {}
        for early, slope in enumerate(slopes):  # only later layers are differentiated: B is symmetric
            rows = _sample_wise(slope, shifts[early:])
            for late, block in enumerate(rows, start=early):
                curvatures[late, early] = block.permute(2, 0, 1).contiguous()
        jacobians = {}
        for late in range(1, len(self.layers)):
            for early, block in enumerate(_sample_wise(activations[late], shifts[:late])):
                jacobians[late, early] = block.permute(0, 2, 1).contiguous()
        return _Samples(self._inputs(activations), [slope.detach().T.contiguous() for slope in slopes], curvatures, jacobians)

    def _inputs(self, activations: list[Tensor]) -> list[Tensor]:
        """Return the layers' inputs with the sample axis last, and a row of ones where there is a bias."""
        inputs = []
        for layer, value in zip(self.layers, activations, strict=True):
            rows = value.detach().T
            inputs.append(torch.cat([rows, rows.new_ones(1, rows.shape[1])]) if layer.bias else rows.contiguous())
        return inputs

    def _block(self, samples: _Samples, late: int, early: int) -> Tensor:
        """Return the block of H between two layers, rows and columns ordered (output, input [+ bias])."""
        if late == early:
            return _diagonal_block(samples.curvatures[late, late], samples.inputs[late])
        return _off_diagonal_block(
            samples.curvatures[late, early],
            samples.slopes[late],
            samples.jacobians[late, early],
            samples.inputs[late],
            samples.inputs[early],
        )


def _add_blocks(landscape: Energy, piece: Piece, sums: Sums, method: Factorised, theta: Tensor) -> None:
    samples = method.differentiated(landscape, theta, piece.batch)
    method.add_blocks(samples, piece.weight, sums.room("ordered", (method.total, method.total), theta))


def _sample_wise(value: Tensor, shifts: list[Tensor]) -> list[Tensor]:
    """Return `d value_i[p] / d shift_i[q]` for every sample i and shift, each of shape (p, N, q).

    One direction serves all samples at once, because no sample's value depends on another's shift.
    """
    count, width = value.shape
    if not value.requires_grad:
        return [value.new_zeros(width, count, shift.shape[1]) for shift in shifts]
    units = torch.eye(width, dtype=value.dtype, device=value.device)[:, None, :].expand(-1, count, -1)
    parts = [_batched(value, shifts, chunk) for chunk in torch.split(units, DIRECTIONS)]
    return [torch.cat(blocks) for blocks in zip(*parts, strict=True)]


def _sample_chunks(total: int, rows: int, like: Tensor) -> Iterator[slice]:
    """Walk the samples in slices whose intermediate of `rows` numbers a sample stays in cache."""
    step = max(32, CACHE_BYTES // (like.element_size() * max(rows, 1)))
    return (slice(start, start + step) for start in range(0, total, step))


def _diagonal_block(curvature: Tensor, inputs: Tensor) -> Tensor:
    """Return `sum_i B_i[o, q] a_i[p] a_i[r]` as an (op, qr) matrix, using both its symmetries."""
    outputs, width, count = len(curvature), len(inputs), inputs.shape[1]
    pairs, where = _triangle(width, inputs.device)
    neurons, place = _triangle(outputs, inputs.device)
    triangle = curvature[neurons[0], neurons[1]]
    total = inputs.new_zeros(len(triangle), pairs.shape[1])
    for part in _sample_chunks(count, pairs.shape[1], inputs):
        piece = inputs[:, part]
        total.addmm_(triangle[:, part], (piece[pairs[0]] * piece[pairs[1]]).T)
    full = total[place.reshape(-1)][:, where.reshape(-1)].view(outputs, outputs, width, width)
    return full.permute(0, 2, 1, 3).reshape(outputs * width, outputs * width)


def _off_diagonal_block(curvature: Tensor, slope: Tensor, jacobian: Tensor, late: Tensor, early: Tensor) -> Tensor:
    """Return `sum_i (B_i[o, q] a_l,i[p] + g_i[o] J_i[p, q]) a_m,i[r]` as an (op, qr) matrix."""
    outputs, others, count = curvature.shape
    width, plain, rest = len(late), len(jacobian), len(early)
    total = late.new_zeros(outputs * width * others, rest)
    for part in _sample_chunks(count, outputs * width * others, late):
        left = curvature[:, None, :, part] * late[None, :, None, part]
        left[:, :plain] += slope[:, None, None, part] * jacobian[None, :, :, part]
        total.addmm_(left.reshape(outputs * width * others, -1), early[:, part].T)
    return total.view(outputs * width, others * rest)


def _triangle(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the pairs (2, size (size + 1) / 2) of a triangle and the (size, size) map from entries to pairs."""
    pairs = torch.triu_indices(size, size, device=device)
    where = torch.empty(size, size, dtype=torch.long, device=device)
    where[pairs[0], pairs[1]] = where[pairs[1], pairs[0]] = torch.arange(pairs.shape[1], device=device)
    return pairs, where


# -- vectorised products ---------------------------------------------------------------------


class Vectorised:
    """Unit vectors through reverse-over-reverse products, in chunks that fit the memory budget."""

    name = "vectorised products"

    def dense(self, landscape: Energy, theta: Tensor) -> Tensor:
        """Return H, shape (n, n)."""
        upper = landscape.summed(_add_upper, theta, self, theta).parts["upper"]
        return upper.triu() + upper.triu(1).T

    def passes(self, landscape: Energy) -> int:
        """Return what one Hessian costs in gradients: n products."""
        return math.ceil(HESSIAN_PRODUCT_COST * landscape.size)

    def add_upper(self, landscape: Energy, theta: Tensor, batch: Batch, weight: float, upper: Tensor) -> None:
        """Add the upper triangle of H of one batch."""
        slots = landscape.parameters.slots
        leaves = [theta[slot.start : slot.stop].detach().clone().requires_grad_(True) for slot in slots]
        named = {slot.name: leaf.view(slot.shape) for slot, leaf in zip(slots, leaves, strict=True)}
        error, saved = with_saved_bytes(lambda: landscape.call_of(named, batch))
        slopes = torch.autograd.grad(error, leaves, create_graph=True, materialize_grads=True)
        chunk = max(1, min(landscape.memory // max(1, 6 * saved), max(FEWEST, CACHED // max(1, saved)), DIRECTIONS))
        for position, slot in enumerate(slots):
            slope = slopes[position]
            if not slope.requires_grad:
                continue
            units = torch.eye(slope.numel(), dtype=theta.dtype, device=theta.device)
            for start in range(0, len(units), chunk):
                rows = _products(slope, leaves[position:], units[start : start + chunk])
                first = slot.start + start
                upper[first : first + len(rows), slot.start :].add_(rows, alpha=weight)


def _add_upper(landscape: Energy, piece: Piece, sums: Sums, method: Vectorised, theta: Tensor) -> None:
    room = sums.room("upper", (len(theta), len(theta)), theta)
    method.add_upper(landscape, theta, piece.batch, piece.weight, room)


def with_saved_bytes(function: Callable[[], Any]) -> tuple[Any, int]:
    """Run `function` and return its result with the bytes autograd saved for the backward pass.

    Where `torch.func` differentiates inside, nothing can be seen of them; then none are.
    """
    seen: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        numbers = value if value.layout == torch.strided else value.to_sparse_coo()._values()  # type: ignore[no-untyped-call]
        seen[_address(numbers)] = numbers.numel() * numbers.element_size()
        return value

    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            result = function()
    except RuntimeError as cause:
        if "saved tensor hooks" not in str(cause):
            raise
        return function(), 0
    return result, sum(seen.values())


def _address(value: Tensor) -> int:
    """Return where the numbers of a tensor lie, or which one it is where it is one that wraps others."""
    try:
        return value.data_ptr()
    except RuntimeError:
        return id(value)


def _products(slope: Tensor, leaves: list[Tensor], rows: Tensor) -> Tensor:
    """Return the rows of `d slope / d leaves`, shape (k, sizes of the leaves)."""
    try:
        if len(rows) > FEW:
            return torch.cat(_batched(slope, leaves, rows), 1)
    except RuntimeError:  # an operation of the user's model that vmap cannot batch
        pass
    singles = (torch.autograd.grad(slope, leaves, row, retain_graph=True, materialize_grads=True) for row in rows)
    return torch.stack([torch.cat(parts) for parts in singles])


def _batched(value: Tensor, inputs: list[Tensor], rows: Tensor) -> list[Tensor]:
    """Return `row . d value / d input` for k rows, each of shape (k, *input); PyTorch leaves out the k where it is zero."""
    parts = torch.autograd.grad(value, inputs, rows, retain_graph=True, is_grads_batched=True, allow_unused=True)
    pairs = zip(parts, inputs, strict=True)
    return [given.new_zeros(len(rows), *given.shape) if part is None else part for part, given in pairs]
