"""The range of a map that nobody gave: from where E hardly changes to the trivial phase, whatever the network."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

import spinodal as sp
from spinodal.definitions import MACROSCOPIC

F64 = torch.float64


class Adapted(nn.Module):
    """A frozen layer with an adapter of low rank beside it."""

    def __init__(self, frozen: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = frozen.shape
        self.frozen = nn.Parameter(frozen, requires_grad=False)
        self.down, self.up = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.frozen.T + self.up(self.down(x))


MODES = (1.1, 0.7, 0.4)


def adapters(rank: int, *, scale: float = 1.0) -> sp.Task:
    """Return whitened inputs and targets that the frozen layer misses by three modes."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=F64)

    left, _, right = torch.linalg.svd(normal(60, 6), full_matrices=False)
    x = left @ right * 60**0.5
    modes = torch.linalg.qr(normal(5, 5))[0][:, :3] @ torch.diag(torch.tensor(MODES, dtype=F64))
    frozen = scale * normal(5, 6)
    y = x @ (frozen + modes @ torch.linalg.qr(normal(6, 6))[0][:, :3].T).T
    return sp.Task(Adapted(frozen, rank), lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), (x, y))


def inside(diagram: sp.PhaseDiagram) -> float:
    """Return the part of the points that lie where things happen.

    From where E has changed by 1 % to where no more than that is left, or to the last transition if that is later.
    """
    points, errors = diagram.points, [point.error for point in diagram.points]
    far = MACROSCOPIC * (max(errors) - min(errors))
    begin = max(point.beta for point in points if point.error <= min(errors) + far)
    end = min(point.beta for point in points if point.error >= max(errors) - far)
    end = max([end, *(found.bracket[1] for found in diagram.macroscopic)])
    return sum(begin <= point.beta <= end for point in points) / len(points)


@pytest.mark.parametrize(("rank", "scale"), [(1, 1.0), (2, 1.0), (3, 1.0), (2, 1000.0), (2, 0.0)])
def test_adapters_beside_a_frozen_layer_lose_their_modes_one_after_the_other(rank: int, scale: float) -> None:
    diagram = sp.map_phases(adapters(rank, scale=scale))
    assert [found.beta for found in diagram.macroscopic] == pytest.approx(MODES[:rank][::-1], abs=1e-5)
    assert [found.order for found in diagram.macroscopic] == ["second"] * rank


def test_the_range_of_a_perceptron_holds_its_loss_of_accuracy() -> None:
    x, y = (torch.tensor(part) for part in load_breast_cancer(return_X_y=True))
    x, y = ((x - x.mean(0)) / x.std(0))[:150], y[:150]
    diagram = sp.map_phases(sp.Task(nn.Linear(30, 2), nn.CrossEntropyLoss(), (x, y)))
    accuracies = [point.observation.accuracy["train"] or 0.0 for point in diagram.points]
    errors = [point.error for point in diagram.points]
    assert diagram.range[1] / diagram.range[0] > 1e4  # E falls as a power of beta: there is no transition to end at
    assert accuracies[0] - accuracies[-1] > 0.03
    assert errors[1] - errors[0] < 0.02 * (errors[-1] - errors[0])
    assert not diagram.transitions
    assert inside(diagram) >= 2 / 3


class Skip(nn.Module):
    """A residual network, whose outputs at theta = 0 are its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


def test_a_residual_network_has_a_trivial_phase() -> None:
    x = torch.linalg.qr(torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=F64))[0] * 30**0.5
    task = sp.Task(Skip(), lambda model, b: (model(b[0]) - 1.5 * b[0]).square().sum(1).mean(), (x,))
    diagram = sp.map_phases(task)
    assert diagram.range[0] < 0.5 < diagram.range[1]  # all modes have s = .5 and die together
    assert [round(found.beta, 5) for found in diagram.macroscopic] == [0.5]
