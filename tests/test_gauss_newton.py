"""The Gauss-Newton matrix: closed forms, a dense reference by `torch.func`, and losses it is not defined for."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from losses import cross_entropy
from spinodal.curvature.by_sample.outputs import capture
from spinodal.curvature.fisher import fisher_trace
from spinodal.curvature.gauss_newton import GaussNewton
from spinodal.curvature.gauss_newton_trace import OUTPUTS
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape

INPUTS, CLASSES = 6, 3
Batch = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, Any], Tensor]
TIGHT = {"rtol": 1e-12, "atol": 1e-14}


def data(count: int = 10) -> Batch:
    return torch.randn(count, INPUTS, dtype=torch.float64), torch.arange(count) % CLASSES


def in_batches(batch: Batch, first: int = 8) -> list[Batch]:
    return [(batch[0][:first], batch[1][:first]), (batch[0][first:], batch[1][first:])]


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return functional.one_hot(labels, CLASSES).to(like)


def squared(model: nn.Module, batch: Batch) -> Tensor:
    return (model(batch[0]) - one_hot(batch[1], batch[0])).square().sum(1).mean()


def mean_squared(model: nn.Module, batch: Batch) -> Tensor:
    return functional.mse_loss(model(batch[0]), one_hot(batch[1], batch[0]))


def wavy(model: nn.Module, batch: Batch) -> Tensor:
    """Neither convex nor concave in the outputs, which it mixes."""
    outputs = model(batch[0])
    return (torch.sin(outputs) + outputs * outputs.roll(1, 1)).sum(1).mean()


def changed_in_place(model: nn.Module, batch: Batch) -> Tensor:
    return model(batch[0]).sub_(one_hot(batch[1], batch[0])).square().sum(1).mean()


LOSSES: dict[str, Loss] = {
    "squared error": squared,
    "functional.mse_loss": mean_squared,
    "cross-entropy": cross_entropy,
    "a loss that is not convex": wavy,
    "a loss that changes the outputs in place": changed_in_place,
}


# -- models ----------------------------------------------------------------------------------


def layers(activation: type[nn.Module] = nn.Tanh, bias: bool = True) -> nn.Sequential:
    widths = [nn.Linear(INPUTS, 5, bias=bias), nn.Linear(5, 4, bias=bias), nn.Linear(4, CLASSES, bias=bias)]
    return nn.Sequential(widths[0], activation(), widths[1], activation(), widths[2])


def frozen(*names: str) -> nn.Module:
    net = layers()
    for name in names:
        net.get_parameter(name).requires_grad_(False)
    return net


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters, self.read = nn.Conv1d(1, 2, 3), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.sigmoid(self.filters(x[:, None])).flatten(1))


class Transformer(nn.Module):
    """One block over the inputs as tokens."""

    backend = SDPBackend.MATH

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.read = nn.Linear(1, 4), nn.Linear(4, 12), nn.Linear(4, CLASSES)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x[..., None])
        query, key, value = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in self.mix(tokens).chunk(3, -1))
        with sdpa_kernel(self.backend):
            attended = functional.scaled_dot_product_attention(query, key, value)
        return self.read(self.norm(tokens + attended.transpose(1, 2).flatten(2)).mean(1))


class Fused(Transformer):
    """The same block with attention that has no second derivative."""

    backend = SDPBackend.FLASH_ATTENTION


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.read = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, CLASSES)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.second(torch.tanh(self.first(x)))))


class UsedDirectly(nn.Module):
    """A weight with a second use beside its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.read = nn.Linear(INPUTS, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.first(x))) * self.first.weight.square().sum()


class Looped(torch.autograd.Function):
    """An operation that vmap cannot batch."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        result = torch.tanh(value)
        context.save_for_backward(result)
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (result,) = context.saved_tensors
        return gradient * (1 - result**2)


class Unbatchable(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return self.read(Looped.apply(self.filters(x[:, None])).flatten(1))


IN_FACTORS: dict[str, Callable[[], nn.Module]] = {
    "tanh": layers,
    "sigmoid without biases": lambda: layers(nn.Sigmoid, False),
    "gelu": lambda: layers(nn.GELU),
    "frozen weight": lambda: frozen("2.weight"),
    "frozen bias": lambda: frozen("0.bias", "4.bias"),
    "frozen layers": lambda: frozen("0.weight", "0.bias", "4.weight", "4.bias"),
}
ONE_BY_ONE: dict[str, Callable[[], nn.Module]] = {
    "convolution": Convolution,
    "transformer": Transformer,
    "tied weights": Tied,
    "weight that is also used directly": UsedDirectly,
    "an operation that vmap cannot batch": Unbatchable,
}
NETS = IN_FACTORS | ONE_BY_ONE


# -- references ------------------------------------------------------------------------------


class Handing(nn.Module):
    """A model that hands out given outputs."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *_: Any) -> Tensor:
        return self.outputs.clone()


def reference(landscape: Landscape, theta: Tensor, batches: Sequence[Batch]) -> Tensor:
    """Return the dense Gauss-Newton matrix from the whole Jacobian and the whole Hessian in the outputs."""
    total = torch.zeros(landscape.size, landscape.size, dtype=theta.dtype)
    for batch in batches:

        def outputs(vector: Tensor, batch: Batch = batch) -> Tensor:
            return functional_call(landscape.model, landscape.parameters.unflatten(vector), (batch[0],))

        def loss(values: Tensor, batch: Batch = batch) -> Tensor:
            return landscape.loss(Handing(values), batch)

        jacobian = torch.autograd.functional.jacobian(outputs, theta)
        values = outputs(theta).detach()
        curvature = torch.autograd.functional.hessian(loss, values)
        rows, matrix = jacobian.reshape(values.numel(), -1), curvature.reshape(values.numel(), -1)
        total += len(batch[0]) / landscape.batches.total * rows.T @ matrix @ rows
    return total


def residual_of(landscape: Landscape, theta: Tensor) -> Tensor:
    """Return `H - GGN`, row by row: `d/dtheta J^T p` with `p = dl/df` held fixed, and no difference of the two."""
    total = torch.zeros(landscape.size, landscape.size, dtype=theta.dtype)
    for weight, batch in landscape.batches.weighted():
        found = capture(landscape, theta, batch)
        (force,) = torch.autograd.grad(found.values, found.theta, found.hessian.slopes, create_graph=True)
        if force.requires_grad:  # else the outputs are linear in theta
            rows = (torch.autograd.grad(force, found.theta, row, retain_graph=True)[0] for row in eye(landscape))
            total += weight * torch.stack(list(rows))
    return total


def eye(landscape: Landscape) -> Tensor:
    return torch.eye(landscape.size, dtype=landscape.dtype)


# -- closed forms ----------------------------------------------------------------------------


def test_linear_regression_has_the_second_moment_of_its_inputs_for_both_matrices() -> None:
    x, y = torch.randn(10, 4, dtype=torch.float64), torch.randn(10, 1, dtype=torch.float64)
    landscape = Landscape(
        nn.Linear(4, 1, bias=False),
        lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        [(x[:8], y[:8]), (x[8:], y[8:])],
    )
    matrix, exact = GaussNewton(landscape, landscape.initial), 2 / 10 * x.T @ x
    torch.testing.assert_close(matrix.dense(), exact, **TIGHT)
    torch.testing.assert_close(landscape.hessian(landscape.initial), exact, **TIGHT)
    assert not residual_of(landscape, landscape.initial).any()
    assert matrix.trace(method="exact").value == pytest.approx(float(exact.trace()), rel=1e-13)


def test_logistic_regression() -> None:
    x, y = torch.randn(10, 4, dtype=torch.float64), (torch.arange(10) % 2).double()
    landscape = Landscape(
        nn.Linear(4, 1, bias=False),
        lambda model, batch: functional.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1]),
        [(x[:8], y[:8]), (x[8:], y[8:])],
    )
    theta = torch.randn(4, dtype=torch.float64)
    chance = torch.sigmoid(x @ theta)
    exact = x.T @ torch.diag(chance * (1 - chance)) @ x / 10
    matrix = GaussNewton(landscape, theta)
    torch.testing.assert_close(matrix.dense(), exact, **TIGHT)
    torch.testing.assert_close(landscape.hessian(theta), exact, **TIGHT)
    assert matrix.trace(method="exact").value == pytest.approx(float(exact.trace()), rel=1e-13)


def test_softmax_regression() -> None:
    batch = data()
    landscape = Landscape(nn.Linear(INPUTS, CLASSES, bias=False), cross_entropy, in_batches(batch))
    theta = torch.randn(landscape.size, dtype=torch.float64)
    chances = torch.softmax(batch[0] @ theta.view(CLASSES, INPUTS).T, 1)
    pairs = zip(chances, batch[0], strict=True)
    exact = sum(torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(x, x)) for p, x in pairs) / 10
    matrix = GaussNewton(landscape, theta)
    torch.testing.assert_close(matrix.dense(), exact, **TIGHT)
    torch.testing.assert_close(landscape.hessian(theta), exact, **TIGHT)
    assert matrix.trace(method="exact").value == pytest.approx(float(exact.trace()), rel=1e-13)


def test_squared_error_has_twice_the_fisher_information_of_unit_variance() -> None:
    batch = data()
    landscape = Landscape(layers(), squared, in_batches(batch))
    named = landscape.parameters.unflatten(landscape.initial)
    jacobians = jacrev(lambda values: functional_call(landscape.model, values, (batch[0],)))(named)
    information = sum(float(part.square().sum()) for part in jacobians.values()) / 10
    assert fisher_trace(landscape, landscape.initial).value == pytest.approx(2 * information, rel=1e-13)


def test_cross_entropy_has_the_fisher_information_of_the_softmax_model() -> None:
    batch = data()
    landscape = Landscape(layers(), cross_entropy, in_batches(batch))
    theta, information = landscape.initial, 0.0
    for x in batch[0]:
        for label in range(CLASSES):  # the mean over labels drawn from the model of the squared score
            alone = Landscape(landscape.model, cross_entropy, (x[None], torch.tensor([label])))
            value, score = alone.value_and_gradient(theta)
            information += math.exp(-value) * float(score.square().sum()) / 10
    assert fisher_trace(landscape, theta).value == pytest.approx(information, rel=1e-12)


# -- the dense reference ---------------------------------------------------------------------


@pytest.mark.parametrize("batched", [False, True], ids=["one batch", "batches of 8 and 2"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("net", NETS)
def test_products_residual_and_trace_are_those_of_the_dense_reference(net: str, loss: str, batched: bool) -> None:
    batch = data()
    batches = in_batches(batch) if batched else [batch]
    landscape = Landscape(NETS[net](), LOSSES[loss], batches)
    theta = landscape.initial + 0.3 * torch.randn(landscape.size, dtype=torch.float64)
    matrix, exact = GaussNewton(landscape, theta), reference(landscape, theta, batches)
    torch.testing.assert_close(matrix.product(eye(landscape)), exact, rtol=1e-11, atol=1e-12)
    residual = residual_of(landscape, theta)
    torch.testing.assert_close(exact + residual, landscape.hessian(theta), rtol=1e-10, atol=1e-11)
    vector = torch.randn(landscape.size, dtype=torch.float64)
    torch.testing.assert_close(matrix.product(vector), exact @ vector, rtol=1e-11, atol=1e-12)
    trace = matrix.trace()
    assert trace.status == "exact"
    assert trace.stderr == 0.0
    assert trace.value == pytest.approx(float(exact.trace()), rel=1e-12, abs=1e-13 * float(exact.diagonal().abs().sum()))


def test_a_loss_that_is_not_convex_can_have_a_negative_trace() -> None:
    batch = data()
    landscape = Landscape(layers(), lambda model, b: -squared(model, b), batch)
    mirrored = Landscape(landscape.model, squared, batch)
    negative, positive = (GaussNewton(E, landscape.initial).trace(method="exact").value for E in (landscape, mirrored))
    assert negative == -positive < 0


def test_where_the_data_are_interpolated_the_hessian_is_the_gauss_newton_matrix() -> None:
    net, (x, _) = layers().double(), data()
    targets = net(x).detach()
    landscape = Landscape(net, lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), (x, targets))
    matrix = GaussNewton(landscape, landscape.initial)
    assert not residual_of(landscape, landscape.initial).any()
    torch.testing.assert_close(matrix.dense(), landscape.hessian(landscape.initial), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("net", NETS)
def test_single_precision_agrees_with_double(net: str) -> None:
    batch = data()
    double, single = (
        Landscape(landscape_net, cross_entropy, batch, dtype=dtype)
        for landscape_net in [NETS[net]()]
        for dtype in (torch.float64, torch.float32)
    )
    exact, found = (GaussNewton(landscape, landscape.initial) for landscape in (double, single))
    assert found.dense().dtype == torch.float32
    torch.testing.assert_close(found.dense().double(), exact.dense(), rtol=1e-3, atol=1e-5)
    assert found.trace(method="exact").value == pytest.approx(exact.trace(method="exact").value, rel=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_the_trace_is_the_same_in_parts_of_the_memory(net: str) -> None:
    batch = data(101)
    model = NETS[net]()
    plenty, little = (Landscape(model, cross_entropy, batch, memory=memory) for memory in (2**29, 2**12))
    whole, in_parts = (GaussNewton(landscape, landscape.initial).trace(method="exact") for landscape in (plenty, little))
    assert in_parts.value == pytest.approx(whole.value, rel=1e-12)
    assert in_parts.spent == whole.spent


# -- outputs of other forms --------------------------------------------------------------------


class Sequences(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.read = nn.GRU(2, 4, batch_first=True), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.cell(x.unflatten(1, (3, 2)))[0])


def next_symbol(model: nn.Module, batch: Batch) -> Tensor:
    outputs = model(batch[0])
    return functional.cross_entropy(outputs.flatten(0, 1), batch[1].repeat_interleave(3))


class Heads(nn.Module):
    """A dictionary of two outputs, one of which is a matrix, and something that does not depend on theta."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.value, self.logits = nn.Linear(INPUTS, 4), nn.Linear(4, 1), nn.Linear(4, CLASSES)

    def forward(self, *, x: Tensor, scale: Tensor, mode: str) -> dict[str, Any]:
        hidden = torch.tanh(self.body(x)) * scale
        return {"value": self.value(hidden)[:, 0], "all": (self.logits(hidden), [x.sum(1)]), "mode": mode}


def two_heads(model: nn.Module, batch: Batch) -> Tensor:
    found = model(x=batch[0], scale=torch.linspace(1, 2, 4).to(batch[0]), mode="both")
    logits, (sums,) = found["all"]
    value = (found["value"] - sums).square() * logits.square().sum(1)
    return functional.cross_entropy(logits, batch[1]) + value.mean()


FORMS: dict[str, tuple[Callable[[], nn.Module], Loss]] = {
    "a sequence for each sample": (Sequences, next_symbol),
    "nested outputs that meet in the loss of a sample": (Heads, two_heads),
}


@pytest.mark.parametrize("form", FORMS)
def test_outputs_of_other_forms_have_the_exact_trace(form: str) -> None:
    net, loss = FORMS[form]
    batch = data()
    landscape, one = Landscape(net(), loss, in_batches(batch)), Landscape(net(), loss, batch)
    theta = one.initial
    matrix = GaussNewton(landscape, theta)
    dense, residual = matrix.dense(), residual_of(landscape, theta)
    torch.testing.assert_close(dense + residual, landscape.hessian(theta), rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(dense, GaussNewton(one, theta).dense(), rtol=1e-10, atol=1e-12)
    assert matrix.trace(method="exact").value == pytest.approx(float(dense.trace()), rel=1e-12)


# -- samples that meet ---------------------------------------------------------------------------


class Centred(nn.Module):
    """The mean over the batch subtracted in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.read = nn.Linear(INPUTS, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.read(hidden - hidden.mean(0))


class FaintlyCentred(Centred):
    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.read(hidden - 1e-5 * hidden.mean(0))


class Diluted(Centred):
    """Outputs that know how large the batch is."""

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.first(x))) / len(x)


class Gated(Centred):
    """The mean over the batch through a gate that is shut: no output feels it, but its slope in the gate does."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, CLASSES, bias=False)
        nn.init.zeros_(self.gate.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.read(hidden) + self.gate(hidden.mean(0).expand(len(x), -1))


class RawGate(Gated):
    """The same with a gate that is no layer."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.read(hidden) + hidden.mean(0) @ self.gate.weight.T


class Transposed(Centred):
    """One row of outputs for every output, and a column for every sample."""

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.first(x))).T


def pairwise(model: nn.Module, batch: Batch) -> Tensor:
    outputs = model(batch[0])
    return (outputs[:, None] - outputs[None]).square().sum(2).sub(1).square().mean()


def of_the_mean(model: nn.Module, batch: Batch) -> Tensor:
    return model(batch[0]).mean(0).square().sum()


def called_twice(model: nn.Module, batch: Batch) -> Tensor:
    return (model(batch[0]) * model(batch[0].roll(1, 1))).sum(1).sin().mean()


def of_columns(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch[0]).T, batch[1])


MEETING: dict[str, tuple[Callable[[], nn.Module], Loss, str]] = {
    "in the model": (Centred, squared, "samples meet in the model"),
    "faintly in the model": (FaintlyCentred, cross_entropy, "samples meet in the model"),
    "in the size of the batch": (Diluted, squared, "samples meet in the model"),
    "behind a shut gate": (Gated, squared, "the gradients of samples depend on the other samples"),
    "behind a shut gate that is no layer": (RawGate, squared, "the gradients of samples depend on the other samples"),
    "in pairs": (layers, pairwise, "samples meet in the loss"),
    "in their mean": (layers, of_the_mean, "samples meet in the loss"),
    "in two calls": (layers, called_twice, "the loss calls the model more than once"),
    "in columns": (Transposed, of_columns, "the outputs of the model are not one row for each sample"),
}


@pytest.mark.parametrize("case", MEETING)
def test_where_samples_meet_the_trace_is_estimated_and_says_why(case: str) -> None:
    net, loss, because = MEETING[case]
    landscape = Landscape(net(), loss, data())
    matrix = GaussNewton(landscape, landscape.initial)
    dense = matrix.dense()
    residual = residual_of(landscape, landscape.initial)
    torch.testing.assert_close(dense + residual, landscape.hessian(landscape.initial), rtol=1e-10, atol=1e-11)
    with pytest.raises(SpinodalError, match=rf"no exact trace: {because}.*method='probes'"):
        matrix.trace(method="exact")
    trace = matrix.trace(probes=24)
    assert trace.status == "estimated"
    assert trace.caveats == (f"estimated from probes: {because}",)
    assert abs(trace.value - float(dense.trace())) < 4 * trace.stderr
    every = matrix.trace(probes=landscape.size)
    assert (every.status, every.stderr, every.products) == ("exact", 0.0, landscape.size)
    assert every.value == pytest.approx(float(dense.trace()), rel=1e-12)


def test_the_model_that_meets_nowhere_is_the_reference_of_those_that_do() -> None:
    """Pairs in the loss alone, against the reference that knows nothing of samples."""
    batch = data()
    landscape = Landscape(layers(), pairwise, batch)
    exact = reference(landscape, landscape.initial, [batch])
    torch.testing.assert_close(GaussNewton(landscape, landscape.initial).dense(), exact, rtol=1e-11, atol=1e-13)


def test_many_outputs_are_left_to_probes_unless_asked_for() -> None:
    x = torch.randn(3, 2, dtype=torch.float64)
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, OUTPUTS + 1, bias=False))
    landscape = Landscape(net, lambda model, b: model(b).square().sum(1).mean(), x)
    matrix = GaussNewton(landscape, landscape.initial)
    estimated, exact = matrix.trace(), matrix.trace(method="exact")
    assert (estimated.status, exact.status) == ("estimated", "exact")
    assert estimated.caveats == (f"estimated from probes: each sample has {OUTPUTS + 1} outputs, more than {OUTPUTS}",)
    assert abs(estimated.value - exact.value) < 4 * estimated.stderr


# -- losses without a Gauss-Newton matrix ----------------------------------------------------------


def penalised(model: nn.Module, batch: Batch) -> Tensor:
    return squared(model, batch) + 0.1 * model[0].weight.square().sum()


def layer_by_layer(model: nn.Module, batch: Batch) -> Tensor:
    return cross_entropy(lambda x: model[4](torch.tanh(model[2](torch.tanh(model[0](x))))), batch)


def fed_back(model: nn.Module, batch: Batch) -> Tensor:
    return squared(lambda x: model(torch.cat([model(x), x[:, CLASSES:]], 1)), batch)


UNDEFINED: dict[str, tuple[Loss, str]] = {
    "a penalty": (penalised, "the loss uses parameters beside the outputs of the model.*leave penalties to beta"),
    "no call": (layer_by_layer, r"the loss never calls the model as a whole.*call model\(...\) in the loss"),
    "a loop": (fed_back, "the loss feeds an output of the model to the model again.*put the loop into the model"),
}
NEEDS: dict[str, Callable[[GaussNewton], object]] = {
    "product": lambda matrix: matrix.product(matrix.theta),
    "trace": lambda matrix: matrix.trace(),
    "probes": lambda matrix: matrix.trace(method="probes"),
}


@pytest.mark.parametrize("batched", [False, True], ids=["one batch", "batches of 8 and 2"])
@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize("case", UNDEFINED)
def test_a_loss_that_is_no_function_of_the_outputs_is_refused(case: str, need: str, batched: bool) -> None:
    loss, message = UNDEFINED[case]
    batch = data()
    landscape = Landscape(layers(), loss, in_batches(batch) if batched else batch)
    with pytest.raises(SpinodalError, match=message):
        NEEDS[need](GaussNewton(landscape, landscape.initial))


def test_fused_attention_has_an_exact_trace_but_no_products() -> None:
    batch = data()
    fused, plain = (Landscape(net(), cross_entropy, batch, dtype=torch.float32) for net in (Fused, Transformer))
    theta = plain.initial
    exact = GaussNewton(plain, theta).trace(method="exact").value
    assert GaussNewton(fused, theta).trace(method="exact").value == pytest.approx(exact, rel=1e-4)
    with pytest.raises(SpinodalError, match="no second derivatives"):
        GaussNewton(fused, theta).product(theta)


class Once(torch.autograd.Function):
    """A square whose gradient has no derivative."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        context.save_for_backward(value)
        return value.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient * context.saved_tensors[0]


def test_a_loss_without_a_second_derivative_is_refused() -> None:
    landscape = Landscape(layers(), lambda model, batch: Once.apply(model(batch[0])).square().mean(), data())
    with pytest.raises(SpinodalError, match="second derivative of the loss in the outputs of the model"):
        GaussNewton(landscape, landscape.initial).trace(method="exact")


# -- arguments, costs and traces left behind -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "exactly"}, "unknown method 'exactly'.*did you mean 'exact'"),
        ({"probes": 0}, "probes = 0; whole numbers >= 1"),
        ({"probes": 2.5}, r"probes = 2\.5"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_arguments_that_are_not_allowed_are_refused(arguments: dict[str, Any], message: str) -> None:
    landscape = Landscape(layers(), squared, data())
    with pytest.raises(SpinodalError, match=message):
        fisher_trace(landscape, landscape.initial, **arguments)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2), (1, 1, 1)])
def test_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    landscape = Landscape(layers(), squared, data())
    with pytest.raises(SpinodalError, match=rf"\(k, {landscape.size}\) are allowed"):
        GaussNewton(landscape, landscape.initial).product(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("vectors", [None, [1.0], 1j * torch.ones(2)])
def test_vectors_that_are_no_real_numbers_are_refused(vectors: Any) -> None:
    landscape = Landscape(layers(), squared, data())
    with pytest.raises(SpinodalError, match="no tensor of real numbers"):
        GaussNewton(landscape, landscape.initial).product(vectors)


def test_no_vectors_have_no_images_and_whole_numbers_are_numbers() -> None:
    landscape = Landscape(layers(), squared, data())
    matrix = GaussNewton(landscape, landscape.initial)
    units = torch.eye(landscape.size, dtype=torch.int64)
    assert matrix.product(units[:0]).shape == (0, landscape.size)
    torch.testing.assert_close(matrix.product(units), matrix.product(units.double()), rtol=0, atol=0)


def test_every_cost_is_counted() -> None:
    landscape = Landscape(layers(), cross_entropy, data())
    matrix, start = GaussNewton(landscape, landscape.initial), landscape.counts.copy()
    matrix.product(torch.zeros(5, landscape.size, dtype=torch.float64))
    matrix.product(landscape.initial)
    assert landscape.counts.hessian_products - start.hessian_products == 6
    exact, probed = matrix.trace(method="exact"), matrix.trace(method="probes", probes=7)
    assert (exact.products, exact.spent.gradient_evaluations, exact.spent.hessian_products) == (0, CLASSES + 1, 0)
    assert (probed.products, probed.spent.gradient_evaluations, probed.spent.hessian_products) == (7, 0, 7)
    spent = landscape.counts - start
    assert (spent.gradient_evaluations, spent.hessian_products) == (CLASSES + 1, 13)


def test_gradients_of_single_samples_are_counted_twice_where_outputs_mix() -> None:
    spent = []
    for loss in (squared, cross_entropy):
        landscape = Landscape(Convolution(), loss, data())
        spent.append(GaussNewton(landscape, landscape.initial).trace(method="exact").spent.gradient_evaluations)
    assert spent == [CLASSES + 1, 2 * CLASSES + 1]


def test_probes_are_a_function_of_the_seed() -> None:
    landscape = Landscape(layers(), cross_entropy, data())
    matrix = GaussNewton(landscape, landscape.initial)
    values = [matrix.trace(method="probes", probes=8, seed=seed).value for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_one_probe_has_no_error_bar() -> None:
    landscape = Landscape(layers(), cross_entropy, data())
    trace = GaussNewton(landscape, landscape.initial).trace(method="probes", probes=1)
    assert (trace.status, trace.stderr) == ("estimated", float("inf"))


@pytest.mark.parametrize("loss", [cross_entropy, called_twice, penalised])
def test_nothing_is_left_behind(loss: Loss) -> None:
    landscape = Landscape(layers(), loss, data())
    theta = torch.randn(landscape.size, dtype=torch.float64)
    value, gradient = landscape.value_and_gradient(theta)
    for need in NEEDS.values():
        try:
            need(GaussNewton(landscape, theta))
        except SpinodalError:
            assert loss is penalised
    assert not any(module._forward_hooks for module in landscape.model.modules())
    assert "forward" not in vars(landscape.model)
    after = landscape.value_and_gradient(theta)
    assert after[0] == value
    assert torch.equal(after[1], gradient)


# -- numbers and memory ----------------------------------------------------------------------------


def steep(model: nn.Module, batch: Batch) -> Tensor:
    return torch.exp(model(batch[0])).sum(1).mean()


@pytest.mark.parametrize("method", ["exact", "probes"])
def test_what_is_not_finite_is_refused(method: str) -> None:
    landscape = Landscape(layers(nn.Softplus), steep, data())
    with pytest.raises(SpinodalError, match="finite"):
        GaussNewton(landscape, 1e200 * torch.ones(landscape.size, dtype=torch.float64)).trace(method=method)


MEASURED = """
import ctypes, torch
from torch import nn
from spinodal import scalar_curvature
from spinodal.curvature.fisher import fisher_trace
from spinodal.landscape import Landscape

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

def landscape(count):
    x, y = torch.randn(count, 50), torch.arange(count) % 2
    net = nn.Sequential(nn.Linear(50, 1000), nn.Tanh(), nn.Linear(1000, 2))
    loss = lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1])
    return Landscape(net, loss, (x, y), dtype=torch.float32, memory=100 * 2**20)

torch.set_num_threads(1)
ask = lambda E: {question}
warm, E = landscape(64), landscape({samples})
ask(warm)  # what is loaded once
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = kilobytes("VmRSS")
ask(E)
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux")
@pytest.mark.parametrize(
    ("question", "samples"),
    [
        ('fisher_trace(E, E.initial, method="exact")', 30_000),
        ('scalar_curvature(E, E.initial, method="probes", budget=11)', 8_000),
    ],
)
def test_the_process_stays_within_the_memory_whatever_the_number_of_samples(question: str, samples: int) -> None:
    """Whole batches would take 980 and 800 MiB: measured."""
    text = MEASURED.replace("{question}", question).replace("{samples}", str(samples))
    script = [sys.executable, "-c", text]
    done = subprocess.run(script, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert int(done.stdout) / 1024 < 100
