"""Kronecker factors: exact where the Gauss-Newton matrix is one Kronecker product, and of use where it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from losses import cross_entropy
from spinodal.landscape.objective import Regularised
from spinodal.minima.kronecker import FLOOR, Kronecker, kronecker
from spinodal.minima.lbfgs import Preconditioned, lbfgs

BETA = 0.05


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().sum(-1).mean()


def classes(count: int, width: int) -> Tensor:
    return torch.randint(0, width, (count,), generator=torch.Generator().manual_seed(1))


EXACT: dict[str, Callable[[], sp.Landscape]] = {
    "a layer with bias, squared error": lambda: sp.Landscape(nn.Linear(4, 3), squared, (draw(20, 4), draw(20, 3, seed=1))),
    "a layer without": lambda: sp.Landscape(nn.Linear(4, 3, bias=False), squared, (draw(20, 4), draw(20, 3, seed=1))),
    "batches of unequal sizes": lambda: sp.Landscape(
        nn.Linear(4, 3), squared, [(draw(size, 4, seed=size), draw(size, 3, seed=1)) for size in (5, 2, 9)]
    ),
    "cross-cross_entropy of one sample": lambda: sp.Landscape(nn.Linear(4, 3), cross_entropy, (draw(1, 4), classes(1, 3))),
    "a convolution that sees the whole image": lambda: sp.Landscape(
        nn.Sequential(nn.Conv2d(2, 3, 4), nn.Flatten()), squared, (draw(10, 2, 4, 4), draw(10, 3, seed=1))
    ),
    "an embedding": lambda: sp.Landscape(nn.Embedding(6, 3), squared, (classes(30, 6), draw(30, 3, seed=1))),
}


def matrix_of(found: Kronecker, size: int) -> Tensor:
    """Return P as a matrix."""
    return torch.linalg.inv(torch.stack([found.inverse(row) for row in torch.eye(size, dtype=torch.float64)]))


@pytest.mark.parametrize("case", EXACT)
def test_of_one_layer_they_are_the_hessian(case: str) -> None:
    landscape = EXACT[case]()
    theta = draw(landscape.size, seed=5)
    found = kronecker(landscape, theta)
    assert found is not None
    expected = landscape.hessian(theta) + (2.0 + FLOOR) * BETA * torch.eye(landscape.size)
    assert torch.allclose(matrix_of(found.at_beta(BETA), landscape.size), expected, atol=1e-9)


def deep(loss: Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor] = cross_entropy, *, width: int = 5) -> sp.Landscape:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, width)
    )
    return sp.Landscape(net, loss, (draw(40, 1, 6, 6), classes(40, width)))


def test_spread_is_the_transpose_of_gather() -> None:
    landscape = deep()
    found = kronecker(landscape, landscape.initial)
    assert found is not None
    found = found.at_beta(BETA)
    first, second = draw(landscape.size), draw(landscape.size, seed=1)
    assert float(found.spread(first) @ second) == pytest.approx(float(first @ found.gather(second)))


def test_every_beta_is_one_shift() -> None:
    landscape = deep()
    found = kronecker(landscape, landscape.initial)
    assert found is not None
    low, high = (matrix_of(found.at_beta(beta), landscape.size) for beta in (0.01, 0.3))
    assert torch.allclose(high - low, 0.29 * (2.0 + FLOOR) * torch.eye(landscape.size).double(), atol=1e-7)


def parameters_alone(model: nn.Module, batch: object) -> Tensor:
    return model[0].weight.square().sum()


def twice(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(model, batch) + model(2.0 * batch[0]).square().mean()


@pytest.mark.parametrize("loss", [parameters_alone, twice])
def test_a_loss_that_cannot_be_looked_into_gives_none(
    loss: Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor],
) -> None:
    landscape = deep(loss)
    assert kronecker(landscape, landscape.initial) is None


def test_frozen_parameters_are_left_out() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    net[0].weight.requires_grad_(False)
    net[2].bias.requires_grad_(False)
    landscape = sp.Landscape(net, squared, (draw(20, 3), draw(20, 2, seed=1)))
    found = kronecker(landscape, landscape.initial)
    assert found is not None
    (block,) = found.blocks
    assert block.values.shape == (2, 4)
    assert float(torch.linalg.eigvalsh(matrix_of(found.at_beta(BETA), landscape.size))[0]) > 2.0 * BETA


def test_the_network_is_left_as_it_was() -> None:
    landscape = deep()
    before = landscape.value_and_gradient(landscape.initial)
    kronecker(landscape, landscape.initial)
    after = landscape.value_and_gradient(landscape.initial)
    assert before[0] == after[0]
    assert torch.equal(before[1], after[1])


def test_a_search_from_a_neighbour_takes_fewer_gradients_and_ends_at_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinodal.minima.lbfgs.MOST_MEMORY", 20)  # as of the large networks that factors are for
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 4))
    inputs = draw(200, 30) * torch.logspace(0, -2, 30)
    landscape = sp.Landscape(net, cross_entropy, (inputs, classes(200, 4)))
    near = lbfgs(Regularised(landscape, 1e-3), landscape.initial, tolerance=1e-6).theta
    found, loss = kronecker(landscape, near), Regularised(landscape, 1.1e-3)
    assert found is not None
    before = landscape.counts.copy()
    plain = lbfgs(loss, near, tolerance=1e-5)
    middle = landscape.counts.copy()
    aided = lbfgs(loss, near, tolerance=1e-5, memory=Preconditioned(near, found.at_beta(loss.beta), 10.0))
    spent, saved = landscape.counts - middle, middle - before
    assert aided.value == pytest.approx(plain.value, rel=1e-7)
    assert 2 * spent.gradient_evaluations < saved.gradient_evaluations
