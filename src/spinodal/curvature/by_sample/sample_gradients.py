"""Inner products of per-sample gradients, without keeping the gradients: in factors, or a few samples at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from spinodal.curvature.by_sample.samples import SampleError, Samples, agree
from spinodal.landscape.copying import hooked
from spinodal.landscape.parameters import Substitution
from spinodal.landscape.structure import flatten

Pull = Callable[[Tensor], tuple[Tensor, ...]]  # u -> J_i^T u, in the shapes of the parameters
Function = Callable[[Pull, Tensor], tuple[Tensor, ...]]
LinearCall = tuple[nn.Linear, Tensor, Tensor]  # a layer, what it was given, and what it gave


class SampleGradients(Protocol):
    """Gradients `J_i^T u_i` of the outputs f_i of m samples with respect to the parameters, one for each sample."""

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Return `(J_i^T u_i) . (J_i^T v_i)` for u and v of shape (m, D): shape (m,), in float64."""
        ...


def sample_gradients(model: nn.Module, samples: Samples, part: slice, outputs: Tensor, memory: int) -> SampleGradients:
    """Return the gradients of some samples of a lent model, in factors where these are verified.

    Parameters
    ----------
    model : nn.Module
        With its parameters set.
    samples : Samples
    part : slice of the samples
    outputs : Tensor, shape (m, D)
        What the loss was given for them.
    memory : int
        Bytes.

    Raises
    ------
    SampleError
        Where their gradients, each taken alone, do not add up to that of all.
    """
    graph = _Graph(model, samples, part)
    if not agree(graph.outputs.detach(), outputs):
        raise SampleError(because="the outputs of samples depend on the other samples, or hooks change them")
    layers = LayerGradients(graph)
    if layers.are_those_of(graph, model, samples, part):
        return layers
    each = EachGradients(model, samples, part, memory)
    if each.adds_up_to(graph):
        return each
    raise SampleError(because="the gradients of samples depend on the other samples")


class _Graph:
    """The outputs of some samples with their graph, and what each linear layer was given and gave."""

    def __init__(self, model: nn.Module, samples: Samples, part: slice) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.calls: list[LinearCall] = []
        linear = [module for module in model.modules() if type(module) is nn.Linear]
        with hooked(linear, self._record, with_kwargs=True):
            leaves, _ = samples.outputs(samples.rows(part))
        self.outputs = samples.matrix(leaves)
        generator = torch.Generator().manual_seed(0)
        self.probe = torch.randn(self.outputs.shape, generator=generator, dtype=torch.float64).to(self.outputs)
        self.signs = (2 * torch.randint(0, 2, (len(self.outputs), 1), generator=generator) - 1).to(self.outputs)

    def _record(self, module: nn.Linear, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Tensor) -> None:
        (inputs,) = (*arguments, *keywords.values())
        self.calls.append((module, inputs.detach(), output))

    def gradient(self) -> tuple[Tensor, ...]:
        """Return `sum_i J_i^T u_i` for the probe u, in the shapes of the parameters."""
        return torch.autograd.grad(self.outputs, self.parameters, self.probe, retain_graph=True, materialize_grads=True)


class LayerGradients:
    """Where every parameter sits in an `nn.Linear` layer `z = W a + b` that is applied once, to the rows of a matrix.

    The gradient of sample i is `delta_i (a_i, 1)^T` with `delta_i = df_i/dz_i . u_i`, so inner products are

        sum over layers of (delta_i . delta'_i) (||a_i||^2 + 1)

    and one backward pass to the outputs z of the layers serves all samples (I. Goodfellow, arXiv:1510.01799).
    """

    def __init__(self, graph: _Graph) -> None:
        self.outputs = graph.outputs
        self.calls = [call for call in graph.calls if any(part.requires_grad for part in call[0].parameters())]
        self.places = [output for _, _, output in self.calls]

    @classmethod
    def of(cls, model: nn.Module, samples: Samples, part: slice) -> LayerGradients | None:
        """Return the layers of a lent model as some samples run through them; None where there is more to it."""
        graph = _Graph(model, samples, part)
        layers = cls(graph)
        return layers if layers.are_those_of(graph, model, samples, part) else None

    def are_those_of(self, graph: _Graph, model: nn.Module, samples: Samples, part: slice) -> bool:
        """Tell whether these are the gradients of some samples, all of them, and of one alone."""
        if not self.adds_up_to(graph):
            return False
        return self.begins_with(graph, _Graph(model, samples, slice(part.start, part.start + 1)))

    @cached_property
    def sizes(self) -> list[Tensor]:
        """Return `||a_i||^2 + 1` for every layer, each of shape (m,)."""
        return [size_of_inputs(module, inputs) for module, inputs, _ in self.calls]

    def adds_up_to(self, graph: _Graph) -> bool:
        """Tell whether these are the gradients, from the sum over samples, and whether samples meet, from random signs.

        If `d(s_i f_i) / dz_j` were not zero for i != j, random signs s of the samples would not factor out.
        """
        if not self._fits(graph):
            return False
        plain, signed = self._deltas(graph.probe), self._deltas(graph.signs * graph.probe)
        if not all(agree(turned, graph.signs * delta) for delta, turned in zip(plain, signed, strict=True)):
            return False
        whole = {id(parameter): part for parameter, part in zip(graph.parameters, graph.gradient(), strict=True)}
        pairs = [pair for call, delta in zip(self.calls, plain, strict=True) for pair in _summed(call, delta)]
        return all(agree(part, whole[id(parameter)]) for parameter, part in pairs)

    def begins_with(self, graph: _Graph, first: _Graph) -> bool:
        """Tell whether the gradient of the first sample is the same without the others, whose inputs it might hold."""
        seed = torch.zeros_like(graph.probe)
        seed[:1] = first.probe
        alone = torch.stack([part.square().sum(dtype=torch.float64) for part in first.gradient()]).sum()
        return agree(self.inner(seed, seed)[0].to(seed), alone.to(seed))

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the inner products of the gradients of every sample, shape (m,)."""
        left = self._deltas(first)
        right = left if second is first else self._deltas(second)
        layers = zip(left, right, self.sizes, strict=True)
        return torch.stack([(a * b).sum(1, dtype=torch.float64) * size for a, b, size in layers]).sum(0)

    def _fits(self, graph: _Graph) -> bool:
        """Tell whether every parameter has one use in a layer, and all layers are applied to rows."""
        held = [id(part) for module, _, _ in self.calls for part in module.parameters() if part.requires_grad]
        all_once = sorted(held) == sorted(id(parameter) for parameter in graph.parameters)
        rows = len(graph.outputs)
        return all_once and all(place.dim() == 2 and len(place) == rows for place in self.places)

    def _deltas(self, seed: Tensor) -> tuple[Tensor, ...]:
        """Return `delta` at every layer, each of shape (m, outputs of the layer)."""
        return torch.autograd.grad(self.outputs, self.places, seed, retain_graph=True, materialize_grads=True)


def size_of_inputs(module: nn.Linear, inputs: Tensor) -> Tensor:
    """Return `||a_i||^2` if the weight is trained, plus 1 if the bias is, shape (m,), in float64."""
    size = inputs.new_zeros(len(inputs), dtype=torch.float64)
    if module.weight.requires_grad:
        size += inputs.norm(dim=-1).double().square()
    if module.bias is not None and module.bias.requires_grad:
        size += 1.0
    return size


def _summed(call: LinearCall, delta: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the parameters of a layer with the sum of their gradients over samples."""
    module, inputs, _ = call
    if module.weight.requires_grad:
        yield module.weight, delta.T @ inputs
    if module.bias is not None and module.bias.requires_grad:
        yield module.bias, delta.sum(0)


class EachGradients:
    """Any model: the gradient of one sample after the other, as many at a time as fit the memory."""

    def __init__(self, model: nn.Module, samples: Samples, part: slice, memory: int) -> None:
        self.samples = samples
        self.leaves = samples.rows(part)
        self.own = [index for index, leaf in enumerate(samples.leaves) if samples.is_row(leaf)]
        self.substituted = Substitution(model)
        self.named = {name: value for name, value in model.named_parameters() if value.requires_grad}
        numbers = sum(value.numel() for value in self.named.values())
        width = max(value.element_size() for value in self.named.values())
        fits = memory // (4 * numbers * width)  # two gradients of a sample, twice
        self.step = max(1, min(fits, samples.step))

    def adds_up_to(self, graph: _Graph) -> bool:
        """Tell whether the sum over samples of the gradients is that of all."""
        total = [torch.zeros_like(value) for value in self.named.values()]
        for parts in self._mapped(_gradient, graph.probe):
            total = [sum_ + part.sum(0) for sum_, part in zip(total, parts, strict=True)]
        pairs = zip(total, graph.gradient(), strict=True)
        return all(agree(found, exact) for found, exact in pairs)

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the inner products of the gradients of every sample, shape (m,)."""
        seeds = torch.stack([first] if second is first else [first, second], 1)
        return torch.cat([found for (found,) in self._mapped(_product, seeds)])

    def _mapped(self, function: Function, seeds: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield the function of every sample's pull-back and seed, vectorised where the model allows it."""

        def of_one(rows: dict[int, Tensor], seed: Tensor) -> tuple[Tensor, ...]:
            return function(self._functional(rows), seed)

        for start in range(0, len(seeds), self.step):
            chunk = slice(start, start + self.step)
            rows = {index: self.leaves[index][chunk] for index in self.own}
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings(
                        "ignore", message=".*batching rule"
                    )  # it is still right, and not slower than a loop
                    found = vmap(of_one)(rows, seeds[chunk])
            except RuntimeError:  # an operation of the user's model that vmap cannot batch
                found = self._one_by_one(function, rows, seeds[chunk])
            yield found

    def _one_by_one(self, function: Function, rows: dict[int, Tensor], seeds: Tensor) -> tuple[Tensor, ...]:
        """Return the same without vmap."""
        found = [
            function(self._plain({index: value[place] for index, value in rows.items()}), seed)
            for place, seed in enumerate(seeds)
        ]
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True))

    def _filled(self, rows: dict[int, Tensor]) -> list[Any]:
        """Return the flattened arguments of one sample."""
        return [rows[index][None] if index in rows else leaf for index, leaf in enumerate(self.leaves)]

    def _functional(self, rows: dict[int, Tensor]) -> Pull:
        """Return `u -> J_i^T u` of one sample, for vmap."""
        arguments, keywords = self.samples.structure.filled(self._filled(rows))

        def outputs(named: dict[str, Tensor]) -> Tensor:
            tree = self.substituted(named, arguments, keywords)
            return self.samples.matrix(flatten(tree)[0])[0]

        pull = vjp(outputs, {name: value.detach() for name, value in self.named.items()})[1]
        return lambda seed: tuple(pull(seed)[0].values())

    def _plain(self, rows: dict[int, Tensor]) -> Pull:
        """Return `u -> J_i^T u` of one sample."""
        outputs = self.samples.matrix(self.samples.outputs(self._filled(rows))[0])[0]
        leaves = list(self.named.values())
        return lambda seed: torch.autograd.grad(outputs, leaves, seed, retain_graph=True, materialize_grads=True)


def _gradient(pull: Pull, seed: Tensor) -> tuple[Tensor, ...]:
    return pull(seed)


def _product(pull: Pull, seeds: Tensor) -> tuple[Tensor, ...]:
    """Return the inner product of two gradients, or of one with itself."""
    first = pull(seeds[0])
    second = first if len(seeds) == 1 else pull(seeds[1])
    return (torch.stack([(a * b).sum(dtype=torch.float64) for a, b in zip(first, second, strict=True)]).sum(),)
