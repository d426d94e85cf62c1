"""Alignment: planted orders and signs are recovered, the function stays, what is not understood is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.paths import align
from spinodal.paths.units import hidden_units, rearranged

TRIALS = 20  # for each of five networks: 100 in all


def mse(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return ((model(batch[0]) - batch[1]) ** 2).sum(1).mean()


def dense(width: int, activation: type[nn.Module], bias: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, width, bias=bias), activation(), nn.Linear(width, width, bias=bias), activation(), nn.Linear(width, 3)
    )


class Small(nn.Module):
    """A convolutional network in a forward pass of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.third, self.last = nn.Linear(8 * 2 * 2, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.first(x)), 2)
        x = torch.tanh(self.second(x)).view(x.size(0), -1)
        return self.last(self.third(x).tanh())


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.block, self.norm, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        return self.out(self.norm(h + nn.functional.gelu(self.block(h))))


def landscape(model: nn.Module, shape: tuple[int, ...] = (6,)) -> sp.Landscape:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(9, *shape, generator=generator), torch.randn(9, 3, generator=generator)
    return sp.Landscape(model, mse, (x, y))


def planted(surface: sp.Landscape, theta: Tensor, generator: torch.Generator) -> Tensor:
    for units in hidden_units(surface):
        assert units.count is not None
        signs = 2.0 * torch.randint(2, (units.count,), generator=generator) - 1.0
        signs = signs if units.odd else torch.ones(units.count)
        theta = rearranged(surface, theta, units, torch.randperm(units.count, generator=generator), signs)
    return theta


NETWORKS: dict[str, Callable[[], sp.Landscape]] = {
    "16 tanh": lambda: landscape(dense(16, nn.Tanh)),
    "64 relu": lambda: landscape(dense(64, nn.ReLU)),
    "128 linear, no biases": lambda: landscape(dense(128, nn.Identity, bias=False)),
    "512 relu": lambda: landscape(dense(512, nn.ReLU)),
    "convolutions": lambda: landscape(Small(), (1, 8, 8)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_planted_orders_and_signs_are_recovered(name: str) -> None:
    surface = NETWORKS[name]()
    generator = torch.Generator().manual_seed(len(name))
    for _ in range(TRIALS if "512" not in name else 3):
        theta = surface.initial + 0.05 * torch.randn(surface.size, generator=generator).double()
        other = planted(surface, theta, generator)
        found = align(surface, theta, other)
        assert found.distance[0] > 1.0
        assert found.distance[1] <= 1e-12
        assert abs(surface.value(found.theta) - surface.value(other)) <= 1e-10
        assert abs(surface.value(other) - surface.value(theta)) <= 1e-10


def test_the_straight_line_to_an_aligned_copy_has_no_barrier() -> None:
    surface = NETWORKS["16 tanh"]()
    theta = sp.minimise(surface, beta=1e-2, start=surface.initial, solver="lbfgs", tolerance=0.1).theta
    other = planted(surface, theta, torch.Generator().manual_seed(1))
    assert sp.connect(surface, theta, other, method="straight").barrier > 0.1
    nearer = theta + 1e-7 * torch.randn(surface.size, generator=torch.Generator().manual_seed(2)).double()
    aligned = align(surface, nearer, other).theta
    assert sp.connect(surface, nearer, aligned, method="straight").barrier <= 1e-10


def test_twin_and_dead_units_leave_no_barrier() -> None:
    surface = landscape(dense(8, nn.ReLU))
    named = {name: value.clone() for name, value in surface.parameters.unflatten(surface.initial).items()}
    named["0.weight"][1], named["0.bias"][1] = named["0.weight"][0], named["0.bias"][0]  # twins in all they are given
    named["0.weight"][2], named["0.bias"][2], named["2.weight"][:, 2] = 0.0, -1.0, 0.0  # dead
    named["0.weight"][3], named["0.bias"][3], named["2.weight"][:, 3] = 0.0, -1.0, 0.0
    theta = torch.cat([value.reshape(-1) for value in named.values()])
    other = planted(surface, theta, torch.Generator().manual_seed(5))
    aligned = align(surface, theta, other).theta
    errors = [surface.value(torch.lerp(theta, aligned, part)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert max(errors) - min(errors) <= 1e-10


def test_sums_tie_the_units_of_layers_together() -> None:
    surface = landscape(Residual())
    groups = hidden_units(surface)
    assert [(group.name, group.count, group.odd) for group in groups] == [("into", 8, False)]
    assert {(name, axis) for name, axis, _ in groups[0].uses} == {
        ("into.weight", 0), ("into.bias", 0), ("block.weight", 0), ("block.weight", 1), ("block.bias", 0),
        ("norm.weight", 0), ("norm.bias", 0), ("out.weight", 1),
    }  # fmt: skip
    other = planted(surface, surface.initial, torch.Generator().manual_seed(0))
    assert align(surface, surface.initial, other).distance[1] <= 1e-12


def test_aligning_a_network_with_itself_changes_nothing() -> None:
    surface = NETWORKS["16 tanh"]()
    found = align(surface, surface.initial, surface.initial)
    assert found.moved == 0
    assert torch.equal(found.theta, surface.initial)


def test_aligned_networks_are_never_farther_apart() -> None:
    surface = NETWORKS["16 tanh"]()
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        a, b = (torch.randn(surface.size, generator=generator).double() for _ in range(2))
        found = align(surface, a, b)
        assert found.distance[1] < found.distance[0]
        assert abs(surface.value(found.theta) - surface.value(b)) <= 1e-9 * (1 + surface.value(b))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x) if x.sum() > 0 else x)


class Concatenating(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.layer(x)[:, :3], x[:, :3]], 1))


class Ranked(Branching):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.layer(x)).view(-1, 2, 3).transpose(1, 2).reshape(-1, 6))


@pytest.mark.parametrize("model", [Branching, Concatenating, Ranked])
def test_what_is_not_understood_is_refused(model: type[nn.Module]) -> None:
    surface = landscape(model())
    with pytest.raises(sp.SpinodalError, match=r"not understood which units can change places.*connect without alignment"):
        align(surface, surface.initial, -surface.initial)


def test_units_whose_statistics_are_no_parameters_stay() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    assert [group.name for group in hidden_units(landscape(model))] == ["3"]


def test_frozen_units_stay() -> None:
    model = dense(4, nn.Tanh)
    model[0].weight.requires_grad_(False)  # type: ignore[index, union-attr]
    assert [group.name for group in hidden_units(landscape(model))] == ["2"]


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_twins_and_dead_units_stay_where_they_are(activation: type[nn.Module]) -> None:
    """Units that are worth the same may take any order: none of them is then said to have moved."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, 2)).double()
    with torch.no_grad():
        for twin in (3, 5):
            net[0].weight[twin], net[0].bias[twin], net[2].weight[:, twin] = (
                net[0].weight[2],
                net[0].bias[2],
                net[2].weight[:, 2],
            )
        for dead in (1, 6):
            net[0].weight[dead], net[0].bias[dead], net[2].weight[:, dead] = 0.0, 0.0, 0.0
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    twins = sp.Landscape(net, lambda model, batch: model(batch).square().mean(), x)
    near = twins.initial * 1.001
    assert align(twins, twins.initial, near).moved == 0
    weights = {name: value.clone() for name, value in twins.parameters.unflatten(near).items()}
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("2.weight", 1)):
        weights[name] = weights[name].index_select(axis, torch.tensor([7, 1, 2, 3, 4, 5, 6, 0]))
    found = align(twins, twins.initial, torch.cat([value.reshape(-1) for value in weights.values()]))
    assert found.moved == 2
    assert found.distance[1] < 0.01 * found.distance[0]
