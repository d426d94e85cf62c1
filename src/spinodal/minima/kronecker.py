"""A preconditioner for large networks: Kronecker factors of the Gauss-Newton matrix, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from spinodal.counts import PASS_MULTIPLICATIONS, passes_of
from spinodal.definitions import HESSIAN_PRODUCT_COST
from spinodal.landscape import Landscape
from spinodal.landscape.sums import Piece, Sums
from spinodal.minima.layer_rows import input_rows, is_supported, output_rows, weight_matrix
from spinodal.minima.output_roots import MOST_OUTPUTS, output_roots

FLOOR = 0.1  # of beta: least curvature beside the penalty's own
OUTPUTS, INPUTS, GAUSS, BENT = "outputs", "inputs", "gauss", "bent"  # what is summed of every layer


@dataclass(frozen=True)
class Block:
    """One layer's part `A (x) G` of the Gauss-Newton matrix, in its eigenbases.

    Attributes
    ----------
    weight, bias : (start, stop) in theta
        `bias` is None where there is none that is trained.
    shape : tuple of int
        Of the weight.
    left : Tensor, shape (outputs, outputs)
        Eigenvectors of G, the mean square of backward signals, as columns.
    right : Tensor, shape (inputs [+ 1], inputs [+ 1]), or None
        Those of A, the mean square of inputs; None where A is diagonal.
    values : Tensor, shape (outputs, inputs [+ 1])
        Curvature along their products.
    """

    kind: str
    weight: tuple[int, int]
    bias: tuple[int, int] | None
    shape: torch.Size
    left: Tensor
    right: Tensor | None
    values: Tensor

    def turned(self, vector: Tensor, scale: Tensor, *, back: bool) -> tuple[Tensor, Tensor | None]:
        """Return a vector's part in the eigenbases times a scale (or the way back): of the weight and of the bias, flat."""
        matrix = weight_matrix(self.kind, vector[slice(*self.weight)].view(self.shape))
        if self.bias is not None:
            matrix = torch.cat([matrix, vector[slice(*self.bias)][:, None]], 1)
        matrix = self._back(matrix * scale) if back else self._into(matrix) * scale
        bias = None if self.bias is None else matrix[:, -1]
        weight = matrix if self.bias is None else matrix[:, :-1]
        return weight_matrix(self.kind, weight, back=self.shape).reshape(-1), bias

    def _into(self, matrix: Tensor) -> Tensor:
        turned = self.left.T @ matrix
        return turned if self.right is None else turned @ self.right

    def _back(self, matrix: Tensor) -> Tensor:
        turned = self.left @ matrix
        return turned if self.right is None else turned @ self.right.T


@dataclass(frozen=True)
class Kronecker:
    """`P = A (x) G + 2 beta` for every linear, convolutional and embedding layer, and a multiple of the identity elsewhere.

    Made once at a point; `at_beta` gives it for any beta at no cost.

    Source: J. Martens & R. Grosse, ICML (2015); R. Grosse & J. Martens, ICML (2016) for convolutions.
    """

    blocks: tuple[Block, ...]
    others: Tensor
    price: int
    shift: float = 0.0
    scales: tuple[Tensor, ...] = field(default=())

    def at_beta(self, beta: float) -> Kronecker:
        """Return the preconditioner for L at another beta."""
        shift = (2.0 + FLOOR) * beta
        return replace(self, shift=shift, scales=tuple((block.values + shift).rsqrt() for block in self.blocks))

    def spread(self, vector: Tensor) -> Tensor:
        """Return `S v`."""
        return self._applied(vector, back=True)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return `S^T g`."""
        return self._applied(gradient, back=False)

    def inverse(self, vector: Tensor) -> Tensor:
        """Return `P^-1 v`."""
        return self.spread(self.gather(vector))

    def _applied(self, vector: Tensor, *, back: bool) -> Tensor:
        result = vector * (self.others + self.shift).rsqrt()
        for block, scale in zip(self.blocks, self.scales, strict=True):
            weight, bias = block.turned(vector, scale, back=back)
            result[slice(*block.weight)] = weight
            if block.bias is not None and bias is not None:
                result[slice(*block.bias)] = bias
        return result


def kronecker(landscape: Landscape, theta: Tensor) -> Kronecker | None:
    """Return the Kronecker factors at theta; None where the network has no such layer, or its outputs cannot be seen.

    Examples
    --------
    One linear layer, squared error: the Gauss-Newton matrix is `2 x x^T`, exactly.

    >>> line = nn.Linear(2, 1, bias=False)
    >>> E = Landscape(line, lambda model, x: model(x).square().mean(), torch.tensor([[1.0, 2.0]]))
    >>> found = kronecker(E, torch.zeros(2, dtype=torch.float64))
    >>> found.blocks[0].values.round(decimals=9).tolist()
    [[0.0, 10.0]]
    """
    try:
        bases = _bases(landscape, theta)
        values = _values(landscape, theta, bases)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # a loss or a layer that cannot be looked into
        return None
    blocks = tuple(block for name, base in bases.items() if (block := _block(landscape, name, base, values[name])) is not None)
    if not blocks or not all(bool(torch.isfinite(block.values).all()) for block in blocks):
        return None
    return Kronecker(blocks, _elsewhere(theta, blocks), _price(landscape, blocks))


@dataclass(frozen=True)
class _Basis:
    """The eigenvectors of a layer's factors, as columns; `right` is None where inputs are numbers of rows (an embedding).

    `bends` is the curvature along them, shape (outputs, inputs [+ 1]), that the Gauss-Newton matrix does not hold.
    """

    module: nn.Module
    left: Tensor
    right: Tensor | None
    bends: Tensor


@dataclass(frozen=True)
class _Seen:
    """One call of a layer: its input and its output, which has a graph."""

    name: str
    module: nn.Module
    given: Tensor
    made: Tensor
    place: int = 0  # among all calls of a walk over the batches

    def signs(self) -> Tensor:
        """Return random signs, shape (uses, outputs), the same for the same place."""
        rows = output_rows(self.module, self.made.detach())
        drawn = torch.randint(0, 2, rows.shape, generator=torch.Generator().manual_seed(self.place))
        return (2 * drawn - 1).to(rows)


def _bases(landscape: Landscape, theta: Tensor) -> dict[str, _Basis]:
    """Return the eigenvectors of the factors of every layer that the loss sees."""
    factors = landscape.summed(_add_factors, theta).parts
    bent = landscape.summed(_add_bent, theta).parts
    names = [name for what, name in map(_parted, factors) if what == OUTPUTS]
    return {
        name: _basis(
            landscape.model.get_submodule(name),
            factors[_called(OUTPUTS, name)],
            factors[_called(INPUTS, name)],
            bent[_called(BENT, name)] - factors[_called(GAUSS, name)],
        )
        for name in names
    }


def _add_factors(landscape: Landscape, piece: Piece, sums: Sums) -> None:
    """Add the mean squares of the inputs and of the backward signals of every layer, and of signals times random signs."""
    for call, signals in _signals(landscape, piece):
        sums.add(_called(INPUTS, call.name), input_rows(call.module, call.given).square_mean(piece.weight))
        for signal in signals:
            sums.add(_called(OUTPUTS, call.name), piece.weight * signal.T @ signal)
            along = call.signs() * signal
            sums.add(_called(GAUSS, call.name), piece.weight * (along.sum(1, keepdim=True) * along).sum(0))


def _called(what: str, name: str) -> str:
    return f"{what} {name}"


def _parted(called: str) -> tuple[str, str]:
    what, _, name = called.partition(" ")
    return what, name


def _basis(module: nn.Module, outputs: Tensor, inputs: Tensor, rest: Tensor) -> _Basis:
    """Return the eigenvectors of a layer's factors; of the residual part of the Hessian what is positive is added."""
    rest = rest.clamp_min(0.0)
    left = torch.linalg.eigh(outputs + rest.diag()).eigenvectors
    sizes, right = (inputs.to(rest), None) if inputs.dim() == 1 else torch.linalg.eigh(inputs)
    return _Basis(module, left, right, (rest @ left.square())[:, None] * sizes.clamp_min(0.0))


def _add_bent(landscape: Landscape, piece: Piece, sums: Sums) -> None:
    """Add the curvature of E along every output of every layer, summed over samples, shape (outputs,).

    It comes from one product with random signs, independent from sample to sample, which average out what lies beside the
    diagonal; the Gauss-Newton part is taken with the same signs, so that of the rest alone there is noise. The rest holds
    the curvature of the activations, which is large where many units saturate or are unused.
    """
    calls: list[_Seen] = []
    with _watching(piece.model, calls, None):
        error = landscape.loss(piece.model, piece.batch)
    calls = _placed(calls, piece)
    made = [call.made for call in calls]
    slopes = torch.autograd.grad(error, made, create_graph=True, materialize_grads=True)
    pairs = zip(calls, slopes, strict=True)
    pushed = torch.stack([(call.signs() * output_rows(call.module, slope)).sum() for call, slope in pairs]).sum()
    images = torch.autograd.grad(pushed, made, materialize_grads=True)
    for call, image in zip(calls, images, strict=True):
        sums.add(_called(BENT, call.name), piece.weight * (call.signs() * output_rows(call.module, image)).sum(0))


def _placed(calls: list[_Seen], piece: Piece) -> list[_Seen]:
    """Return the calls with their places among those of all batches."""
    return [replace(call, place=piece.number * len(calls) + place) for place, call in enumerate(calls)]


def _values(landscape: Landscape, theta: Tensor, bases: dict[str, _Basis]) -> dict[str, Tensor]:
    """Return the Gauss-Newton matrix's own diagonal in the eigenbases, shape (outputs, inputs [+ 1]) for every layer.

    Products of the factors' eigenvalues would be wrong by up to the number of classes, as inputs and signals go together.

    Source: T. George et al., NeurIPS (2018).
    """
    turns = {name: (base.left, base.right) for name, base in bases.items()}
    start = {name: base.bends for name, base in bases.items()}
    return landscape.summed(_add_values, theta, turns, start=start).parts


def _add_values(landscape: Landscape, piece: Piece, sums: Sums, turns: dict[str, tuple[Tensor, Tensor | None]]) -> None:
    for call, signals in _signals(landscape, piece):
        if call.name not in turns:
            continue
        (left, right), rows = turns[call.name], input_rows(call.module, call.given)
        for signal in signals:
            sums.add(call.name, piece.weight * rows.summed((signal @ left).square(), right))


def _signals(landscape: Landscape, piece: Piece) -> Iterator[tuple[_Seen, list[Tensor]]]:
    """Yield every call of a layer in one batch with its backward signals, rows of (uses, outputs)."""
    calls: list[_Seen] = []
    cuts: list[tuple[Tensor, Tensor]] = []
    with _watching(piece.model, calls, cuts):
        error = landscape.loss(piece.model, piece.batch)
    (made, copy), *others = cuts
    if others or not calls:
        raise ValueError(len(cuts))
    signals: list[list[Tensor]] = [[] for _ in calls]
    for direction in output_roots(error, copy):
        slopes = torch.autograd.grad(made, [call.made for call in calls], direction, retain_graph=True, allow_unused=True)
        for call, slope, kept in zip(calls, slopes, signals, strict=True):
            if slope is not None:
                kept.append(output_rows(call.module, slope))
    yield from ((call, kept) for call, kept in zip(_placed(calls, piece), signals, strict=True) if kept)


@contextmanager
def _watching(model: nn.Module, calls: list[_Seen], cuts: list[tuple[Tensor, Tensor]] | None) -> Iterator[None]:
    """Note the calls of all layers while the context lasts; where `cuts` is given, hand the loss a copy of what is made."""

    def note(name: str, module: nn.Module) -> object:
        def hook(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            calls.append(_Seen(name, module, given[0].detach(), made))

        return module.register_forward_hook(hook)

    def cut(module: nn.Module, given: object, made: Tensor) -> Tensor:
        if cuts is None:
            return made
        copy = made.detach().requires_grad_(True)
        cuts.append((made, copy))
        return copy

    hooks = [note(name, module) for name, module in model.named_modules() if is_supported(module)]
    hooks.append(model.register_forward_hook(cut))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()  # type: ignore[attr-defined]


def _block(landscape: Landscape, name: str, base: _Basis, values: Tensor) -> Block | None:
    """Return the block of a layer whose weight is trained, None of another."""
    slots = {slot.name: slot for slot in landscape.parameters.slots}
    weight, bias = slots.get(f"{name}.weight" if name else "weight"), slots.get(f"{name}.bias" if name else "bias")
    if weight is None:
        return None
    place = None if bias is None else (bias.start, bias.stop)
    kind = type(base.module).__name__
    return Block(kind, (weight.start, weight.stop), place, weight.shape, base.left, base.right, values)


def _elsewhere(theta: Tensor, blocks: tuple[Block, ...]) -> Tensor:
    """Return a curvature for every parameter, shape (n,), used where no block is: the mean of those of the blocks."""
    total, count = sum(float(block.values.sum()) for block in blocks), sum(block.values.numel() for block in blocks)
    return torch.full_like(theta, total / count)


def _price(landscape: Landscape, blocks: tuple[Block, ...]) -> int:
    """Return what the factors cost in gradients: the passes through the model, the sums over samples, the eigenbases."""
    samples, probes = landscape.batches.total, min(blocks[-1].left.shape[0], MOST_OUTPUTS)
    multiplications = 0.0
    for block in blocks:
        outputs, inputs = block.values.shape
        multiplications += samples * (inputs**2 + probes * outputs * (outputs + inputs)) + 5.0 * (inputs**3 + outputs**3)
    walks = 2 * (1 + probes) / PASS_MULTIPLICATIONS  # forwards once, backwards to the layers' outputs for every root
    summed = passes_of(multiplications, parameters=landscape.size, samples=samples)
    return math.ceil(walks + HESSIAN_PRODUCT_COST) + summed
