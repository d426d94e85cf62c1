"""Probes of their own for every sample, at the outputs of linear layers: the trace of H from one pass, nearly without noise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp

from spinodal.curvature.by_sample.pass_of_probes import PassOfProbes
from spinodal.curvature.by_sample.sample_gradients import LayerGradients, size_of_inputs
from spinodal.curvature.by_sample.samples import SampleError, Samples, agree, sampled_loss
from spinodal.curvature.deflation import Deflation
from spinodal.curvature.gauss_newton_trace import OutputCurvature
from spinodal.curvature.probes import Probes
from spinodal.landscape import Landscape
from spinodal.landscape.batches import Batch
from spinodal.landscape.copying import hooked

FEW = 16  # samples on which the layers are verified

_Cut = tuple[Samples, OutputCurvature]


class SampleProbes:
    """`tr H` from independent probes for every sample i, where all parameters sit in linear layers `z = W a + b`.

    A layer bends E through z alone, so that its block of H has the trace `sum_i (||a_i||^2 + 1) tr d2E_i/dz_i2`. One pass
    moves all `z_i` at once along `sqrt(||a_i||^2 + 1)` times random signs and takes the second derivative along this line;
    blocks between layers and between signs average out. The probes live at the outputs of layers, hence each sample has its
    own at no cost, and the variance falls as the number of samples. Forward differentiation gives the outputs f of the
    model along the line, `f + t f' + t^2 f''/2`, so that the two parts of `H = GGN + residual` are seen apart:
    `f'^T S f'` with S = d2l/df2, and `dl/df . f''`. No vector of n numbers is needed, and no activations are kept.

    Parameters
    ----------
    landscape : Landscape
    theta : Tensor, shape (n,)
    seed : tuple of int

    Attributes
    ----------
    outputs : int
        Of the model for each sample.

    Raises
    ------
    SampleError
        Where a parameter sits elsewhere or is used twice, samples meet, or forward differentiation fails.
    SpinodalError
        Where E is not a function of the model's outputs alone.
    """

    sees_all = True  # whatever is deflated: passes stay valid

    def __init__(self, landscape: Landscape, theta: Tensor, seed: tuple[int, ...]) -> None:
        self.landscape, self.theta = landscape, theta
        self._only: _Cut | None = None
        with landscape.at(theta) as model:
            samples, curvature = cut = self._cut(model, next(iter(landscape.batches)))
            self._only = cut if landscape.batches.count == 1 else None
            self.outputs = curvature.width
            layers = _verified(model, samples, slice(0, min(FEW, samples.count)))
            widths = [output.shape[1] for _, _, output in layers.calls]
            self._probes = Probes(theta.new_zeros(sum(widths)), seed)
            ends = torch.tensor(widths).cumsum(0).tolist()
            self._columns = {
                id(call[0]): slice(end - width, end) for call, width, end in zip(layers.calls, widths, ends, strict=True)
            }
            self._verify_jets(model, samples, layers)

    def trace(self, known: Deflation) -> PassOfProbes:
        """Return one unbiased estimate of tr H and its residual part; it counts as one product. `known` is not needed."""
        self.landscape.ledger.charge(hessian_products=1)
        whole, residual = 0.0, 0.0
        with self.landscape.at(self.theta) as model:
            for weight, batch in self.landscape.batches.weighted():
                fisher, rest = self._batch_forms(model, batch)
                whole, residual = whole + weight * (fisher + rest), residual + weight * rest
        return PassOfProbes(whole, residual)

    def _batch_forms(self, model: nn.Module, batch: Batch) -> tuple[float, float]:
        """Return the Gauss-Newton and the residual part of one batch."""
        samples, curvature = self._only or self._cut(model, batch)
        firsts, residual = torch.empty_like(curvature.outputs), 0.0
        for part in samples.parts:
            signs = self._probes.rows(len(range(samples.count)[part]))
            firsts[part], second = self._jet(model, samples, part, signs)
            residual += float((curvature.slopes[part] * second).sum(dtype=torch.float64))
        return float((firsts * curvature.product(firsts)).sum(dtype=torch.float64)), residual

    def _cut(self, model: nn.Module, batch: Batch) -> _Cut:
        """Return the rows of the model's call in the loss of a batch, and what the loss is in their outputs."""
        loss = sampled_loss(self.landscape, model, batch)
        if loss.samples is None or not loss.outputs:
            raise SampleError(because="the loss does not depend on the outputs of the model")
        return loss.samples, OutputCurvature(loss, 0)

    def _jet(self, model: nn.Module, samples: Samples, part: slice, signs: Tensor) -> tuple[Tensor, Tensor]:
        """Return f' and f'' of some samples along the line of their signs, shapes (m, D)."""

        def along(step: Tensor) -> Tensor:
            with self._pushed(model, step, signs):
                return samples.matrix(samples.outputs(samples.rows(part))[0])

        def slope(step: Tensor) -> Tensor:
            rate: Tensor = jvp(along, (step,), (one,))[1]
            return rate

        one = signs.new_ones(())
        with torch.no_grad():
            found = jvp(slope, (torch.zeros_like(one),), (one,))
        return found[0], found[1]

    def _pushed(self, model: nn.Module, step: Tensor, signs: Tensor) -> AbstractContextManager[None]:
        """Move the outputs of all linear layers along their signs while the context lasts."""

        def push(module: nn.Linear, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Tensor) -> Tensor:
            (inputs,) = (*arguments, *keywords.values())
            length = size_of_inputs(module, inputs.detach()).sqrt().to(signs)  # of the layer's own step: inputs stand still
            return output + step * (length[:, None] * signs[:, self._columns[id(module)]])

        return hooked([module for module in model.modules() if id(module) in self._columns], push, with_kwargs=True)

    def _verify_jets(self, model: nn.Module, samples: Samples, layers: LayerGradients) -> None:
        """Compare f' and f'' of the first sample, layer by layer, with what reverse differentiation gives."""
        first = slice(0, 1)
        signs, found, exact = self._probes.rows(1), [], []
        outputs = samples.matrix(samples.outputs(samples.rows(first))[0])
        seed = torch.linspace(1.0, 2.0, self.outputs).to(outputs)[None]
        for module, inputs, _ in layers.calls:
            columns = self._columns[id(module)]
            alone = torch.zeros_like(signs)
            alone[:, columns] = signs[:, columns]
            try:
                found += [float((seed * part).sum()) for part in self._jet(model, samples, first, alone)]
            except (RuntimeError, NotImplementedError, ValueError) as cause:
                raise SampleError(because="the model has no forward differentiation") from cause
            exact += _line(outputs, seed, module, inputs[:1], signs[0, columns])
        if not agree(self.theta.new_tensor(found), self.theta.new_tensor(exact)):
            raise SampleError(because="layers bend the outputs by more than their own outputs")


def _verified(model: nn.Module, samples: Samples, few: slice) -> LayerGradients:
    """Return the linear layers of a model if they hold all its parameters, used once, and samples do not meet."""
    layers = LayerGradients.of(model, samples, few)
    if layers is None:
        raise SampleError(because="not all parameters sit in linear layers that are applied once, to rows")
    return layers


def _line(outputs: Tensor, seed: Tensor, module: nn.Linear, inputs: Tensor, signs: Tensor) -> list[float]:
    """Return first and second derivative of `seed . f` of one sample along the step of a layer that moves z by its signs."""
    size = size_of_inputs(module, inputs).to(inputs)
    steps: list[tuple[Tensor, Tensor]] = []
    if module.weight.requires_grad:
        steps.append((module.weight, torch.outer(signs, inputs[0]) / size.sqrt()))
    if module.bias is not None and module.bias.requires_grad:
        steps.append((module.bias, signs / size.sqrt()))
    places, directions = [place for place, _ in steps], [direction for _, direction in steps]
    slopes = torch.autograd.grad(outputs, places, seed, create_graph=True, materialize_grads=True)
    rate = sum(((slope * step).sum() for slope, step in zip(slopes, directions, strict=True)), seed.new_zeros(()))
    bends: list[Tensor] = []
    if rate.requires_grad:
        bends = list(torch.autograd.grad(rate, places, retain_graph=True, materialize_grads=True))
    bend = sum(float((part * step).sum()) for part, step in zip(bends, directions, strict=False))
    return [float(rate.detach()), bend]
