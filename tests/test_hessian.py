"""The dense Hessian: the factorised method where it applies, the vectorised one elsewhere, a looped oracle for both."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from conftest import Oracle
from losses import cross_entropy
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Vectorised

FACTORISED, VECTORISED = "factorised over samples", "vectorised products"
INPUTS, OUTPUTS = 3, 2

Loss = Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - functional.one_hot(batch[1], OUTPUTS)).square().sum(1).mean()


LOSSES: dict[str, Loss] = {"squared error": squared, "cross-entropy": cross_entropy}
SIZES = {"one batch": (11,), "batches of 7, 3 and 1": (7, 3, 1)}


def batches(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    x, labels = torch.randn(sum(sizes), INPUTS, dtype=torch.float64), torch.arange(sum(sizes)) % OUTPUTS
    return list(zip(x.split(sizes), labels.split(sizes), strict=True))


def layers(activation: type[nn.Module], bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(INPUTS, 5, bias=bias),
        activation(),
        nn.Linear(5, 4, bias=bias),
        activation(),
        nn.Linear(4, OUTPUTS, bias=bias),
    )


ACTIVATIONS = {"tanh": nn.Tanh, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "linear": nn.Identity, "relu": nn.ReLU}


def frozen(*names: str) -> nn.Module:
    net = layers(nn.Tanh)
    for name in names:
        net.get_parameter(name).requires_grad_(False)
    return net


class Residual(nn.Module):
    """A skip connection over one layer and one over the whole net, with a fixed normalisation row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(INPUTS, 4), nn.Linear(4, 4), nn.Linear(4, OUTPUTS)
        self.norm = nn.LayerNorm(4, elementwise_affine=False)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x))
        h = self.norm(h + torch.sigmoid(self.b(h)))
        return self.c(h) + x[:, :OUTPUTS]


class OutOfOrder(nn.Module):
    """Layers registered in an order that is not the order of their use."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.middle = nn.Linear(4, OUTPUTS), nn.Linear(INPUTS, 5), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(torch.tanh(self.first(x)))))


class Parallel(nn.Module):
    """Two branches that multiply: neither layer feeds the other, and both feed a third."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.read = nn.Linear(INPUTS, 4), nn.Linear(INPUTS, 4, bias=False), nn.Linear(4, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.left(x)) * self.right(x))


class Uneven(nn.Module):
    """Two branches of which one is a layer deeper."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(INPUTS, 4), nn.Linear(INPUTS, OUTPUTS)
        self.read = nn.Linear(4, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.right(x)
        return self.read(torch.tanh(self.left(x))) + torch.tanh(shallow)


class Nested(nn.Module):
    """Layers inside modules inside modules."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh()), nn.Linear(4, OUTPUTS))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


FACTORISING: dict[str, Callable[[], nn.Module]] = {
    **{
        f"{name}, {'with' if bias else 'without'} bias": lambda activation=activation, bias=bias: layers(activation, bias)
        for (name, activation), bias in product(ACTIVATIONS.items(), (True, False))
    },
    "one linear layer": lambda: nn.Linear(INPUTS, OUTPUTS),
    "frozen first layer": lambda: frozen("0.weight", "0.bias"),
    "frozen middle layer": lambda: frozen("2.weight", "2.bias"),
    "frozen last layer": lambda: frozen("4.weight", "4.bias"),
    "frozen bias": lambda: frozen("2.bias"),
    "frozen weight": lambda: frozen("2.weight"),
    "residual connections": Residual,
    "layers out of order": OutOfOrder,
    "parallel branches": Parallel,
    "uneven branches": Uneven,
    "nested modules": Nested,
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("net", FACTORISING)
def test_nets_of_linear_layers_are_factorised_and_equal_both_references(
    net: str, loss: str, sizes: str, oracle: type[Oracle]
) -> None:
    model, data = FACTORISING[net]().double(), batches(*SIZES[sizes])
    landscape, reference = Landscape(model, LOSSES[loss], data), oracle(model, LOSSES[loss], data)
    theta = torch.randn(landscape.size, dtype=torch.float64)
    hessian = landscape.hessian(theta)
    assert landscape.hessian_method.name == FACTORISED
    torch.testing.assert_close(hessian, Vectorised().dense(landscape, theta), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(hessian, reference.hessian(theta), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(landscape.gradient(theta), reference.gradient(theta), rtol=1e-12, atol=1e-12)


# -- where the factorisation does not hold -----------------------------------------------------


class Wrapped(nn.Module):
    """Two linear layers with something in between that a subclass chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(INPUTS, 4), nn.Linear(4, OUTPUTS)

    def between(self, h: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.between(self.a(x))))


class MeanSubtracted(Wrapped):
    """Samples meet in the mean that is subtracted."""

    def between(self, h: Tensor) -> Tensor:
        return h - h.mean(0)


class AttentionAcrossRows(Wrapped):
    """Samples attend to each other."""

    def between(self, h: Tensor) -> Tensor:
        return torch.softmax(h @ h.T, 1) @ h


class FaintMeeting(Wrapped):
    """Samples meet, but hardly."""

    def between(self, h: Tensor) -> Tensor:
        return h + 1e-6 * h.mean(0)


class Gated(Wrapped):
    """Samples meet only where a hidden mean is large, far from the initial parameters."""

    def between(self, h: Tensor) -> Tensor:
        return h + functional.relu(h.mean(0) - 2.0) ** 2


class UsedTwice(nn.Module):
    """One layer applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(torch.tanh(self.a(x)))))


class Tied(nn.Module):
    """Two layers that share their weight but not their bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, OUTPUTS)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))


class RawParameter(nn.Module):
    """A layer and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(INPUTS, OUTPUTS), nn.Parameter(torch.ones(OUTPUTS))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)) * self.scale


class WeightAlsoUsedDirectly(nn.Module):
    """A layer's weight that enters the output a second time, without the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x)) * self.layer.weight.sum()


class Convolution(nn.Module):
    """A convolution, read by a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.filters, self.read = nn.Conv1d(1, 2, 2), nn.Linear(4, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.filters(x[:, None])).flatten(1))


class PerToken(nn.Module):
    """A layer applied to every entry of every sample."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.read = nn.Linear(1, 3), nn.Linear(3, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.embed(x[:, :, None])).mean(1))


class FoldedTokens(PerToken):
    """The same with the entries folded into the rows."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.embed(x.reshape(-1, 1))).view(len(x), INPUTS, 3)
        return self.read(h.mean(1))


class Unused(nn.Module):
    """A layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(INPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.b(x))


def penalised(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return squared(model, batch) + 0.1 * model[0].weight.pow(4).sum()


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, OUTPUTS))


class Cube(nn.Module):
    """A parametrisation of weights by their cubic roots."""

    def forward(self, root: Tensor) -> Tensor:
        return root**3


def parametrised() -> nn.Module:
    net = layers(nn.Tanh)
    nn.utils.parametrize.register_parametrization(net[0], "weight", Cube())
    return net


MEETING: dict[str, tuple[Callable[[], nn.Module], Loss]] = {
    "mean over samples subtracted": (MeanSubtracted, squared),
    "samples that hardly meet": (FaintMeeting, squared),
    "attention across rows": (AttentionAcrossRows, cross_entropy),
    "a layer used twice": (UsedTwice, squared),
    "a tied weight": (Tied, squared),
    "a raw parameter": (RawParameter, squared),
    "a weight that is also used directly": (WeightAlsoUsedDirectly, squared),
    "a convolution": (Convolution, cross_entropy),
    "a layer for every token": (PerToken, squared),
    "tokens folded into rows": (FoldedTokens, squared),
    "a layer that is never called": (Unused, cross_entropy),
    "a loss with its own penalty": (lambda: layers(nn.Tanh), penalised),
    "an affine normalisation": (normalised, squared),
    "a parametrised layer": (parametrised, squared),
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("case", MEETING)
def test_everything_else_is_vectorised_and_equals_the_looped_reference(case: str, sizes: str, oracle: type[Oracle]) -> None:
    build, loss = MEETING[case]
    model, data = build().double(), batches(*SIZES[sizes])
    landscape, reference = Landscape(model, loss, data), oracle(model, loss, data)
    theta = torch.randn(landscape.size, dtype=torch.float64)
    hessian = landscape.hessian(theta)
    assert landscape.hessian_method.name == VECTORISED
    torch.testing.assert_close(hessian, reference.hessian(theta), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(landscape.gradient(theta), reference.gradient(theta), rtol=1e-12, atol=1e-12)


class CountedInFront(nn.Module):
    """Convolutions behind one whose output tells how often a derivative passes it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.rest = nn.Conv1d(INPUTS, 2, 1), nn.Sequential(nn.Tanh(), nn.Conv1d(2, 9, 1), nn.Tanh(), nn.Flatten())
        self.last = nn.Linear(9, 2)
        self.passed = 0

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.first(x[:, :, None])
        if hidden.requires_grad:
            hidden.register_hook(self._pass)
        result: Tensor = self.last(self.rest(hidden))
        return result

    def _pass(self, gradient: Tensor) -> None:
        self.passed += 1


def test_rows_of_later_layers_are_not_differentiated_through_earlier_ones(oracle: type[Oracle]) -> None:
    model, data = CountedInFront().double(), batches(7)
    landscape = Landscape(model, squared, data)
    theta = torch.randn(landscape.size, dtype=torch.float64)
    with landscape.at(theta) as lent:
        lent.passed = 0
    hessian = Vectorised().dense(landscape, theta)
    with landscape.at(theta) as lent:
        weight_rows, bias_rows = 1, 2  # one batch of rows for the weight, one product for each of two biases
        assert 0 < lent.passed <= 1 + 2 * (weight_rows + bias_rows)  # and the gradient; a hook may see both derivatives
    torch.testing.assert_close(hessian, oracle(model, squared, data).hessian(theta), rtol=1e-10, atol=1e-10)


def test_samples_that_meet_far_from_the_start_have_the_right_hessian(oracle: type[Oracle]) -> None:
    model, data = Gated().double(), batches(11)
    landscape, reference = Landscape(model, squared, data), oracle(model, squared, data)
    theta = landscape.initial
    theta[12:16] = 3.0  # the bias that opens the gate
    torch.testing.assert_close(landscape.hessian(theta), reference.hessian(theta), rtol=1e-9, atol=1e-9)


def weight_normalised() -> nn.Module:
    """PyTorch's gradient of weight_norm is right, but its second derivative is not."""
    normal = nn.utils.parametrizations.weight_norm(nn.Linear(INPUTS, 4))
    return nn.Sequential(normal, nn.Tanh(), nn.Linear(4, OUTPUTS)).double()


class Clip(torch.autograd.Function):
    """The identity with a clipped gradient, which is the gradient of nothing."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return gradient.clamp(-0.01, 0.01)


class Clipped(Wrapped):
    """Two layers with a clipped gradient between them."""

    def between(self, h: Tensor) -> Tensor:
        return Clip.apply(h)


NEEDS_SECOND_DERIVATIVES: dict[str, Callable[[Landscape], object]] = {
    "dense": lambda landscape: landscape.hessian(landscape.initial),
    "product": lambda landscape: landscape.hessian_product(landscape.initial, landscape.initial),
    "operator": lambda landscape: landscape.hessian_operator(landscape.initial)(landscape.initial),
    "method": lambda landscape: landscape.hessian_method,
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("need", NEEDS_SECOND_DERIVATIVES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_second_derivatives_that_are_not_symmetric_are_refused_where_they_are_needed(
    dtype: torch.dtype, need: str, sizes: str
) -> None:
    landscape = Landscape(weight_normalised(), squared, batches(*SIZES[sizes]), dtype=dtype)
    assert landscape.gradient(landscape.initial).shape == (landscape.size,)
    with pytest.raises(SpinodalError, match=r"derivatives of E are not symmetric.*weight_norm"):
        NEEDS_SECOND_DERIVATIVES[need](landscape)


def test_a_gradient_of_one_s_own_that_is_no_gradient_is_refused() -> None:
    with pytest.raises(SpinodalError, match=r"gradient of E is not that of its value: .* above all in .*a\.weight"):
        Landscape(Clipped().double(), squared, batches(11))


class Once(torch.autograd.Function):
    """An operation whose gradient must not be differentiated; PyTorch passes over it without an error."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(_: object, gradient: Tensor) -> Tensor:
        return gradient


class DifferentiableOnce(Wrapped):
    """Two layers with such an operation between them."""

    def between(self, h: Tensor) -> Tensor:
        return Once.apply(h)


class Distances(Wrapped):
    """An operation whose second derivative PyTorch lacks."""

    def between(self, h: Tensor) -> Tensor:
        return torch.cdist(h, torch.ones(4, 4).to(h))


@pytest.mark.parametrize(("net", "cause"), [(DifferentiableOnce, "once_differentiable"), (Distances, "_cdist_backward")])
def test_a_model_without_second_derivatives_is_refused_with_the_operation(net: type[nn.Module], cause: str) -> None:
    landscape = Landscape(net().double(), squared, batches(7, 4))
    assert landscape.gradient(landscape.initial).any()
    with pytest.raises(SpinodalError, match=f"E has no second derivatives: .*{cause}.*; a model whose operations"):
        landscape.hessian_product(landscape.initial, landscape.initial)


CASES = {
    "factorised": layers,
    "vectorised": lambda activation: nn.Sequential(nn.Conv1d(INPUTS, 2, 1), activation(), nn.Flatten()),
}


@pytest.mark.parametrize("case", CASES)
def test_the_hessian_is_symmetric_to_the_last_bit(case: str) -> None:
    model = CASES[case](nn.Tanh).double()
    x = torch.randn(9, INPUTS, 1, dtype=torch.float64) if case == "vectorised" else torch.randn(9, INPUTS, dtype=torch.float64)
    landscape = Landscape(model, squared, [(x[:7], torch.arange(7) % 2), (x[7:], torch.arange(2))])
    hessian = landscape.hessian(torch.randn(landscape.size, dtype=torch.float64))
    assert landscape.hessian_method.name.startswith(case)
    assert torch.equal(hessian, hessian.T)


def test_many_samples_and_few_agree_through_the_chunks_of_the_factorisation(oracle: type[Oracle]) -> None:
    model, data = layers(nn.Tanh).double(), batches(5)
    thousandfold = [(x.repeat(4000, 1), labels.repeat(4000)) for x, labels in data]
    theta = torch.randn(oracle(model, squared, data).size, dtype=torch.float64)
    few, many = (Landscape(model, squared, batch).hessian(theta) for batch in (data, thousandfold))
    torch.testing.assert_close(many, few, rtol=1e-11, atol=1e-11)


def test_the_choice_of_method_leaves_no_trace() -> None:
    landscape = Landscape(layers(nn.Tanh).double(), squared, batches(7, 4))
    before, value = landscape.counts.copy(), landscape.value(landscape.initial)
    before.error_evaluations += 1
    assert landscape.hessian_method.name == FACTORISED
    landscape.hessian(landscape.initial)
    before.hessians += 1
    before.passes += landscape.hessian_method.passes(landscape)
    assert landscape.counts == before
    assert landscape.value(landscape.initial) == value
    assert not any(module._forward_hooks for module in landscape.model.modules())
