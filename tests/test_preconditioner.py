"""Preconditioners: exact where the matrix is positive definite, harmless where it is not."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor

from spinodal.minima.lbfgs import FIRST, Preconditioned, descend
from spinodal.spectrum.preconditioner import Cholesky

SIZE = 30


def symmetric(values: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator, dtype=torch.float64)).Q
    return rotation * values @ rotation.T


def positive(condition: float = 1e4) -> Tensor:
    return symmetric(torch.logspace(0.0, -torch.tensor(condition).log10().item(), SIZE).double())


DAMAGED = {
    "not finite": torch.full((SIZE, SIZE), torch.nan).double(),
    "infinite": torch.full((SIZE, SIZE), torch.inf).double(),
    "of zeros": torch.zeros(SIZE, SIZE).double(),
}
ODD = {
    "indefinite": symmetric(torch.linspace(-1.0, 1.0, SIZE).double()),
    "negative": -positive(),
    "singular": symmetric(torch.cat([torch.zeros(SIZE // 2), torch.ones(SIZE - SIZE // 2)]).double()),
    "of another problem": symmetric(torch.logspace(-3.0, 3.0, SIZE).double(), seed=7),
}


def test_spread_and_gather_are_the_two_halves_of_the_inverse() -> None:
    matrix = positive()
    factor = Cholesky.of(matrix)
    assert factor is not None
    assert factor.shift == 0.0
    vector, other = torch.randn(2, SIZE, dtype=torch.float64)
    assert torch.allclose(matrix @ factor.spread(factor.gather(vector)), vector)
    assert torch.equal(factor.inverse(vector), factor.spread(factor.gather(vector)))
    assert float(factor.spread(other) @ vector) == pytest.approx(float(other @ factor.gather(vector)))


@pytest.mark.parametrize("case", DAMAGED)
def test_a_matrix_that_cannot_serve_gives_none(case: str) -> None:
    assert Cholesky.of(DAMAGED[case]) is None


@pytest.mark.parametrize("case", ODD)
def test_any_finite_matrix_is_made_positive_definite(case: str) -> None:
    factor = Cholesky.of(ODD[case], least=1e-3)
    assert factor is not None
    rebuilt = factor.factor @ factor.factor.T
    assert torch.allclose(rebuilt, ODD[case] + factor.shift * torch.eye(SIZE), atol=1e-9 * float(rebuilt.abs().max()))


def gradients(factor: Cholesky, matrix: Tensor, start: Tensor, longest: float = 1e9) -> int:
    """Return how many gradients a search takes on a quadratic from its minimum's surroundings."""
    search = descend(
        start,
        lambda theta, value, gradient: "converged" if float(gradient.norm()) < 1e-9 else None,
        500,
        Preconditioned(start, factor, longest),
    )
    theta, count = next(search), 0
    with contextlib.suppress(StopIteration):
        while count < 500:
            count += 1
            theta = search.send((0.5 * float(theta @ matrix @ theta), matrix @ theta))
    return count


def test_with_the_hessian_itself_one_step_is_enough() -> None:
    factor, start = Cholesky.of(positive()), torch.randn(SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert factor is not None
    assert gradients(factor, positive(), start) <= 3


def test_no_step_is_longer_than_allowed() -> None:
    factor, start = Cholesky.of(positive()), torch.ones(SIZE, dtype=torch.float64)
    assert factor is not None
    memory = Preconditioned(start, factor, 0.5)
    assert float(memory.direction(positive() @ start).norm()) == pytest.approx(0.5 * FIRST)


def test_a_step_along_another_direction_is_not_kept() -> None:
    factor, start = Cholesky.of(positive()), torch.ones(SIZE, dtype=torch.float64)
    assert factor is not None
    memory = Preconditioned(start, factor, 1e9)
    memory.direction(start)
    memory.keep(torch.arange(SIZE).double(), start, 2 * start)
    assert memory.is_empty
