"""The scalar curvature from probes: unbiased, with honest error bars, within its budget and its memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from losses import cross_entropy
from spinodal import Landscape, minimise
from spinodal.curvature.by_sample.sample_groups import SampleGroups
from spinodal.curvature.by_sample.sample_probes import SampleProbes
from spinodal.curvature.by_sample.samples import SampleError
from spinodal.curvature.deflation import Deflation
from spinodal.curvature.gauss import ricci
from spinodal.curvature.gauss_newton import GaussNewton
from spinodal.curvature.probed import Probed, Shifted
from spinodal.curvature.probes import Probes
from spinodal.curvature.scalar import BUDGET, curvatures, least_budget, scalar_curvature
from spinodal.errors import SpinodalError
from spinodal.landscape.penalty import Penalty

Batch = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]
INPUTS, CLASSES = 6, 3


def squared(model: nn.Module, batch: Batch) -> Tensor:
    return (model(batch[0]) - functional.one_hot(batch[1], CLASSES)).square().sum(1).mean()


def wavy(model: nn.Module, batch: Batch) -> Tensor:
    outputs = model(batch[0])
    return (torch.sin(outputs) + outputs * outputs.roll(1, 1)).sum(1).mean()


def meeting(model: nn.Module, batch: Batch) -> Tensor:
    """Samples meet: the variance of the outputs over the batch."""
    return squared(model, batch) + model(batch[0]).var(0).sum()


def net(*widths: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    layers = [[nn.Linear(a, b), activation()] for a, b in itertools.pairwise((INPUTS, *widths, CLASSES))]
    return nn.Sequential(*itertools.chain.from_iterable(layers))[:-1]


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters, self.read = nn.Conv1d(1, 4, 3), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(torch.sigmoid(self.filters(x[:, None])).flatten(1))


def data(count: int) -> Batch:
    labels = torch.arange(count) % CLASSES
    return torch.randn(count, INPUTS, dtype=torch.float64) + labels[:, None], labels


def landscape(model: nn.Module, loss: Loss, batch: Any, **options: Any) -> Landscape:
    return Landscape(model, loss, batch, **options)


def quadratic(spectrum: Tensor) -> tuple[Landscape, Tensor]:
    """`E = sum lambda (q . theta)^2 / 2 + b . theta` with a given spectrum of H, in a random frame, and a point on it."""
    size = len(spectrum)
    frame = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]
    slope = torch.randn(size, dtype=torch.float64) / size**0.5

    class At(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def loss(model: Any, _: None) -> Tensor:
        return (spectrum * (frame.T @ model.theta).square()).sum() / 2 + slope @ model.theta

    return Landscape(At(), loss, None), 0.01 * torch.randn(size, dtype=torch.float64)


def dense(of: Landscape, theta: Tensor, beta: float = 0.0) -> float:
    hessian = of.hessian(theta).double() + 2 * beta * torch.eye(of.size, dtype=torch.float64)
    return ricci(of.gradient(theta).double() + 2 * beta * theta.double(), hessian)


# -- traces ----------------------------------------------------------------------------------


class AllSigns:
    """Deals every combination of signs of two samples, one a pass."""

    def __init__(self, width: int) -> None:
        self.signs = iter(torch.tensor(list(itertools.product([-1.0, 1.0], repeat=2 * width)), dtype=torch.float64))
        self.width = width

    def rows(self, count: int) -> Tensor:
        assert count == 2
        return next(self.signs).reshape(2, self.width)


@pytest.mark.parametrize("loss", [squared, cross_entropy, wavy])
@pytest.mark.parametrize("frozen", ["", "0.weight", "0.bias", "2.weight", "2.bias"])
def test_the_mean_over_all_signs_of_samples_is_the_trace_of_both_parts(loss: Loss, frozen: str) -> None:
    model = net(1)
    if frozen:
        model.get_parameter(frozen).requires_grad_(False)
    of = landscape(model, loss, data(2))
    source, nothing = SampleProbes(of, of.initial, (0,)), Deflation(of.initial)
    source._probes = AllSigns(4)  # type: ignore[assignment]
    passes = [source.trace(nothing) for _ in range(2**8)]
    whole = sum(found.whole for found in passes) / len(passes)
    residual = sum(found.residual or 0.0 for found in passes) / len(passes)
    assert whole == pytest.approx(float(of.hessian(of.initial).trace()), rel=1e-12)
    fisher = GaussNewton(of, of.initial).trace(method="exact").value
    assert whole - residual == pytest.approx(fisher, rel=1e-11)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    "model",
    [pytest.param(lambda: net(8, 6), id="layers"), pytest.param(Convolution, id="convolution", marks=pytest.mark.slow)],
)
def test_passes_over_the_samples_are_unbiased_and_less_noisy_than_common_probes(
    model: Callable[[], nn.Module], batched: bool
) -> None:
    batch = data(120)
    parts = [tuple(part[piece] for part in batch) for piece in (slice(80), slice(80, None))]
    of = landscape(model(), squared, parts if batched else batch)
    theta, exact = of.initial, float(of.hessian(of.initial).trace())
    groups = of.split(theta, pieces=20)
    assert groups is not None
    sources: list[Any] = [SampleGroups(groups, theta, Probes(theta, (1,)))]
    if not isinstance(of.model, Convolution):
        sources.append(SampleProbes(of, theta, (1,)))
    rows = Probes(theta, (2,)).rows(200)
    common = float((rows * of.hessian_product(theta, rows)).sum(1).std())
    for source in sources:
        found = torch.tensor([source.trace(Deflation(theta)).whole for _ in range(40)], dtype=torch.float64)
        spread = float(found.std())
        assert abs(float(found.mean()) - exact) < 4 * spread / 40**0.5
        assert spread < common / 2


def test_groups_of_samples_know_what_is_deflated_exactly() -> None:
    of = landscape(Convolution(), squared, data(60))
    theta, known = of.initial, Deflation(of.initial)
    groups = of.split(theta, pieces=10)
    assert groups is not None
    units = torch.eye(of.size, dtype=torch.float64)
    known.add(units, of.hessian_product(theta, units))
    found = SampleGroups(groups, theta, Probes(theta, (0,))).trace(known).whole
    assert found == pytest.approx(float(of.hessian(theta).trace()), rel=1e-12)


@pytest.mark.parametrize("model", [Convolution, lambda: nn.Sequential(net(4), nn.BatchNorm1d(CLASSES, affine=False).eval())])
def test_parameters_outside_of_linear_layers_have_no_probes_of_samples(model: Callable[[], nn.Module]) -> None:
    of = landscape(model(), squared, data(20))
    if isinstance(of.model, Convolution):
        with pytest.raises(SampleError):
            SampleProbes(of, of.initial, (0,))
    else:
        assert SampleProbes(of, of.initial, (0,)).outputs == CLASSES


def test_samples_that_meet_have_no_probes_of_their_own() -> None:
    of = landscape(net(4), meeting, data(30))
    with pytest.raises(SampleError):
        SampleProbes(of, of.initial, (0,))
    assert of.split(of.initial, pieces=5) is None


# -- the estimate ----------------------------------------------------------------------------

CASES: dict[str, tuple[Callable[[], nn.Module], Loss]] = {
    "linear layers": (lambda: net(12, 10), squared),
    "cross-entropy": (lambda: net(16), cross_entropy),
    "convolution": (Convolution, squared),
    "samples that meet": (lambda: net(12), meeting),
}


@pytest.mark.parametrize("case", CASES)
def test_the_dense_value_lies_within_three_standard_errors(case: str) -> None:
    model, loss = CASES[case]
    of = landscape(model(), loss, data(100))
    theta = minimise(of, beta=0.01, start=of.initial, tolerance=1e-3).theta if case == "linear layers" else of.initial
    within = {0.0: 0, 0.01: 0}
    exact = {beta: dense(of, theta, beta) for beta in within}
    seeds = 6 if case == "convolution" else 40
    for seed in range(seeds):
        found = curvatures(of, theta, betas=tuple(within), method="probes", budget=30, seed=seed).scalar
        for beta, estimate in zip(within, found, strict=True):
            assert estimate.products <= 30
            within[beta] += abs(estimate.value - exact[beta]) <= 3 * estimate.stderr
    assert min(within.values()) >= 0.95 * seeds, within


def test_a_mask_shifts_the_trace_of_what_is_penalised_only() -> None:
    of = landscape(net(12, 10), squared, data(100))
    penalty = Penalty(mask=torch.arange(of.size) % 3 > 0)
    exact = of.hessian(of.initial) + torch.diag(0.2 * penalty.diagonal(of.initial))
    slope = of.gradient(of.initial) + 0.2 * penalty.diagonal(of.initial) * of.initial
    found = curvatures(of, of.initial, betas=(0.1,), method="probes", budget=80, penalty=penalty)
    assert found.scalar[0].relative < 0.02
    assert abs(found.scalar[0].value - ricci(slope, exact)) < 3 * found.scalar[0].stderr
    assert abs(found.trace[0].value - float(exact.trace())) < 3 * found.trace[0].stderr


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_hessian_of_low_rank_is_known_to_rounding(rank: int) -> None:
    spectrum = torch.zeros(400, dtype=torch.float64)
    spectrum[:rank] = torch.linspace(3.0, -1.0, rank, dtype=torch.float64)
    of, theta = quadratic(spectrum)
    found = scalar_curvature(of, theta, method="probes", budget=60)
    assert found.value == pytest.approx(dense(of, theta), rel=1e-9, abs=1e-12)
    assert found.stderr < 1e-9


@pytest.mark.parametrize("tail", [0.01, 0.05])
def test_deflation_finds_the_few_eigenvalues_that_hold_most(tail: float) -> None:
    spectrum = torch.cat([torch.tensor([30.0, 20.0, 10.0, 5.0, 4.0]), tail * torch.rand(495)]).double()
    of, theta = quadratic(spectrum)
    found = curvatures(of, theta, betas=(0.0,), method="probes", budget=48)
    exact = dense(of, theta)
    assert abs(found.scalar[0].value - exact) < 3 * found.scalar[0].stderr
    assert found.scalar[0].relative < 0.02  # plain probes leave 18 %
    estimator = Probed(of.hessian_operator(theta), [Shifted(of.gradient(theta))], seed=0)
    estimator.spend(48)
    assert estimator.known.size > 4


def test_no_more_directions_are_deflated_than_the_memory_holds() -> None:
    spectrum = torch.cat([torch.linspace(30.0, 1.0, 40), torch.zeros(360)]).double()
    of, theta = quadratic(spectrum)
    estimator = Probed(of.hessian_operator(theta), [Shifted(of.gradient(theta))], seed=0, deepest=20)
    estimator.spend(200)
    assert estimator.known.size <= 20


# -- budgets and accuracies ------------------------------------------------------------------


def test_an_accuracy_that_is_asked_for_is_reached_at_a_price_that_grows_with_it() -> None:
    of = landscape(net(12, 10), squared, data(100))
    theta = minimise(of, beta=0.01, start=of.initial, tolerance=1e-3).theta
    rough = scalar_curvature(of, theta, method="probes", rtol=0.1)
    close = scalar_curvature(of, theta, method="probes", rtol=0.01)
    assert rough.relative <= 0.1
    assert close.relative <= 0.01
    assert rough.products < close.products < 120
    assert rough.status == close.status == "estimated"


def test_an_accuracy_beyond_the_budget_is_not_reached_and_says_so() -> None:
    of = landscape(net(12, 10), squared, data(100))
    found = scalar_curvature(of, of.initial, method="probes", rtol=1e-6, budget=20)
    assert found.status == "not reached"
    assert found.products <= 20
    assert "less exact than asked for" in str(found)


def test_a_budget_of_all_products_is_the_exact_path() -> None:
    of = landscape(net(12, 10), squared, data(30))
    found = scalar_curvature(of, of.initial, budget=of.size)
    assert (found.method, found.stderr, found.status) == ("dense", 0.0, "exact")
    assert scalar_curvature(of, of.initial, budget=BUDGET).method == "probes"
    assert scalar_curvature(of, of.initial).method == "dense"


@pytest.mark.parametrize("budget", range(least_budget(300), least_budget(300) + 12))
def test_every_budget_is_kept_and_has_an_error_bar(budget: int) -> None:
    of = landscape(net(12, 10), squared, data(30))
    found = scalar_curvature(of, of.initial, method="probes", budget=budget)
    assert found.products <= budget
    assert 0 < found.stderr < math.inf
    assert found.spent.hessian_products <= budget


@pytest.mark.parametrize("budget", [0, 3, -1, 2.5, "many", True])
def test_a_budget_that_is_none_is_refused(budget: Any) -> None:
    of = landscape(net(12, 10), squared, data(30))
    with pytest.raises(SpinodalError) as refused:
        scalar_curvature(of, of.initial, budget=budget)
    assert "method='dense'" in str(refused.value)


@pytest.mark.parametrize("arguments", [{"rtol": 0.0}, {"rtol": 1.5}, {"beta": -1.0}, {"beta": math.nan}, {"method": "magic"}])
def test_arguments_that_are_not_allowed_are_refused(arguments: dict[str, Any]) -> None:
    of = landscape(net(4), squared, data(10))
    with pytest.raises(SpinodalError):
        scalar_curvature(of, of.initial, **arguments)


@pytest.mark.parametrize("arguments", [{"betas": ()}, {"betas": 0.1}, {"seed": "a"}])
def test_surfaces_that_are_none_are_refused(arguments: dict[str, Any]) -> None:
    of = landscape(net(12, 10), squared, data(30))
    with pytest.raises(SpinodalError):
        curvatures(of, of.initial, **({"betas": (0.0,), "method": "probes"} | arguments))


def test_many_surfaces_do_not_break_the_budget() -> None:
    of = landscape(net(12, 10), squared, data(30))
    betas = tuple(0.01 * k for k in range(7))
    with pytest.raises(SpinodalError):
        curvatures(of, of.initial, betas=betas, method="probes", budget=12)
    found = curvatures(of, of.initial, betas=betas, method="probes", budget=20)
    assert found.scalar[0].products <= 20


# -- reproducible, whatever the parts ---------------------------------------------------------


def test_a_seed_makes_everything_reproducible_and_another_one_differs() -> None:
    of = landscape(net(12, 10), squared, data(50))
    first, again, other = (scalar_curvature(of, of.initial, method="probes", budget=20, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.value != other.value
    assert abs(first.value - other.value) < 5 * math.hypot(first.stderr, other.stderr)


def test_probes_of_samples_do_not_depend_on_the_memory() -> None:
    batch, model, values = data(600), net(12, 10), []
    for memory in (2**29, 2**16):
        of = landscape(model, squared, batch, memory=memory)
        source = SampleProbes(of, of.initial, (0,))
        values.append(source.trace(Deflation(of.initial)).whole)
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_unequal_batches_agree_with_one_batch() -> None:
    batch = data(50)
    pieces = [tuple(part[piece] for part in batch) for piece in (slice(7), slice(7, 40), slice(40, None))]
    model = net(12, 10)
    one, several = landscape(model, squared, batch), landscape(model, squared, pieces)
    exact = dense(one, one.initial)
    assert scalar_curvature(several, one.initial).value == pytest.approx(exact, rel=1e-12)
    found = scalar_curvature(several, one.initial, method="probes", budget=80)
    assert abs(found.value - exact) < 3 * found.stderr < 0.3 * abs(exact)


def test_parts_of_batches_are_the_same_landscape() -> None:
    of = landscape(net(8), squared, data(97), memory=2**16)
    parts = of.split(of.initial)
    assert parts is not None
    assert parts.batches.count > 1
    torch.testing.assert_close(parts.gradient(of.initial), of.gradient(of.initial), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(parts.hessian(of.initial), of.hessian(of.initial), rtol=1e-11, atol=1e-13)
    assert parts.counts is of.counts


def test_single_precision_agrees_with_double() -> None:
    model, batch = net(30, 30), data(200)
    single, double = landscape(model, cross_entropy, batch, dtype=torch.float32), landscape(model, cross_entropy, batch)
    found = scalar_curvature(single, single.initial, method="probes", budget=60)
    assert abs(found.value - dense(double, double.initial)) < 3 * found.stderr


# -- bad input -------------------------------------------------------------------------------


def test_one_parameter_is_flat() -> None:
    of = Landscape(nn.Linear(1, 1, bias=False), lambda model, x: (model(x) - 1).pow(4).mean(), torch.ones(3, 1))
    found = scalar_curvature(of, torch.tensor([3.0]), method="auto")
    assert (found.value, found.stderr, found.status) == (0.0, 0.0, "exact")
    assert scalar_curvature(of, torch.tensor([3.0]), budget=1).value == 0.0


def test_an_error_without_any_curvature_is_flat() -> None:
    of, theta = quadratic(torch.zeros(1200, dtype=torch.float64))
    found = scalar_curvature(of, theta)
    assert (found.value, found.method) == (0.0, "probes")


@pytest.mark.parametrize("method", ["dense", "probes"])
def test_kinks_are_a_caveat_and_smooth_functions_are_none(method: str) -> None:
    for activation, expected in ((nn.ReLU, 1), (nn.Hardtanh, 1), (nn.Tanh, 0), (nn.GELU, 0)):
        of = landscape(net(12, 10, activation=activation), squared, data(30))
        caveats = scalar_curvature(of, of.initial, method=method, budget=30 if method == "probes" else None).caveats
        assert len(caveats) == expected, activation
        assert all("piecewise" in text for text in caveats)


@pytest.mark.parametrize("method", ["dense", "probes"])
def test_second_derivatives_that_are_not_finite_are_refused(method: str) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(40, dtype=torch.float64))

    of = Landscape(Root(), lambda model, _: model.w.abs().pow(1.5).sum(), None)
    with pytest.raises(SpinodalError) as refused:
        scalar_curvature(of, torch.zeros(40), method=method)
    assert "not finite" in str(refused.value)


def test_fused_attention_is_refused_with_a_way_out() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.read = nn.Linear(1, 6), nn.Linear(2, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.mix(x[..., None])[:, None].chunk(3, -1)
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                return self.read(functional.scaled_dot_product_attention(query, key, value)[:, 0].mean(1))

    of = landscape(Attention(), squared, data(10))
    with pytest.raises(SpinodalError) as refused:
        scalar_curvature(of, of.initial, method="probes")
    assert "MATH" in str(refused.value)


def test_probes_are_signs_and_their_streams_are_independent() -> None:
    like = torch.zeros(1000, dtype=torch.float64)
    streams: Sequence[Tensor] = [Probes(like, seed).rows(3) for seed in ((0, 0), (0, 1), (1, 0))]
    assert all(set(rows.unique().tolist()) == {-1.0, 1.0} for rows in streams)
    rows = torch.cat(list(streams))
    overlaps = (rows @ rows.T / 1000)[~torch.eye(9, dtype=torch.bool)]
    assert float(overlaps.abs().max()) < 0.15
