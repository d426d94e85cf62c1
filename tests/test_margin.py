"""The margin of matrices with prescribed spectra, dense and matrix-free."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import spinodal as sp
from spinodal.curvature.second_order import SecondOrder
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.lowest import WHOLE_SPECTRUM
from spinodal.spectrum.margin import DECIDING, dense_lowest, dense_margin, lanczos_margin

SMALL, LARGE = 40, WHOLE_SPECTRUM + 50  # the two ways of the dense margin


def rotated(spectrum: Tensor) -> Tensor:
    rotation = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64)).Q
    matrix = rotation * spectrum @ rotation.T
    return 0.5 * (matrix + matrix.T)


def spectrum(size: int, *first: float, low: float = 0.5, high: float = 5.0) -> Tensor:
    """Return these eigenvalues and then evenly spaced ones, `size` in all."""
    return torch.cat(
        [torch.tensor(first, dtype=torch.float64), torch.linspace(low, high, size - len(first), dtype=torch.float64)]
    )


CASES: dict[str, tuple[tuple[float, ...], float, int]] = {  # first eigenvalues, margin, zero modes
    "all positive": ((), 0.5, 0),
    "one soft": ((1e-4,), 1e-4, 0),
    "two equal and soft": ((1e-3, 1e-3), 1e-3, 0),
    "one negative": ((-0.2,), -0.2, 0),
    "several negative": ((-0.2, -0.7, -0.1), -0.7, 0),
    "largest in magnitude is negative": ((-9.0,), -9.0, 0),
    "one zero mode": ((0.0,), 0.5, 1),
    "twelve zero modes": ((0.0,) * 12, 0.5, 12),
    "thirty zero modes": ((0.0,) * 30, 0.5, 30),
    "zero modes and a soft one": ((0.0,) * 9 + (1e-5,), 1e-5, 9),
    "three zero modes and a negative one": ((0.0,) * 3 + (-0.3,), -0.3, 3),
    "twelve zero modes and a negative one": ((0.0,) * 12 + (-0.3,), -0.3, 12),
    "zero modes up to rounding": ((1e-12, -1e-12, 3e-13), 0.5, 3),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_dense_margin_is_the_lowest_eigenvalue_outside_the_zero_modes(case: str, size: int) -> None:
    first, value, zero_modes = CASES[case]
    matrix = rotated(spectrum(size, *first))
    margin = dense_margin(matrix)
    assert margin.value == pytest.approx(value, rel=1e-8, abs=1e-12)
    assert margin.zero_modes == zero_modes
    assert float(margin.mode.norm()) == pytest.approx(1.0)
    assert margin.residual == pytest.approx(float((matrix @ margin.mode - margin.value * margin.mode).norm()))
    assert margin.residual < 1e-6
    assert margin.largest == pytest.approx(max(5.0, -min(first, default=0.0)), rel=0.02)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_scaling_the_matrix_scales_the_margin(size: int, factor: float) -> None:
    matrix = rotated(spectrum(size, 0.0, 0.0, 0.01))
    plain, scaled = dense_margin(matrix), dense_margin(factor * matrix)
    assert scaled.value == pytest.approx(factor * plain.value, rel=1e-9)
    assert scaled.zero_modes == plain.zero_modes == 2


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_multiple_of_the_identity_has_its_factor_for_margin(size: int) -> None:
    margin = dense_margin(0.3 * torch.eye(size).double())
    assert margin.value == pytest.approx(0.3)
    assert margin.zero_modes == 0


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_soft_mode_beside_a_normalisation_is_no_zero_mode(size: int) -> None:
    """Where the gradient is known to vanish, only what is zero up to rounding is a zero mode, however wide the spectrum."""
    curvatures = spectrum(size, 1e-2, 1e-2)
    curvatures[2] = 0.0
    stiff = torch.nn.Linear(1, size, bias=False)
    landscape = sp.Landscape(
        stiff,
        lambda model, batch: (batch * model.weight[:, 0].square()).sum() / 2.0,
        torch.cat([curvatures[:-1], torch.tensor([1e7]).double()]),
    )
    minimum = sp.minimise(landscape, beta=1e-4, start=torch.zeros(size, dtype=torch.float64), solver="newton")
    assert minimum.margin == pytest.approx(2e-4)
    matrix = landscape.hessian(minimum.theta)
    margin, _, _, _ = dense_lowest(matrix, keep=1, bend=0.0)
    assert (margin.value, margin.zero_modes) == (pytest.approx(1e-2), 1)
    assert dense_margin(matrix).zero_modes == 3  # where nothing is known of the gradient


def test_a_saddle_beside_a_normalisation_is_one() -> None:
    """Its negative curvature is 1e9 times smaller than the largest one."""
    curvatures = torch.tensor([-1e-2, 1.0, 1e7], dtype=torch.float64)
    three = torch.nn.Linear(1, 3, bias=False)
    landscape = sp.Landscape(three, lambda model, batch: (batch * model.weight[:, 0].square()).sum() / 2.0, curvatures)
    origin = torch.zeros(3, dtype=torch.float64)
    assert sp.saddle_index(landscape, origin).value == 1
    found = SecondOrder.at(Regularised(landscape, 1e-4), origin)
    assert found.basis_of_loss.margin == pytest.approx(-1e-2 + 2e-4)
    assert found.basis_of_error.index == 1


@pytest.mark.parametrize("bend", [0.0, 1e-13])
def test_what_is_left_of_the_gradient_bends_a_zero_mode(bend: float) -> None:
    bent = spectrum(SMALL, 5e-11, -5e-11)
    margin, _, _, _ = dense_lowest(torch.diag(bent), keep=1, bend=bend)
    assert margin.zero_modes == (2 if bend else 0)
    assert margin.value == pytest.approx(float(bent[2]) if bend else -5e-11)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_matrix_of_zeros_has_nothing_but_zero_modes(size: int) -> None:
    margin = dense_margin(torch.zeros(size, size, dtype=torch.float64))
    assert margin.value == 0.0
    assert margin.zero_modes == size


LANCZOS: dict[str, Tensor] = {
    "all positive": spectrum(120),
    "one soft": spectrum(120, 1e-4),
    "one negative": spectrum(120, -0.2),
    "one hardly negative": spectrum(120, -1e-3),
    "several negative": spectrum(120, -0.2, -0.7, -0.1),
    "zero modes": spectrum(120, *[0.0] * 12),
    "few distinct": torch.tensor([0.5, 1.0, 3.0]).double().repeat_interleave(40),
    "smaller than the number of steps": spectrum(20, -0.1, 0.0),
    "broad": torch.logspace(-4, 2, 120, dtype=torch.float64),
    "a multiple of the identity": torch.full((50,), 0.3).double(),
    "one dimension": torch.tensor([0.7]).double(),
}


@pytest.mark.parametrize("case", LANCZOS)
def test_a_lanczos_margin_lies_above_the_lowest_eigenvalue_and_within_its_residual_of_one(case: str) -> None:
    eigenvalues = LANCZOS[case]
    matrix = rotated(eigenvalues)
    margin = lanczos_margin(lambda vector: matrix @ vector, eigenvalues)
    rounding = 1e-12 * float(eigenvalues.abs().max())
    assert margin.value >= float(eigenvalues.min()) - rounding
    assert float((eigenvalues - margin.value).abs().min()) <= margin.residual + rounding
    assert margin.residual == pytest.approx(float((matrix @ margin.mode - margin.value * margin.mode).norm()), abs=1e-10)
    assert float(margin.mode.norm()) == pytest.approx(1.0)
    assert margin.zero_modes is None
    assert margin.largest <= float(eigenvalues.abs().max()) + rounding


@pytest.mark.parametrize("case", ["one negative", "one hardly negative", "several negative", "few distinct", "broad"])
def test_a_lanczos_margin_finds_an_isolated_lowest_eigenvalue(case: str) -> None:
    eigenvalues = LANCZOS[case]
    matrix = rotated(eigenvalues)
    margin = lanczos_margin(lambda vector: matrix @ vector, eigenvalues)
    assert margin.value == pytest.approx(float(eigenvalues.min()), abs=0.02 * abs(float(eigenvalues.min())) + margin.residual)


def test_a_lanczos_margin_takes_no_more_products_than_it_may() -> None:
    matrix = rotated(spectrum(120))
    calls = []

    def product(vector: Tensor) -> Tensor:
        calls.append(vector)
        return matrix @ vector

    lanczos_margin(product, matrix[0], steps=7)
    assert len(calls) == 7
    assert all(float(vector.norm()) == pytest.approx(1.0) for vector in calls)
    overlaps = torch.stack(calls) @ torch.stack(calls).T
    torch.testing.assert_close(overlaps, torch.eye(7).double(), rtol=0, atol=1e-12)


def test_a_lanczos_margin_is_reproducible() -> None:
    matrix = rotated(spectrum(120, -0.1))
    first, second = (lanczos_margin(lambda vector: matrix @ vector, matrix[0]) for _ in range(2))
    assert first.value == second.value
    assert torch.equal(first.mode, second.mode)


def test_a_lanczos_margin_finds_one_negative_mode_among_many_equal_ones() -> None:
    eigenvalues = torch.ones(100_000, dtype=torch.float64)
    eigenvalues[7] = -1.0
    margin = lanczos_margin(lambda vector: eigenvalues * vector, eigenvalues)
    assert margin.value < 0


@pytest.mark.parametrize("width", [0.0, 0.1, 1.0])
def test_a_lanczos_margin_finds_one_negative_mode_below_a_broad_bulk(width: float) -> None:
    eigenvalues = torch.linspace(1 - width / 2, 1 + width / 2, 100_000, dtype=torch.float64)
    eigenvalues[7] = -1.0
    margin = lanczos_margin(lambda vector: eigenvalues * vector, eigenvalues)
    assert margin.value == pytest.approx(-1.0, rel=1e-2)


def test_a_lanczos_margin_leaves_zero_modes_out() -> None:
    eigenvalues = LANCZOS["zero modes"]
    matrix = rotated(eigenvalues)
    margin = lanczos_margin(lambda vector: matrix @ vector, eigenvalues)
    assert margin.value == pytest.approx(0.5, abs=margin.residual)
    assert margin.residual < 0.05


def test_a_lanczos_margin_of_nothing_but_zero_modes_is_zero() -> None:
    margin = lanczos_margin(torch.zeros_like, torch.zeros(30, dtype=torch.float64))
    assert (margin.value, margin.residual) == (0.0, 0.0)


def test_a_lanczos_margin_of_nothing_but_noise_is_zero() -> None:
    eigenvalues = torch.linspace(-1e-3, 2e-3, 20, dtype=torch.float64)
    margin = lanczos_margin(lambda vector: eigenvalues * vector, eigenvalues, noise=3e-3)
    assert margin.value == 0.0
    assert margin.residual == pytest.approx(float((eigenvalues * margin.mode).norm()))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_zero_modes_are_counted_in_single_precision_too(size: int) -> None:
    margin = dense_margin(rotated(spectrum(size, 0.0, 0.0, 0.0)).float())
    assert margin.zero_modes == 3
    assert margin.value == pytest.approx(0.5, rel=1e-4)


def test_a_saddle_is_left_as_soon_as_it_is_proven() -> None:
    eigenvalues, calls = spectrum(2000, -50.0), []

    def product(vector: Tensor) -> Tensor:
        calls.append(vector)
        return eigenvalues * vector

    assert lanczos_margin(product, eigenvalues).value == pytest.approx(-50.0, rel=1e-3)
    assert len(calls) < 8


# -- signs -------------------------------------------------------------------------------------


def test_more_products_are_spent_until_the_sign_is_known() -> None:
    values = torch.cat([torch.tensor([-0.004]).double(), torch.linspace(0.01, 5.0, 600).double()])
    count = 0

    def product(vector: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return values * vector

    margin = lanczos_margin(product, values, steps=12)
    assert not margin.is_undecided
    assert margin.value == pytest.approx(-0.004, rel=0.05)
    assert 12 < count <= DECIDING


def test_a_sign_that_cannot_be_known_is_undecided_and_the_products_are_bounded() -> None:
    values = torch.linspace(1e-7, 5.0, 4000).double().pow(2)
    margin = lanczos_margin(lambda vector: values * vector, values)
    assert margin.is_undecided
    assert margin.residual >= abs(margin.value)


def test_nothing_but_zero_modes_is_no_matter_of_signs() -> None:
    assert not dense_margin(torch.zeros(5, 5, dtype=torch.float64)).is_undecided
