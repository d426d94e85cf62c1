"""Ends, saddle index and density of Hessians with prescribed spectra, and of small networks against LAPACK."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from spinodal import Landscape, Penalty, SpinodalError
from spinodal.spectrum.density import lanczos_density, spectral_density
from spinodal.spectrum.eigenbasis import eigenbasis, zero_fraction
from spinodal.spectrum.extremes import extreme_eigenvalues, lanczos_extremes
from spinodal.spectrum.krylov import Krylov, random_vectors
from spinodal.spectrum.saddle_index import SaddleIndex, index_of, lanczos_indices, saddle_index, saddle_indices

WAYS = ["dense", "lanczos"]


class Vector(nn.Module):
    """Nothing but a vector of parameters."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size))


def rotated(eigenvalues: Tensor) -> Tensor:
    rotation = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), dtype=torch.float64)).Q
    matrix = rotation * eigenvalues.double() @ rotation.T
    return 0.5 * (matrix + matrix.T)


def quadratic(matrix: Tensor, dtype: torch.dtype = torch.float64) -> Landscape:
    """Return `E = theta . M theta / 2`, whose Hessian is M."""
    matrix = matrix.to(dtype)
    return Landscape(Vector(len(matrix)), lambda model, batch: 0.5 * (model.w @ (matrix @ model.w)), None, dtype=dtype)


def prescribed(*eigenvalues: float, dtype: torch.dtype = torch.float64) -> Landscape:
    return quadratic(rotated(torch.tensor(eigenvalues, dtype=torch.float64)), dtype)


def linspace(low: float, high: float, count: int) -> Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)


def product_with(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda vectors: vectors @ matrix.T


def lanczos_index(product: Callable[[Tensor], Tensor], like: Tensor, **settings: int) -> SaddleIndex:
    return lanczos_indices(product, like, **settings)[0]


def network(batches: int = 1) -> tuple[Landscape, nn.Module, Callable[[nn.Module, tuple[Tensor, ...]], Tensor], list]:
    """Return a tanh net of 58 parameters and what an oracle needs of it."""
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1, bias=False)).double()
    data = [(torch.randn(7 + k, 3).double(), torch.randn(7 + k, 1).double()) for k in range(batches)]

    def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return ((net(batch[0]) - batch[1]) ** 2).mean()

    return Landscape(model, loss, data), model, loss, data


@functools.cache
def hidden() -> Tensor:
    """Return a matrix with the spectrum `HIDDEN`."""
    return rotated(HIDDEN)


HIDDEN = torch.cat([torch.tensor([-0.05]), linspace(0, 1, 1989), linspace(2, 10, 10)]).double()


# -- extreme eigenvalues ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_hidden_negative_eigenvalue_among_two_thousand_is_found_in_a_hundred_products(seed: int) -> None:
    matrix = hidden()
    found = lanczos_extremes(product_with(matrix), HIDDEN, budget=100, seed=seed)
    assert found.smallest.values.item() == pytest.approx(-0.05, abs=1e-6)
    assert found.smallest.residuals.item() < 1e-4
    assert found.largest.values.item() == pytest.approx(10.0, abs=1e-9)
    assert (found.status, found.products < 60) == ("converged", True)


@pytest.mark.parametrize("method", WAYS)
def test_both_ways_return_the_ends_of_a_prescribed_spectrum(method: str) -> None:
    values = torch.cat([torch.tensor([-3.0, -1.0, -0.5]), linspace(0, 1, 80), torch.tensor([2.0, 4.0, 7.0])]).double()
    error = quadratic(rotated(values))
    found = extreme_eigenvalues(error, error.initial, largest=3, smallest=2, method=method)
    assert found.largest.values.tolist() == pytest.approx([7.0, 4.0, 2.0], abs=1e-8)
    assert found.smallest.values.tolist() == pytest.approx([-3.0, -1.0], abs=1e-8)
    assert found.method == method
    assert found.products <= error.size


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("budget", [1, 5, 20, 80])
def test_a_residual_is_that_of_its_pair_and_an_eigenvalue_lies_within_it(budget: int, dtype: torch.dtype) -> None:
    values = torch.cat([torch.tensor([-2.0]), torch.randn(199)]).double()
    matrix = rotated(values)
    exact = matrix.to(dtype).double()  # the operator that the products are of
    values = torch.linalg.eigvalsh(exact)
    found = lanczos_extremes(product_with(matrix.to(dtype)), values.to(dtype), largest=2, smallest=3, budget=budget)
    assert len(found.smallest) == min(3, budget)
    for pairs in (found.largest, found.smallest):
        vectors = pairs.vectors.double()
        torch.testing.assert_close(
            vectors @ vectors.T, torch.eye(len(pairs)).double(), rtol=0, atol=100 * torch.finfo(dtype).eps
        )
        for value, residual, vector in zip(pairs.values, pairs.residuals, vectors, strict=True):
            true = float((exact @ vector - value * vector).norm())
            assert true <= float(residual)
            assert true >= 0.9 * float(residual) - 1e3 * torch.finfo(dtype).eps
            assert float((values - value).abs().min()) <= float(residual)


def test_the_ends_of_a_network_are_those_of_lapack(oracle: type) -> None:
    error, model, loss, data = network(batches=2)
    values = scipy.linalg.eigh(oracle(model, loss, data).hessian(error.initial).numpy(), eigvals_only=True)
    for method in WAYS:
        found = extreme_eigenvalues(error, error.initial, largest=4, smallest=4, method=method, tolerance=1e-9)
        assert found.largest.values.tolist() == pytest.approx(values[::-1][:4].tolist(), abs=1e-10)
        assert found.smallest.values.tolist() == pytest.approx(values[:4].tolist(), abs=1e-10)


@pytest.mark.parametrize("method", WAYS)
def test_the_penalty_shifts_the_spectrum_by_two_beta(method: str) -> None:
    error, *_ = network()
    beta = 0.35
    of_error = extreme_eigenvalues(error, error.initial, largest=2, smallest=2, method=method, tolerance=1e-10)
    of_loss = extreme_eigenvalues(error, error.initial, largest=2, smallest=2, method=method, tolerance=1e-10, beta=beta)
    torch.testing.assert_close(of_loss.largest.values, of_error.largest.values + 2 * beta, rtol=0, atol=1e-12)
    torch.testing.assert_close(of_loss.smallest.values, of_error.smallest.values + 2 * beta, rtol=0, atol=1e-12)


def test_a_mask_shifts_only_what_is_penalised() -> None:
    error = quadratic(torch.diag(torch.tensor([1.0, 2.0, 3.0])))
    penalty = Penalty(mask=torch.tensor([True, False, False]))
    for method in WAYS:
        found = extreme_eigenvalues(error, error.initial, beta=5.0, penalty=penalty, largest=3, smallest=0, method=method)
        assert found.largest.values.tolist() == pytest.approx([11.0, 3.0, 2.0])


def test_a_basis_of_little_memory_finds_the_same_ends() -> None:
    matrix = hidden()
    bytes_of = HIDDEN.element_size() * len(HIDDEN)
    small = lanczos_extremes(product_with(matrix), HIDDEN, largest=2, smallest=1, memory=36 * bytes_of)
    assert small.products > 24  # more than a basis of 24 rows, the two thirds of it, holds
    assert small.status == "converged"
    assert small.smallest.values.item() == pytest.approx(-0.05, abs=1e-6)
    assert small.largest.values.tolist() == pytest.approx([10.0, 10 - 8 / 9], abs=1e-8)
    vector = small.smallest.vectors[0]
    assert float((matrix @ vector + 0.05 * vector).norm()) < 2e-4


def test_equal_eigenvalues_are_all_found_once_enough_spaces_have_closed() -> None:
    values = torch.tensor([0.5, 1.0, 3.0]).double().repeat_interleave(40)
    found = lanczos_extremes(product_with(rotated(values)), values, largest=3, smallest=2)
    assert found.largest.values.tolist() == pytest.approx([3.0] * 3)
    assert found.smallest.values.tolist() == pytest.approx([0.5] * 2)
    assert (found.status, found.products) == ("closed", 9)


def test_a_multiple_of_the_identity_is_known_after_one_product_each() -> None:
    found = lanczos_extremes(lambda vectors: -0.3 * vectors, torch.zeros(500).double())
    assert (found.largest.values.item(), found.smallest.values.item()) == (pytest.approx(-0.3), pytest.approx(-0.3))
    assert (found.products, found.status) == (1, "closed")


@pytest.mark.parametrize("method", WAYS)
def test_one_parameter_has_one_eigenvalue(method: str) -> None:
    error = prescribed(-0.7)
    found = extreme_eigenvalues(error, error.initial, largest=3, smallest=2, method=method)
    assert found.largest.values.tolist() == found.smallest.values.tolist() == [pytest.approx(-0.7)]
    assert (found.products, found.status) == (1, "exact")


@pytest.mark.parametrize("method", WAYS)
def test_more_eigenvalues_than_there_are_return_all(method: str) -> None:
    error = prescribed(1.0, 2.0, 2.0, -3.0)
    found = extreme_eigenvalues(error, error.initial, largest=9, smallest=7, method=method)
    assert found.largest.values.tolist() == pytest.approx([2.0, 2.0, 1.0, -3.0])
    assert found.smallest.values.tolist() == pytest.approx([-3.0, 1.0, 2.0, 2.0])
    assert found.status == "exact"


@pytest.mark.parametrize("method", WAYS)
def test_an_error_that_is_linear_in_theta_has_nothing_but_zeros(method: str) -> None:
    error = Landscape(Vector(30), lambda model, batch: model.w.sum(), None)
    found = extreme_eigenvalues(error, error.initial, largest=2, method=method)
    assert found.largest.values.tolist() == [0.0, 0.0]
    assert found.largest.residuals.tolist() == [0.0, 0.0]
    index = saddle_index(error, error.initial, method=method)
    assert index.value == 0
    assert spectral_density(error, error.initial, method=method).moment(2).value == 0.0


def test_no_budget_returns_nothing_and_says_so() -> None:
    error = prescribed(1.0, -1.0)
    found = extreme_eigenvalues(error, error.initial, budget=0)
    assert (len(found.largest), len(found.smallest), found.products, found.status) == (0, 0, 0, "budget")
    assert error.counts.hessian_products == error.counts.hessians == 0
    assert "none" in str(found)


def test_products_are_counted_and_reported() -> None:
    error, *_ = network()
    found = extreme_eigenvalues(error, error.initial, budget=10, method="lanczos")
    assert found.products == found.spent.hessian_products == error.counts.hessian_products == 10
    assert found.status == "budget"
    dense = extreme_eigenvalues(error, error.initial)
    assert (dense.method, dense.products, dense.spent.hessians, dense.spent.hessian_products) == ("dense", error.size, 1, 0)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another_start() -> None:
    error, *_ = network()
    found = [extreme_eigenvalues(error, error.initial, budget=5, method="lanczos", seed=seed) for seed in (3, 3, 4)]
    first, again, other = (extremes.smallest.values for extremes in found)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# -- saddle index ----------------------------------------------------------------------------


@pytest.mark.parametrize("negative", [0, 1, 2, 7])
def test_a_dense_index_counts_the_negative_eigenvalues_outside_the_zero_modes(negative: int) -> None:
    error = prescribed(*[-0.1 * (1 + k) for k in range(negative)], 0.0, 1e-12, -1e-12, 0.5, 1.0, 4.0)
    index = saddle_index(error, error.initial)
    assert (index.value, index.is_exact, index.zero_modes, str(index)) == (negative, True, 3, f"{negative}")
    assert index.lowest == pytest.approx(-0.1 * negative, abs=1e-10)


def test_the_index_of_a_network_is_that_of_lapack(oracle: type) -> None:
    error, model, loss, data = network(batches=2)
    values = scipy.linalg.eigh(oracle(model, loss, data).hessian(error.initial).numpy(), eigvals_only=True)
    true = int((values < 0).sum())
    assert true > 3
    assert np.abs(values).min() > 1e-6
    index, whole = saddle_index(error, error.initial), saddle_index(error, error.initial, method="lanczos")
    assert (index.value, index.is_exact, index.zero_modes) == (true, True, 0)
    assert (whole.value, whole.is_exact, whole.zero_modes, whole.products) == (true, True, 0, error.size)


def random_spectrum(generator: torch.Generator) -> Tensor:
    """Return a spectrum with some negative, some zero, some equal and some large eigenvalues."""
    size = int(torch.randint(1, 90, (), generator=generator))
    values = torch.randn(size, generator=generator, dtype=torch.float64)
    values[torch.rand(size, generator=generator) < 0.3] = 0.0
    copies = torch.rand(size, generator=generator) < 0.2
    values[copies] = float(values[0])
    values[torch.rand(size, generator=generator) < 0.1] *= 100.0
    return values * 10.0 ** float(torch.randint(-6, 7, (), generator=generator))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_lower_bound_is_never_above_the_index(dtype: torch.dtype) -> None:
    generator, reached = torch.Generator().manual_seed(1), 0
    for seed in range(60):
        values = random_spectrum(generator)
        matrix = rotated(values).to(dtype)
        exact = torch.linalg.eigvalsh(matrix.double())
        true = int((exact < -zero_fraction(dtype) * exact.abs().max()).sum())
        for budget in (1, 3, 10, 40, 200):
            index = lanczos_index(product_with(matrix), values.to(dtype), budget=budget, seed=seed)
            assert index.value <= true, (seed, budget)
            assert index.products <= budget
            assert index.lowest >= float(exact.min()) - 1e3 * torch.finfo(dtype).eps * float(exact.abs().max())
        reached += index.value == true
    assert reached > 40


def test_a_lower_bound_is_printed_as_one() -> None:
    values = torch.cat([torch.tensor([-1.0, -0.5]), linspace(1, 2, 998)]).double()
    index = lanczos_index(product_with(rotated(values)), values)
    assert (str(index), int(index), index.is_exact, index.status) == (">= 2", 2, False, "settled")
    assert index.zero_modes is None
    assert index.products < 40


def test_no_products_prove_a_bound_of_zero() -> None:
    error = prescribed(-1.0, -2.0)
    index = saddle_index(error, error.initial, budget=0)
    assert (str(index), index.products) == (">= 0", 0)
    assert math.isnan(index.lowest)


def test_copies_of_a_negative_eigenvalue_count_where_spaces_close() -> None:
    values = torch.tensor([-1.0] * 3 + [2.0] * 97).double()
    index = lanczos_index(product_with(rotated(values)), values)
    assert (index.value, index.status, index.is_exact) == (3, "closed", False)
    assert index.products < 10


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_copies_of_negative_eigenvalues_are_found_by_further_starts(dtype: torch.dtype) -> None:
    values = torch.cat([torch.full((4,), -0.4), torch.full((3,), -1.0), torch.tensor([-0.2]), linspace(0.3, 1.3, 592)]).to(
        dtype
    )
    matrix = rotated(values).to(dtype)
    bounds = [lanczos_index(product_with(matrix), values, budget=budget) for budget in (15, 60, 300)]
    assert [bound.value for bound in bounds] == sorted(bound.value for bound in bounds)
    assert bounds[0].value < bounds[2].value == 8
    assert (bounds[2].status, bounds[2].products < 200) == ("settled", True)


def test_directions_between_minus_two_beta_and_zero_count_for_the_error_only() -> None:
    values = torch.cat([torch.tensor([-1.0, -0.3, -0.1]), linspace(1, 3, 40)]).double()
    error = quadratic(rotated(values))
    betas = (0.0, 0.1, 0.2, 0.6)
    for method in WAYS:
        assert [saddle_index(error, error.initial, beta=beta, method=method).value for beta in betas] == [3, 2, 1, 0]
        together = saddle_indices(error, error.initial, betas=betas, method=method)
        assert [index.value for index in together] == [3, 2, 1, 0]


def test_indices_at_several_beta_share_their_products() -> None:
    values = torch.cat([torch.tensor([-1.0, -0.3]), linspace(1, 3, 900)]).double()
    error = quadratic(rotated(values))
    indices = saddle_indices(error, error.initial, betas=(0.0, 0.2))
    assert [index.value for index in indices] == [2, 1]
    assert indices[0].products == indices[1].products == error.counts.hessian_products < 60
    masked = saddle_indices(error, error.initial, betas=(0.0, 0.2), penalty=Penalty(mask=torch.ones(902)))
    assert [index.value for index in masked] == [2, 1]
    assert sum(index.products for index in masked) == masked[0].spent.hessian_products


def test_an_index_in_little_memory_is_a_bound_too() -> None:
    values = torch.cat([-linspace(0.2, 2, 10), linspace(1, 20, 1990)]).double()
    matrix = rotated(values)
    index = lanczos_index(product_with(matrix), values, memory=1, budget=400)  # room for the least number of rows
    assert 8 <= index.value <= 10
    assert index.products > 40


def test_the_default_budget_is_dense_where_dense_newton_is() -> None:
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 5))
    data = torch.randn(30, 6), torch.randn(30, 5)
    error = Landscape(model, lambda net, batch: ((net(batch[0]) - batch[1]) ** 2).mean(), data)
    assert error.size == 245  # above the budget in products
    assert saddle_index(error, error.initial).is_exact
    assert saddle_index(error, error.initial, budget=244).method == "lanczos"
    assert saddle_index(error, error.initial, budget=245).method == "dense"


def test_single_precision_never_claims_to_be_exact() -> None:
    error = prescribed(-1.0, -0.5, 1.0, 2.0, dtype=torch.float32)
    index = saddle_index(error, error.initial)
    assert (str(index), index.method, index.is_exact) == (">= 2", "lanczos", False)
    dense = saddle_index(error, error.initial, method="dense")
    assert (str(dense), dense.status) == (">= 2", "precision")


# -- spectral density ------------------------------------------------------------------------


def test_weights_of_every_probe_sum_to_one() -> None:
    matrix = rotated(torch.randn(300))
    for steps in (1, 2, 17, 64, 300, 999):
        density = lanczos_density(product_with(matrix), matrix[0], probes=3, steps=steps)
        assert density.nodes.shape == density.weights.shape == (3, min(steps, 300))
        torch.testing.assert_close(density.weights.sum(1), torch.ones(3).double(), rtol=0, atol=1e-14)
        assert bool((density.weights >= 0).all())
        assert bool((density.nodes.diff(dim=1) >= 0).all())


def test_a_dense_density_is_that_of_the_eigenvalues(oracle: type) -> None:
    error, model, loss, data = network(batches=2)
    hessian = oracle(model, loss, data).hessian(error.initial).numpy()
    values = scipy.linalg.eigh(hessian, eigvals_only=True)
    density = spectral_density(error, error.initial)
    assert density.nodes[0].tolist() == pytest.approx(values.tolist(), abs=1e-12)
    assert (density.method, density.products, density.size) == ("dense", error.size, error.size)
    trace, norm, below = density.moment(1), density.moment(2), density.fraction_below(0.0)
    assert error.size * trace.value == pytest.approx(float(np.trace(hessian)))
    assert error.size * norm.value == pytest.approx(float((hessian**2).sum()))
    assert below.value == pytest.approx(np.mean(values < 0))
    assert trace.stderr == norm.stderr == below.stderr == 0.0
    assert trace.status == "exact"


def test_moments_of_a_probe_are_exact_up_to_twice_the_steps() -> None:
    matrix = rotated(torch.randn(120))
    density = lanczos_density(product_with(matrix), matrix[0], probes=4, steps=3, seed=5)
    generator = torch.Generator().manual_seed(5)
    probes = torch.stack([2 * torch.randint(2, (120,), generator=generator) - 1 for _ in range(4)]).double()
    for power in range(6):
        exact = (probes * (probes @ torch.linalg.matrix_power(matrix, power))).sum(1) / 120
        estimate = density.moment(power)
        assert estimate.value == pytest.approx(float(exact.mean()), rel=1e-10)
        assert estimate.stderr == pytest.approx(float(exact.std()) / 2, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("power", [1, 2])
def test_moments_lie_within_their_standard_errors(power: int) -> None:
    values = torch.cat([linspace(-1, 1, 380), linspace(5, 9, 20)]).double()
    matrix, exact = rotated(values), float((values**power).mean())
    misses = []
    for seed in range(60):
        estimate = lanczos_density(product_with(matrix), values, probes=16, steps=4, seed=seed).moment(power)
        misses.append((estimate.value - exact) / estimate.stderr)
    root = float(torch.tensor(misses).square().mean().sqrt())
    assert 0.75 < root < 1.45  # Student's t with 15 degrees of freedom: 1.07, and 60 of them


def test_a_fraction_lies_between_its_bounds_and_near_the_truth() -> None:
    values = torch.cat([linspace(-1, 0, 150)[:-1], linspace(0.2, 3, 251)]).double()
    matrix = rotated(values)
    density = lanczos_density(product_with(matrix), values, probes=16, steps=60)
    for x in (-5.0, -0.5, 0.1, 1.5, 7.0):
        estimate, exact = density.fraction_below(x), float((values < x).double().mean())
        assert abs(estimate.value - exact) < 4 * estimate.stderr + 0.02
        low, high = density.fraction_bounds(x)
        assert low - 4 * estimate.stderr - 0.001 <= exact <= high + 4 * estimate.stderr + 0.001
        assert low <= estimate.value <= high
        assert (high - low) < 0.1
        assert f"between {low:.3g} and {high:.3g}" in estimate.caveats[0]


def test_a_curve_is_the_smoothed_density_and_integrates_to_one() -> None:
    values = torch.cat([torch.randn(395), torch.tensor([9.0, -7.0, 12.0, 15.0, 15.0])]).double()
    matrix, width = rotated(values), 0.6
    grid = linspace(-12, 20, 700)
    exact = torch.exp(-0.5 * ((grid[:, None] - values) / width) ** 2).mean(1) / (width * math.sqrt(2 * math.pi))
    error = quadratic(matrix)
    dense = spectral_density(error, error.initial).curve(grid, width=width)
    torch.testing.assert_close(dense.mean, exact, rtol=1e-9, atol=1e-12)
    assert not bool(dense.stderr.any())
    estimated = spectral_density(error, error.initial, probes=20, method="lanczos").curve(grid, width=width)
    assert float(torch.trapezoid(estimated.mean, grid)) == pytest.approx(1.0, abs=1e-6)
    misses = (estimated.mean - exact).abs() / (estimated.stderr + 1e-9)
    assert float(misses.square().mean().sqrt()) < 1.6
    assert float(estimated.stderr.max()) < 0.1 * float(exact.max())


@pytest.mark.parametrize("eigenvalues", [(0.0,), (2.0, 2.0, 2.0), (-1e-7, 1e-7), (-40.0, 1.0, 1e5)])
def test_a_curve_has_a_grid_of_its_own(eigenvalues: tuple[float, ...]) -> None:
    error = prescribed(*eigenvalues)
    curve = spectral_density(error, error.initial).curve()
    assert curve.width > 0
    assert float(torch.trapezoid(curve.mean, curve.grid)) == pytest.approx(1.0, abs=1e-5)


def test_a_density_does_not_depend_on_how_many_probes_run_side_by_side() -> None:
    error, *_ = network()
    together = spectral_density(error, error.initial, probes=5, steps=9, method="lanczos")
    product = error.hessian_operator(error.initial)
    alone = lanczos_density(product, error.initial, probes=5, steps=9, memory=1)
    torch.testing.assert_close(together.nodes, alone.nodes, rtol=0, atol=1e-12)
    torch.testing.assert_close(together.weights, alone.weights, rtol=0, atol=1e-12)
    assert together.products == alone.products == 45


def test_a_closed_space_is_an_exact_rule_with_fewer_nodes() -> None:
    values = torch.tensor([-1.0] * 25 + [3.0] * 75).double()
    density = lanczos_density(product_with(torch.diag(values)), values, probes=2, steps=10)
    assert density.products == 4
    assert density.weights.count_nonzero(1).tolist() == [2, 2]
    assert density.fraction_below(0.0).value == pytest.approx(0.25)  # signs see a diagonal matrix without an error
    assert density.moment(3).value == pytest.approx(values.pow(3).mean().item())


def test_one_probe_has_no_standard_error() -> None:
    matrix = rotated(torch.randn(40))
    density = lanczos_density(product_with(matrix), matrix[0], probes=1, steps=5)
    assert density.moment(1).stderr == math.inf
    assert bool(density.curve().stderr.isinf().all())


def test_a_density_counts_its_products() -> None:
    error, *_ = network(batches=2)
    density = spectral_density(error, error.initial, probes=2, steps=10, method="lanczos")
    assert density.products == density.spent.hessian_products == 20
    with pytest.raises(FrozenInstanceError):
        density.size = 3  # type: ignore[misc]


def test_the_penalty_shifts_the_density() -> None:
    error, *_ = network()
    for method in WAYS:
        of_error = spectral_density(error, error.initial, probes=2, steps=12, method=method)
        of_loss = spectral_density(error, error.initial, probes=2, steps=12, method=method, beta=0.7)
        torch.testing.assert_close(of_loss.nodes, of_error.nodes + 1.4, rtol=0, atol=1e-10)
        torch.testing.assert_close(of_loss.weights, of_error.weights, rtol=0, atol=1e-10)


# -- bad input -------------------------------------------------------------------------------


def kinked() -> Landscape:
    """Return an error whose second derivative is not finite at -1."""
    return Landscape(Vector(3), lambda model, batch: ((model.w + 1).square().sum()) ** 0.75, None)


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("function", [extreme_eigenvalues, saddle_index, spectral_density])
def test_second_derivatives_that_are_not_finite_are_refused(function: Callable[..., object], method: str) -> None:
    error = kinked()
    with pytest.raises(SpinodalError, match="second derivatives of E are not finite here"):
        function(error, -torch.ones(3), method=method)


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (extreme_eigenvalues, {"largest": -1}, "largest = -1"),
        (extreme_eigenvalues, {"smallest": 1.5}, "smallest = 1.5"),
        (extreme_eigenvalues, {"budget": -1}, "budget = -1"),
        (extreme_eigenvalues, {"tolerance": 0.0}, "tolerance = 0.0"),
        (extreme_eigenvalues, {"seed": -1}, "seed = -1"),
        (extreme_eigenvalues, {"method": "lancsoz"}, "did you mean 'lanczos'"),
        (extreme_eigenvalues, {"beta": -0.1}, "beta = -0.1"),
        (extreme_eigenvalues, {"beta": math.nan}, "beta = nan"),
        (extreme_eigenvalues, {"theta": torch.zeros(3)}, "theta is \\(3,\\)"),
        (saddle_index, {"budget": -1}, "budget = -1"),
        (saddle_index, {"method": "exact"}, "unknown method 'exact'"),
        (saddle_index, {"method": None}, "unknown method 'None'"),
        (saddle_index, {"penalty": Penalty(mask=torch.ones(5))}, "penalty's mask"),
        (spectral_density, {"probes": 0}, "probes = 0"),
        (spectral_density, {"steps": 0}, "steps = 0"),
        (spectral_density, {"seed": "a"}, "seed = 'a'"),
    ],
)
def test_bad_arguments_are_refused(function: Callable[..., object], arguments: dict[str, object], text: str) -> None:
    error = prescribed(1.0, 2.0)
    with pytest.raises(SpinodalError, match=text):
        function(error, **{"theta": error.initial, **arguments})


def test_bad_questions_to_a_density_are_refused() -> None:
    error = prescribed(1.0, 2.0)
    density = spectral_density(error, error.initial)
    for ask, text in (
        (lambda: density.moment(-1), "power = -1"),
        (lambda: density.fraction_below(math.nan), "x = nan"),
        (lambda: density.curve(width=0.0), "width = 0.0"),
        (lambda: density.curve([1.0]), "the grid is a list"),
        (lambda: density.curve(torch.zeros(2, 2)), r"the grid is of shape \(2, 2\)"),
        (lambda: density.mean(lambda values: 1 / 0), "ZeroDivisionError"),
        (lambda: density.mean(lambda values: values.sum()), "no real number for each"),
    ):
        with pytest.raises(SpinodalError, match=text):
            ask()


def test_directions_that_memory_has_no_room_for_are_not_denied() -> None:
    """Of 60 equal eigenvalues -1 every Krylov space shows one, and restarts forget more than the basis holds."""
    values = torch.cat([-torch.ones(60), torch.ones(60)]).double()
    matrix = rotated(values)
    crowded = lanczos_index(product_with(matrix), values, budget=400, memory=1)
    assert 20 < crowded.value < 60
    assert crowded.status == "memory"
    assert lanczos_index(product_with(matrix), values, budget=400).value == 60


# -- the Krylov space itself -----------------------------------------------------------------


def test_a_buffer_grows_without_a_change_and_never_beyond_its_most() -> None:
    matrix = rotated(torch.randn(200))
    krylov = Krylov(next(random_vectors(matrix[0])), torch.float64, most=50)
    for count in range(1, 51):
        krylov.grow(product_with(matrix))
        assert count <= len(krylov.rows) <= 50
    torch.testing.assert_close(krylov.basis @ krylov.basis.T, torch.eye(50).double(), rtol=0, atol=1e-13)
    torch.testing.assert_close(krylov.basis @ matrix @ krylov.basis.T, torch.from_numpy(krylov.matrix()), rtol=0, atol=1e-11)
    assert krylov.is_full


def test_a_restarted_space_still_holds_the_matrix_of_the_operator_in_it() -> None:
    matrix = rotated(torch.randn(200))
    krylov = Krylov(next(random_vectors(matrix[0])), torch.float64, most=30)
    for _ in range(3):
        while not krylov.is_full:
            krylov.grow(product_with(matrix))
        torch.testing.assert_close(
            krylov.basis @ matrix @ krylov.basis.T, torch.from_numpy(krylov.matrix()), rtol=0, atol=1e-11
        )
        torch.testing.assert_close(krylov.basis @ krylov.basis.T, torch.eye(30).double(), rtol=0, atol=1e-12)
        values, vectors = krylov.ritz()
        chosen = np.r_[0:5, 26:30]
        krylov.restart(values[chosen], vectors[:, chosen])
    assert krylov.noise < 1e-12


def test_the_noise_of_products_is_measured() -> None:
    matrix = rotated(linspace(1, 2, 300))
    twist = 1e-5 * torch.randn(300, 300).double()  # not symmetric: no Hessian

    def noise(operator: Tensor) -> float:
        krylov = Krylov(next(random_vectors(matrix[0])), torch.float64, most=40)
        for _ in range(40):
            krylov.grow(product_with(operator))
        return krylov.noise

    assert noise(matrix) < 1e-13
    assert 1e-5 < noise(matrix + twist) < 1e-3


def test_a_reseeded_space_is_orthogonal_to_what_it_had() -> None:
    values = torch.tensor([1.0, 2.0] * 20).double()
    starts = random_vectors(values)
    krylov = Krylov(next(starts), torch.float64)
    for _ in range(3):
        krylov.grow(lambda vector: values * vector)
        krylov.grow(lambda vector: values * vector)
        assert not krylov.is_open
        krylov.reseed(next(starts))
    assert krylov.ritz()[0].tolist() == pytest.approx([1.0] * 3 + [2.0] * 3)


def test_a_dense_index_may_be_of_an_operator_in_single_precision() -> None:
    matrix = torch.diag(torch.tensor([-1.0, -1e-7, 3.0]))
    assert index_of(eigenbasis(matrix, precision=torch.float64)).value == 2
    assert index_of(eigenbasis(matrix, precision=torch.float32)).value == 1
    assert replace(index_of(eigenbasis(matrix, precision=torch.float64)), value=5).value == 5


def test_one_shift_and_several_count_alike() -> None:
    values = torch.cat([torch.tensor([-1.0, -0.4]), linspace(1, 3, 60)]).double()
    product = product_with(rotated(values))
    several = lanczos_indices(product, values, shifts=(0.0, 0.5, 2.0), budget=40)
    assert [index.value for index in several] == [2, 1, 0]
    assert [index.lowest for index in several] == pytest.approx([-1.0, -0.5, 1.0], abs=1e-8)
