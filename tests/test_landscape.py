"""E(theta): closed forms first, then a dense oracle, then invariances."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from losses import cross_entropy, squared
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape

SAMPLES, INPUTS, CLASSES = 10, 3, 4


def logistic(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(batch[0]), batch[1])


@dataclass(frozen=True)
class ClosedForm:
    """A convex problem with E, gradient and Hessian written by hand, at one theta."""

    model: nn.Module
    loss: Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]
    batch: tuple[Tensor, Tensor]
    theta: Tensor
    value: Tensor
    gradient: Tensor
    hessian: Tensor


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def linear_regression() -> ClosedForm:
    x, y, w = draw(SAMPLES, INPUTS), draw(SAMPLES, 1), draw(INPUTS)
    residual = x @ w - y[:, 0]
    return ClosedForm(
        nn.Linear(INPUTS, 1, bias=False),
        squared,
        (x, y),
        w,
        residual @ residual / SAMPLES,
        2 / SAMPLES * x.T @ residual,
        2 / SAMPLES * x.T @ x,
    )


def logistic_regression() -> ClosedForm:
    x, y, w = draw(SAMPLES, INPUTS), torch.arange(SAMPLES).remainder(2).double()[:, None], draw(INPUTS)
    p = 1 / (1 + torch.exp(-x @ w))
    return ClosedForm(
        nn.Linear(INPUTS, 1, bias=False),
        logistic,
        (x, y),
        w,
        -(y[:, 0] * p.log() + (1 - y[:, 0]) * (1 - p).log()).mean(),
        x.T @ (p - y[:, 0]) / SAMPLES,
        x.T @ torch.diag(p * (1 - p)) @ x / SAMPLES,
    )


def softmax_regression() -> ClosedForm:
    x, y, w = draw(SAMPLES, INPUTS), torch.arange(SAMPLES).remainder(CLASSES), draw(CLASSES, INPUTS)
    scores = (x @ w.T).exp()
    p = scores / scores.sum(1, keepdim=True)
    hessian = sum(torch.kron(torch.diag(q) - torch.outer(q, q), torch.outer(a, a)) for q, a in zip(p, x, strict=True))
    return ClosedForm(
        nn.Linear(INPUTS, CLASSES, bias=False),
        cross_entropy,
        (x, y),
        w.reshape(-1),
        -p[torch.arange(SAMPLES), y].log().mean(),
        ((p - torch.eye(CLASSES).double()[y]).T @ x / SAMPLES).reshape(-1),
        hessian / SAMPLES,
    )


class Twice:
    """Batches that can be walked any number of times, and are neither a sequence nor a loader."""

    def __init__(self, *batches: object) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[object]:
        return iter(self.batches)


def parts(batch: tuple[Tensor, Tensor], *sizes: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(tensor.split(sizes) for tensor in batch), strict=True))


SUPPLIES: dict[str, Callable[[tuple[Tensor, Tensor]], object]] = {
    "one batch": lambda batch: batch,
    "batches of 8 and 2": lambda batch: parts(batch, 8, 2),
    "lists for batches": lambda batch: [list(part) for part in parts(batch, 1, 9)],
    "a tuple in a list": lambda batch: [batch],
    "a loader of 4, 4 and 2": lambda batch: DataLoader(TensorDataset(*batch), batch_size=4, shuffle=False),
    "a re-iterable": lambda batch: Twice(*parts(batch, 8, 2)),
}


@pytest.mark.parametrize("supply", SUPPLIES)
@pytest.mark.parametrize("problem", [linear_regression, logistic_regression, softmax_regression])
def test_value_gradient_and_hessian_equal_the_closed_form(problem: Callable[[], ClosedForm], supply: str) -> None:
    known = problem()
    landscape = Landscape(known.model, known.loss, SUPPLIES[supply](known.batch))
    vector = draw(landscape.size)
    close = {"rtol": 1e-12, "atol": 1e-14}
    assert landscape.value(known.theta) == pytest.approx(float(known.value), rel=1e-13)
    torch.testing.assert_close(landscape.gradient(known.theta), known.gradient, **close)
    torch.testing.assert_close(landscape.hessian(known.theta), known.hessian, **close)
    torch.testing.assert_close(landscape.hessian_product(known.theta, vector), known.hessian @ vector, **close)
    torch.testing.assert_close(landscape.hessian_operator(known.theta)(vector), known.hessian @ vector, **close)


class Product(nn.Module):
    """`E = (1 - w1 w2)^2 / 2`, which needs no data."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.tensor(0.3))
        self.w2 = nn.Parameter(torch.tensor(0.7))


def product_error(model: Product, batch: None) -> Tensor:
    return 0.5 * (1 - model.w1 * model.w2) ** 2


def test_an_energy_without_data_equals_its_closed_form() -> None:
    landscape, t = Landscape(Product(), product_error, None), 0.6
    theta = torch.tensor([t, t], dtype=torch.float64)
    slope, curvature, mixed = -t * (1 - t * t), t * t, 2 * t * t - 1
    assert landscape.value(theta) == pytest.approx(0.5 * (1 - t * t) ** 2, rel=1e-14)
    torch.testing.assert_close(landscape.gradient(theta), theta.new_tensor([slope, slope]))
    torch.testing.assert_close(landscape.hessian(theta), theta.new_tensor([[curvature, mixed], [mixed, curvature]]))


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def pair(samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    return draw(samples, INPUTS), draw(samples, 2)


def written_by_hand(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
    w1, b1, w2, b2 = theta.split([15, 5, 10, 2])
    output = torch.tanh(x @ w1.view(5, 3).T + b1) @ w2.view(2, 5).T + b2
    return ((output - y) ** 2).sum() / len(x)


def test_a_tanh_net_equals_the_formula_written_by_hand() -> None:
    batch = pair()
    landscape = Landscape(small_net(), squared, parts(batch, 8, 2))
    theta = draw(landscape.size).requires_grad_()
    error = written_by_hand(theta, *batch)
    (gradient,) = torch.autograd.grad(error, theta)
    hessian = torch.autograd.functional.hessian(lambda point: written_by_hand(point, *batch), theta.detach())
    assert landscape.value(theta.detach()) == pytest.approx(float(error.detach()), rel=1e-13)
    torch.testing.assert_close(landscape.gradient(theta.detach()), gradient, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(landscape.hessian(theta.detach()), hessian, rtol=1e-11, atol=1e-12)


def test_gradient_and_hessian_product_equal_central_differences() -> None:
    landscape = Landscape(small_net(), squared, pair())
    theta, direction, step = draw(landscape.size), draw(landscape.size), 1e-5
    ahead, behind = theta + step * direction, theta - step * direction
    slope = (landscape.value(ahead) - landscape.value(behind)) / (2 * step)
    bend = (landscape.gradient(ahead) - landscape.gradient(behind)) / (2 * step)
    assert float(landscape.gradient(theta) @ direction) == pytest.approx(slope, rel=1e-7)
    torch.testing.assert_close(landscape.hessian_product(theta, direction), bend, rtol=1e-6, atol=1e-6)


class Convolution(nn.Module):
    """A model whose Hessian is not factorised."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 2, 2)
        self.read = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.tanh(self.filters(x[:, None])).flatten(1))


MODELS: dict[str, Callable[[], nn.Module]] = {"linear layers": small_net, "convolution": lambda: Convolution().double()}


def everything(landscape: Landscape, theta: Tensor, vectors: Tensor) -> list[Tensor]:
    """Return all a landscape can say about a point."""
    values, gradients = landscape.values_and_gradients(torch.stack([theta, 2 * theta]))
    value, gradient = landscape.value_and_gradient(theta)
    return [
        theta.new_tensor([landscape.value(theta), value]),
        gradient,
        values,
        gradients,
        landscape.hessian_product(theta, vectors),
        landscape.hessian_operator(theta)(vectors),
        landscape.hessian(theta),
    ]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_unequal_batches_in_any_order_agree_with_one_batch(model: str, order: tuple[int, ...]) -> None:
    net, batch = MODELS[model](), pair()
    pieces = parts(batch, 7, 1, 2)
    whole, split = Landscape(net, squared, batch), Landscape(net, squared, [pieces[i] for i in order])
    theta, vectors = draw(whole.size), draw(2, whole.size)
    for one, many in zip(everything(whole, theta, vectors), everything(split, theta, vectors), strict=True):
        torch.testing.assert_close(many, one, rtol=1e-12, atol=1e-12)


def test_permuting_hidden_neurons_leaves_error_and_spectrum_unchanged() -> None:
    landscape = Landscape(small_net(), squared, pair())
    theta, order = draw(landscape.size), torch.tensor([3, 0, 4, 1, 2])
    named = landscape.parameters.unflatten(theta)
    swapped = torch.cat(
        [
            named["0.weight"][order].reshape(-1),
            named["0.bias"][order],
            named["2.weight"][:, order].reshape(-1),
            named["2.bias"],
        ]
    )
    assert landscape.value(swapped) == pytest.approx(landscape.value(theta), rel=1e-14)
    spectra = [torch.linalg.eigvalsh(landscape.hessian(point)) for point in (theta, swapped)]
    torch.testing.assert_close(spectra[0], spectra[1], rtol=1e-10, atol=1e-10)
    assert (theta - swapped).norm() > 1


# -- the module --------------------------------------------------------------------------------


def test_the_module_is_never_changed() -> None:
    net = nn.Sequential(nn.Linear(INPUTS, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    net[0].bias.requires_grad_(False)
    net[1].eval()  # the rest stays in training mode
    before = copy.deepcopy(net.state_dict())
    flags = [module.training for module in net.modules()], [value.requires_grad for value in net.parameters()]
    landscape = Landscape(net, squared, pair())
    everything(landscape, draw(landscape.size), draw(2, landscape.size))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == flags[0]
    assert [value.requires_grad for value in net.parameters()] == flags[1]
    assert all(value.dtype == torch.float32 and value.grad is None for value in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_changing_the_module_later_changes_nothing() -> None:
    net = small_net()
    landscape = Landscape(net, squared, pair())
    before = landscape.value(landscape.initial)
    with torch.no_grad():
        net[0].weight.zero_()
    assert landscape.value(landscape.initial) == before


def test_initial_is_the_given_point_whatever_was_evaluated_and_written() -> None:
    net = small_net()
    landscape = Landscape(net, squared, pair())
    landscape.gradient(draw(landscape.size))
    landscape.initial.zero_()
    assert torch.equal(landscape.initial, torch.cat([value.detach().reshape(-1) for value in net.parameters()]))


def test_frozen_parameters_stay_out_and_keep_their_value() -> None:
    net, batch = small_net(), pair()
    net[0].weight.requires_grad_(False)
    free, frozen = Landscape(small_net(), squared, batch), Landscape(net, squared, batch)
    assert frozen.size == free.size - 15
    assert [slot.name for slot in frozen.parameters.slots] == ["0.bias", "2.weight", "2.bias"]
    theta = draw(frozen.size)
    full = torch.cat([net[0].weight.detach().reshape(-1), theta])
    assert frozen.value(theta) == pytest.approx(free.value(full), rel=1e-14)
    torch.testing.assert_close(frozen.gradient(theta), free.gradient(full)[15:])
    torch.testing.assert_close(frozen.hessian(theta), free.hessian(full)[15:, 15:])


class Tied(nn.Module):
    """`f(x) = W W x`: one matrix in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_tied_parameters_count_once_and_get_both_gradients() -> None:
    x, y = draw(SAMPLES, 2), draw(SAMPLES, 2)
    landscape = Landscape(Tied(), squared, parts((x, y), 8, 2))
    theta = draw(4).requires_grad_()
    error = (x @ (theta.view(2, 2) @ theta.view(2, 2)).T - y).square().sum() / SAMPLES
    (gradient,) = torch.autograd.grad(error, theta)
    assert landscape.size == 4
    torch.testing.assert_close(landscape.gradient(theta.detach()), gradient)
    _, gradients = landscape.values_and_gradients(theta.detach()[None])
    torch.testing.assert_close(gradients[0], gradient)


class WithUnused(nn.Module):
    """A net with a layer that no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.used = nn.Linear(INPUTS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def test_an_unused_layer_has_zero_gradient_and_zero_curvature() -> None:
    landscape = Landscape(WithUnused(), squared, pair())
    theta = draw(landscape.size)
    hessian = landscape.hessian(theta)
    assert not landscape.gradient(theta)[:6].any()
    assert not hessian[:6].any()
    assert not hessian[:, :6].any()
    assert torch.linalg.eigvalsh(hessian[6:, 6:])[0] > 0


def test_an_error_linear_in_theta_has_no_curvature() -> None:
    landscape = Landscape(nn.Linear(INPUTS, 1), lambda model, batch: model(batch).mean(), draw(SAMPLES, INPUTS))
    theta, vectors = draw(4), draw(3, 4)
    assert not landscape.hessian(theta).any()
    assert not landscape.hessian_product(theta, vectors).any()
    assert not landscape.hessian_operator(theta)(vectors).any()


# -- batches and rows --------------------------------------------------------------------------


def test_dict_batches_agree_with_tuple_batches() -> None:
    net, (x, y) = small_net(), pair()
    named = [{"x": a, "y": b} for a, b in parts((x, y), 8, 2)]
    dicts = Landscape(net, lambda model, batch: squared(model, (batch["x"], batch["y"])), named)
    tuples = Landscape(net, squared, (x, y))
    theta, vectors = draw(tuples.size), draw(2, tuples.size)
    for one, other in zip(everything(tuples, theta, vectors), everything(dicts, theta, vectors), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)


def test_a_single_tensor_is_one_batch() -> None:
    x = draw(SAMPLES, INPUTS)
    net = nn.Linear(INPUTS, INPUTS, bias=False).double()
    alone = Landscape(net, lambda model, batch: (model(batch) - batch).square().sum(1).mean(), x)
    paired = Landscape(net, squared, (x, x))
    assert alone.value(alone.initial) == paired.value(paired.initial)
    assert alone.batches.count == 1


class Branching(nn.Module):
    """A model whose control flow depends on its parameters, which vmap cannot batch."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))


def branching_error(model: Branching, batch: None) -> Tensor:
    return (model.w**4).sum() if float(model.w.sum().detach()) > 0 else (model.w**2).sum()


class Clipped(torch.autograd.Function):
    """`x^3` with a backward pass that reads a number out of a tensor, which vmap cannot batch."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return Slope.apply(x, slope)


class Slope(torch.autograd.Function):
    """`3 x^2 g` and its derivatives."""

    @staticmethod
    def forward(ctx: object, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return 3 * x**2 * slope

    @staticmethod
    def backward(ctx: object, change: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        size = change.abs().max().item()
        return 6 * x * slope * change if size > 0 else 0 * change, 3 * x**2 * change


def clipped_error(model: Branching, batch: None) -> Tensor:
    return Clipped.apply(model.w).sum()


ROWS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor], Callable[[], object]]] = {
    "linear layers": (small_net, squared, pair),
    "linear layers in batches": (small_net, squared, lambda: parts(pair(), 8, 2)),
    "convolution": (MODELS["convolution"], squared, pair),
    "control flow": (Branching, branching_error, lambda: None),
    "unbatchable backward": (Branching, clipped_error, lambda: None),
}


@pytest.mark.parametrize("case", ROWS)
def test_values_and_gradients_of_many_points_equal_those_of_single_points(case: str) -> None:
    model, loss, data = ROWS[case]
    landscape = Landscape(model(), loss, data())
    thetas = draw(3, landscape.size)
    values, gradients = landscape.values_and_gradients(thetas)
    for row, theta in enumerate(thetas):
        value, gradient = landscape.value_and_gradient(theta)
        assert float(values[row]) == pytest.approx(value, rel=1e-13)
        torch.testing.assert_close(gradients[row], gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", ROWS)
def test_hessian_products_of_many_vectors_equal_those_of_single_vectors(case: str) -> None:
    model, loss, data = ROWS[case]
    landscape = Landscape(model(), loss, data())
    theta, vectors = draw(landscape.size), draw(35, landscape.size)  # more vectors than go into one pass
    products, operated = landscape.hessian_product(theta, vectors), landscape.hessian_operator(theta)(vectors)
    for row, vector in enumerate(vectors):
        single = landscape.hessian_product(theta, vector)
        torch.testing.assert_close(products[row], single, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(operated[row], single, rtol=1e-11, atol=1e-12)


def test_control_flow_on_theta_is_differentiated_on_the_branch_taken() -> None:
    landscape = Landscape(Branching(), branching_error, None)
    quartic, quadratic = torch.tensor([1.0, 2.0]).double(), torch.tensor([-1.0, -2.0]).double()
    torch.testing.assert_close(landscape.hessian(quartic), torch.diag(12 * quartic**2))
    torch.testing.assert_close(landscape.hessian(quadratic), 2 * torch.eye(2).double())


def test_an_unbatchable_backward_pass_still_has_its_hessian() -> None:
    landscape, theta = Landscape(Branching(), clipped_error, None), torch.tensor([1.5, -2.0]).double()
    torch.testing.assert_close(landscape.hessian(theta), torch.diag(6 * theta))


def test_a_tight_memory_changes_no_hessian() -> None:
    net, batch = MODELS["convolution"](), pair()
    roomy, tight = Landscape(net, squared, batch), Landscape(net, squared, batch, memory=1)
    theta = draw(roomy.size)
    torch.testing.assert_close(tight.hessian(theta), roomy.hessian(theta), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("model", MODELS)
def test_float32_agrees_with_float64_to_its_precision(model: str) -> None:
    net, batch = MODELS[model](), pair()
    single, double = Landscape(net, squared, batch, dtype=torch.float32), Landscape(net, squared, batch)
    theta, vectors = draw(double.size), draw(2, double.size)
    coarse, fine = everything(single, theta.float(), vectors.float()), everything(double, theta, vectors)
    assert all(value.dtype == torch.float32 for value in coarse)
    assert single.hessian_method.name == double.hessian_method.name
    for one, other in zip(coarse, fine, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-4, atol=2e-4)


# -- vectors -----------------------------------------------------------------------------------


def test_vector_reads_a_module() -> None:
    net = small_net()
    landscape = Landscape(net, squared, pair())
    assert torch.equal(landscape.vector(net), landscape.initial)


def test_vector_casts_and_detaches() -> None:
    landscape = Landscape(small_net(), squared, pair())
    vector = landscape.vector(torch.ones(landscape.size, requires_grad=True))
    assert vector.dtype == torch.float64
    assert not vector.requires_grad


@pytest.mark.parametrize(
    ("theta", "text"),
    [
        (torch.zeros(3), "theta is (3,); a tensor of shape (32,) is allowed; flatten with landscape.vector(module)"),
        (torch.zeros(1, 32), "theta is (1, 32)"),
        ([0.0] * 32, "theta is list"),
        (torch.full((32,), float("nan")), "theta is not finite; finite numbers are allowed; start from another point"),
        (torch.full((32,), float("inf")), "theta is not finite"),
    ],
)
def test_vector_refuses_what_is_no_theta(theta: object, text: str) -> None:
    landscape = Landscape(small_net(), squared, pair())
    with pytest.raises(SpinodalError) as refusal:
        landscape.vector(theta)
    assert text in str(refusal.value)


def test_a_theta_that_requires_grad_gives_plain_results() -> None:
    landscape = Landscape(small_net(), squared, pair())
    theta = landscape.initial.requires_grad_()
    assert landscape.value(theta) == landscape.value(landscape.initial)
    results = landscape.gradient(theta), landscape.hessian(theta), landscape.hessian_product(theta, draw(landscape.size))
    assert not any(result.requires_grad for result in results)


def test_a_theta_that_requires_grad_leaves_no_graph_behind() -> None:
    landscape = Landscape(small_net(), squared, pair())
    landscape.value(landscape.initial.requires_grad_())
    kept = [value for value in vars(landscape).values() if isinstance(value, Tensor)]
    assert not any(value.requires_grad for value in kept)


def test_a_large_batch_is_taken_in_parts_and_the_numbers_are_those_of_the_whole() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    data = torch.randn(5000, 3, dtype=torch.float64), torch.randn(5000, 2, dtype=torch.float64)

    def loss(model: torch.nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().sum(1).mean()

    def meeting(model: torch.nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return loss(model, batch) + model(batch[0]).mean().square()

    whole, parts = Landscape(net, loss, data), Landscape(net, loss, data, memory=2**18)
    theta, vector = whole.initial, torch.randn(whole.size, dtype=torch.float64)
    assert (whole.batches.count, parts.batches.total) == (1, 5000)
    assert parts.batches.count > 10
    assert parts.value(theta) == pytest.approx(whole.value(theta), rel=1e-13)
    torch.testing.assert_close(parts.gradient(theta), whole.gradient(theta), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(
        parts.hessian_product(theta, vector), whole.hessian_product(theta, vector), rtol=1e-12, atol=1e-14
    )
    assert Landscape(net, meeting, data, memory=2**18).batches.count == 1


@pytest.mark.parametrize("send", [pickle.dumps, copy.deepcopy])
def test_a_landscape_is_not_sent_to_another_process_where_theta_would_move_nothing(send: Callable[[object], object]) -> None:
    landscape = Landscape(nn.Linear(INPUTS, 1), squared, (torch.ones(2, INPUTS), torch.zeros(2, 1)))
    with pytest.raises(SpinodalError, match=r"landscape\.maker"):
        send(landscape)
    remade = pickle.loads(pickle.dumps(landscape.maker()))()
    theta = landscape.initial + 1.0
    assert remade.value(theta) == copy.copy(landscape).value(theta) == landscape.value(theta)


def test_a_part_keeps_batches_that_cannot_be_one() -> None:
    batches = [torch.randn(8, length, dtype=torch.float64) for length in (3, 4)]
    whole = Landscape(
        nn.Linear(1, 1).double(), lambda model, batch: model(batch[..., None]).square().sum((1, 2)).mean(), batches
    )
    part = whole.part(2)
    assert part is not None
    assert [part.batches.count, part.batches.total] == [2, 8]
