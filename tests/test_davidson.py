"""The lowest eigenpair from what is known nearby: as LAPACK has it, in few products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spinodal.definitions import DAVIDSON_SETTLED as ACCURATE
from spinodal.definitions import TANGENT_SETTLED
from spinodal.spectrum.davidson import SEARCHED, Subspace, davidson, softened
from spinodal.spectrum.preconditioner import Cholesky

SIZE = 120


def basis(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)).Q


def matrix(*lowest: float, turned: float = 0.0) -> Tensor:
    """Return a matrix with these lowest eigenvalues and others from .1 to 20, its eigenvectors turned a little."""
    values = torch.cat([torch.tensor(lowest, dtype=torch.float64), torch.logspace(-1.0, 1.3, SIZE - len(lowest)).double()])
    noise = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rotated = torch.linalg.qr(basis() + turned * noise).Q
    return rotated * values @ rotated.T


class Counting:
    """Products with a matrix, counted."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.count = matrix, 0

    def __call__(self, vector: Tensor) -> Tensor:
        self.count += 1
        return self.matrix @ vector


def found(here: Tensor, nearby: Tensor, *, known: int = 6, zero: float = 1e-8, budget: int = 60) -> tuple[float, float, int]:
    """Return the margin of one matrix with the help of another, its residual and the products it took."""
    product, factor = Counting(here), Cholesky.of(nearby, least=1e-3)
    assert factor is not None
    low = torch.linalg.eigh(nearby).eigenvectors[:, :known].T
    start = Subspace.of(low, product).joined(*softened(product, factor, low[0]))
    space, place = davidson(product, start, factor.inverse, zero=zero, budget=budget)
    return float(space.values[place]), float(space.residuals[place]), product.count


@pytest.mark.parametrize("lowest", [(0.01,), (-0.02,), (-0.02, 0.01, 0.03), (0.01, 0.01, 0.01), (1e-5, 1e-4, 1e-3)])
@pytest.mark.parametrize("turned", [0.0, 1e-3, 1e-2])
def test_the_margin_is_that_of_lapack_within_its_error(lowest: tuple[float, ...], turned: float) -> None:
    here = matrix(*lowest, turned=turned)
    value, residual, _ = found(here, matrix(*lowest))
    true = float(torch.linalg.eigvalsh(here)[0])
    assert abs(value - true) <= residual + 1e-12
    assert residual <= ACCURATE * abs(value) + 1e-12


def test_nothing_but_the_guesses_is_needed_where_nothing_has_changed() -> None:
    assert found(matrix(0.01, 0.02, 0.04), matrix(0.01, 0.02, 0.04))[2] == 6 + SEARCHED


def test_few_products_are_needed_where_little_has_changed() -> None:
    assert found(matrix(0.01, 0.02, 0.04, turned=1e-3), matrix(0.01, 0.02, 0.04))[2] <= 16 + SEARCHED


def test_a_mode_that_no_guess_knows_is_found() -> None:
    soft = basis()[:, 60]  # of curvature 1.4 nearby, and negative here
    here = matrix(0.01, 0.02) - 1.6 * torch.outer(soft, soft)
    value, _, _ = found(here, matrix(0.01, 0.02))
    assert value == pytest.approx(float(torch.linalg.eigvalsh(here)[0]), rel=1e-5)
    assert value < 0


def test_zero_modes_are_passed_over() -> None:
    value, residual, _ = found(matrix(0.0, 0.0, 0.0, 0.03, turned=1e-3), matrix(0.0, 0.0, 0.0, 0.03), zero=1e-8)
    assert abs(value - 0.03) <= residual


def test_the_budget_is_kept() -> None:
    assert found(matrix(0.01, turned=0.3), matrix(0.01), budget=9)[2] <= 9 + SEARCHED


def test_a_solution_in_the_space_is_exact_for_a_right_side_of_its_images() -> None:
    here = matrix(0.01, 0.5)
    space = Subspace.of(basis(3)[:, :5].T, lambda vector: here @ vector)
    inside = torch.arange(5.0).double() @ space.basis
    assert np.allclose(space.solved(here @ inside), inside)


def test_vectors_that_are_in_the_space_already_cost_nothing_and_change_nothing() -> None:
    product = Counting(matrix(0.01))
    space = Subspace.of(basis()[:, :3].T, product)
    wider = space.widened(torch.stack([basis()[:, 0], basis()[:, 1] + basis()[:, 2]]), product)
    assert (len(wider), product.count) == (3, 3)


def test_a_solution_is_found_beside_the_margin() -> None:
    here, nearby = matrix(0.01, 0.02, 0.04, turned=1e-3), matrix(0.01, 0.02, 0.04)
    product, factor, right = Counting(here), Cholesky.of(nearby, least=1e-3), torch.arange(float(SIZE)).double()
    assert factor is not None
    low = torch.linalg.eigh(nearby).eigenvectors[:, :6].T
    start = Subspace.of(low, product).joined(*softened(product, factor, right))
    space, place = davidson(product, start, factor.inverse, zero=1e-8, budget=60, right=right)
    exact = torch.linalg.solve(here, right)
    assert float((space.solved(right) - exact) @ here @ (space.solved(right) - exact)) <= (
        4.0 * TANGENT_SETTLED**2 * float(exact @ here @ exact)
    )
    assert abs(float(space.values[place]) - float(torch.linalg.eigvalsh(here)[0])) <= float(space.residuals[place])
    assert product.count <= 20 + SEARCHED


def test_known_images_stay_those_of_their_vectors() -> None:
    here = matrix(0.01, 0.5)
    vectors = torch.cat([basis(3)[:, :3].T, basis(3)[:, 1:4].T + basis(3)[:, :3].T])
    space = Subspace.of(basis(3)[:, :2].T, lambda vector: here @ vector).joined(vectors, vectors @ here)
    assert len(space) == 4
    assert np.allclose(space.basis @ space.basis.T, np.eye(4))
    assert np.allclose(space.images, space.basis @ here)


def test_a_lower_mode_that_the_space_holds_in_part_shows_behind_copies_of_the_margin() -> None:
    values = torch.cat([torch.tensor([0.0495, 0.05, 0.05]), torch.linspace(0.3, 20.0, SIZE - 3)]).double()
    one = torch.eye(SIZE, dtype=torch.float64)
    guesses = torch.stack([one[1], one[2], (one[0] + one[3]) / 2.0**0.5])
    space = Subspace.of(guesses, lambda vector: values * vector)
    space, place = davidson(lambda vector: values * vector, space, lambda vector: vector, zero=1e-9, budget=SIZE)
    assert space.values[place] == pytest.approx(0.0495, rel=ACCURATE)
