"""A Hessian serves neighbours: the same minima, margins as LAPACK has them, and the same again after a resume."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from spinodal.counts import Counts
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.landmark import Landmark
from spinodal.minima.local import Local, near
from spinodal.minima.minimise import solve
from spinodal.minima.solution import Departure
from spinodal.observe import Observer
from spinodal.spectrum.preconditioner import Cholesky
from spinodal.sweeps.request import Request
from spinodal.sweeps.walk import Forgetful, Point, Walker

BETA = 0.02


@pytest.fixture(autouse=True)
def dear_hessians(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Hessians of small networks be kept as those of larger ones are."""
    for name in ("landmark", "newton", "local"):
        monkeypatch.setattr(f"spinodal.minima.{name}.CERTIFIED", 0)


@pytest.fixture(scope="module")
def landscape() -> sp.Landscape:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=generator, dtype=torch.float64)
    y = torch.stack([x[:, :3].prod(1), x.sum(1).tanh()], 1)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 2))
    return sp.Landscape(net, lambda model, batch: (model(batch[0]) - batch[1]).square().sum(1).mean(), (x, y))


@pytest.fixture(scope="module")
def here(landscape: sp.Landscape) -> sp.Minimum:
    return sp.minimise(landscape, beta=BETA, start=landscape.initial, solver="newton")


@pytest.fixture
def landmark(landscape: sp.Landscape, here: sp.Minimum) -> Landmark:
    found = Landmark.at(Regularised(landscape, BETA), here.theta, landscape.hessian(here.theta))
    assert found is not None
    return found


def found_at(landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark | None, beta: float) -> tuple[sp.Minimum, Local]:
    minimum, local = solve(Regularised(landscape, beta), here.theta, solver="newton", landmark=landmark)
    return minimum, local


@pytest.mark.parametrize("step", [0.96, 0.99, 1.0, 1.005, 1.01])
def test_from_a_landmark_the_minimum_is_the_same_and_takes_no_hessian(
    landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark, step: float
) -> None:
    near, _ = found_at(landscape, here, landmark, step * BETA)
    alone, _ = found_at(landscape, here, None, step * BETA)
    assert near.stats.hessians == 0 < alone.stats.hessians
    assert near.converged
    assert near.loss == pytest.approx(alone.loss, rel=1e-12)
    assert near.stats.gradient_equivalents < alone.stats.gradient_equivalents


@pytest.mark.parametrize("step", [0.96, 0.99, 1.0, 1.005, 1.01])
def test_from_a_landmark_margin_and_tangent_are_those_of_the_dense_hessian(
    landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark, step: float
) -> None:
    minimum, local = found_at(landscape, here, landmark, step * BETA)
    matrix = Regularised(landscape, minimum.beta).shifted(landscape.hessian(minimum.theta))
    assert abs(minimum.margin - float(torch.linalg.eigvalsh(matrix)[0])) <= minimum.margin_error
    assert minimum.margin_error <= 1e-3 * minimum.margin
    exact = torch.linalg.solve(matrix, -2.0 * minimum.theta)
    assert float(minimum.theta @ local.tangent) == pytest.approx(float(minimum.theta @ exact), rel=1e-5)
    assert torch.allclose(local.tangent, exact, atol=1e-2 * float(exact.norm()))


def damaged(landmark: Landmark, factor: Tensor) -> Landmark:
    return replace(landmark, factor=Cholesky(factor))


def other_network(landmark: Landmark) -> Landmark:
    values = torch.logspace(-4.0, 4.0, len(landmark.factor.factor)).double()
    rotation = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64)).Q
    factor = Cholesky.of(rotation * values @ rotation.T)
    assert factor is not None
    return replace(landmark, factor=factor, low=rotation[:, :6].T.contiguous())


DAMAGES: dict[str, Callable[[Landmark], Landmark]] = {
    "not finite": lambda landmark: damaged(landmark, torch.full_like(landmark.factor.factor, torch.nan)),
    "singular": lambda landmark: damaged(landmark, landmark.factor.factor * (torch.arange(len(landmark.factor.factor)) > 5)),
    "far too stiff": lambda landmark: damaged(landmark, 1e6 * landmark.factor.factor),
    "far too soft": lambda landmark: damaged(landmark, 1e-6 * landmark.factor.factor),
    "of another network": other_network,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_landmark_costs_gradients_but_spoils_nothing(
    landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark, damage: str
) -> None:
    minimum, _ = found_at(landscape, here, DAMAGES[damage](landmark), 1.01 * BETA)
    sound, _ = found_at(landscape, here, landmark, 1.01 * BETA)
    assert minimum.converged
    assert minimum.loss == pytest.approx(sound.loss, rel=1e-12)
    assert minimum.margin == pytest.approx(sound.margin, rel=2e-3)


class Replaying(Forgetful):
    """A recorder that recalls the first points of an earlier walk."""

    def __init__(self, known: list[Point]) -> None:
        self.known = known

    def recall(self, request: Request, index: int) -> Point | None:
        return self.known[index] if index < len(self.known) else None


def walk(landscape: sp.Landscape, here: sp.Minimum, known: list[Point]) -> list[Point]:
    penalty = Penalty()
    observe = Observer(landscape, penalty, None)
    walker = Walker(landscape, penalty, observe, solver="newton", recorder=Replaying(known))
    none = sp.minimise(landscape, beta=BETA, start=here.theta).stats
    point = walker.find(BETA, lambda: (here.theta, none - none))
    for step in (1.01, 1.03, 1.02, 1.1, 1.25, 1.02):
        beta = step * point.beta
        point = walker.follow(point, beta, (beta - point.beta) * point.tangent)
    far = walker.follow(point, 1.3 * point.beta, 0.0 * point.tangent, travelling=True)
    assert far.minimum.converged
    gone = walker.follow(point, 1.5 * point.beta, 0.0 * point.tangent, Departure(error=0.0, most=0.0))
    assert gone.left
    expected, reach = point.minimum.theta, 0.01 * point.observation.norm
    strayed = walker.follow(point, 1.5 * point.beta, 0.0 * point.tangent, Departure(0.0, math.inf, -math.inf, expected, reach))
    assert strayed.left
    found = walker.finish(gone)
    walker.follow(found, 1.01 * found.beta, 0.0 * found.tangent)
    return list(walker.points.values())


def what(point: Point) -> tuple[Any, ...]:
    minimum = point.minimum
    tensors = (minimum.theta.tolist(), point.tangent.tolist())
    return (*tensors, minimum.margin, minimum.margin_error, minimum.stats, point.norm_slope, point.margin_slope)


def test_a_walk_that_is_resumed_anywhere_is_the_same_to_the_last_bit(
    landscape: sp.Landscape, here: sp.Minimum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spinodal.sweeps.landmarks.OWN_HESSIANS", 0)
    whole = walk(landscape, here, [])
    assert any(point.minimum.stats.hessians == 0 for point in whole)
    assert any(point.is_underway for point in whole)
    for first in range(1, len(whole)):
        assert [what(point) for point in walk(landscape, here, whole[:first])] == [what(point) for point in whole]


def test_a_search_that_was_given_up_on_the_way_is_finished_with_a_hessian_of_that_place(
    landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark
) -> None:
    loss = Regularised(landscape, 1.5 * BETA)
    underway, local = solve(loss, here.theta, solver="newton", landmark=landmark, tolerance=1e-9, patience=0.1)
    assert (underway.stop, local, underway.converged, underway.stats.hessians) == ("underway", None, False, 0)
    alone, _ = solve(loss, underway.theta, solver="newton", tolerance=1e-9)
    own = Landmark.at(loss, underway.theta, landscape.hessian(underway.theta))
    finished, _ = solve(loss, underway.theta, solver="newton", landmark=own, tolerance=1e-9)
    assert finished.converged
    assert finished.loss == pytest.approx(alone.loss, rel=1e-10)


def test_the_change_of_a_margin_is_that_of_neighbouring_hessians(
    landscape: sp.Landscape, here: sp.Minimum, landmark: Landmark
) -> None:
    minimum, local = found_at(landscape, here, landmark, 1.005 * BETA)
    assert local.along is not None  # without a Hessian of its own
    margins = []
    for step in (-1e-4, 1e-4):
        beta = (1.0 + step) * minimum.beta
        there = sp.minimise(landscape, beta=beta, start=minimum.theta + step * minimum.beta * local.tangent, solver="newton")
        margins.append(there.margin)
    assert local.margin_slope(local.tangent) == pytest.approx((margins[1] - margins[0]) / (2e-4 * minimum.beta), rel=2e-2)


def test_small_networks_whose_hessians_are_dear_are_walked_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of `dear_hessians`: the price itself decides here
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(1, 10, 3), nn.Tanh(), nn.Flatten(), nn.Linear(60, 4))
    data = (torch.randn(12, 1, 8, generator=generator), torch.arange(12) % 4)
    dear = sp.Landscape(net, lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1]), data)
    penalty = Penalty()
    walker = Walker(dear, penalty, Observer(dear, penalty, None), solver="newton")
    point = walker.find(BETA, lambda: (dear.initial, Counts()))
    for step in (1.01, 1.02, 1.03):
        beta = step * point.beta
        point = walker.follow(point, beta, (beta - point.beta) * point.tangent)
        assert point.minimum.stats.hessians == 0
        values = torch.linalg.eigvalsh(dear.hessian(point.minimum.theta)) + 2.0 * beta
        assert abs(point.minimum.margin - float(values[0])) <= point.minimum.margin_error + 1e-12


def test_a_mode_that_left_a_cluster_unseen_is_within_the_error_of_the_margin() -> None:
    """Of 40 curvatures alike a few modes are kept; another falls below them by a part of what they all drift."""
    before = torch.cat([torch.ones(40), torch.linspace(2.0, 9.0, 20)]).double()
    after = torch.where(before == 1.0, 1.5, before)
    after[10] = 1.47
    one = nn.Linear(1, 60, bias=False)
    landscape = sp.Landscape(one, lambda model, batch: (batch * model.weight[:, 0].square()).sum() / 2.0, after)
    loss, theta = Regularised(landscape, 0.0), torch.zeros(60, dtype=torch.float64)
    landmark = Landmark.at(loss, theta, torch.diag(before))
    assert landmark is not None
    found = near(loss, theta, replace(landmark, price=1000))
    assert found is not None
    assert found.margin.value == pytest.approx(1.5)
    assert found.margin.value - found.margin.residual < 1.47


def test_a_cluster_that_falls_while_the_margin_rises_is_within_its_error() -> None:
    """Four modes are kept: that of the margin, which stiffens, and three of a cluster that falls whole, the fifth with it."""
    before = torch.tensor([1.0, 1.05, 1.051, 1.052, 1.053, *torch.linspace(2.0, 9.0, 20).tolist()]).double()
    after = before.clone()
    after[:5] = torch.tensor([2.0, 0.8, 0.801, 0.802, 0.795])
    one = nn.Linear(1, len(before), bias=False)
    landscape = sp.Landscape(one, lambda model, batch: (batch * model.weight[:, 0].square()).sum() / 2.0, after)
    loss, theta = Regularised(landscape, 0.0), torch.zeros(len(before), dtype=torch.float64)
    landmark = Landmark.at(loss, theta, torch.diag(before))
    assert landmark is not None
    found = near(loss, theta, replace(landmark, price=1000))
    assert found is not None
    assert found.margin.value - found.margin.residual < 0.795


def test_a_cluster_that_falls_by_turning_is_within_the_error_of_the_margin() -> None:
    """Each of 40 modes alike turns towards a stiff one: along the kept vectors no curvature changes, yet all modes fall."""
    before = torch.cat([torch.ones(40), torch.linspace(2.0, 9.0, 60)]).double()
    after = torch.diag(before)
    for low in range(40):
        stiff, fallen = 99 - low, 0.79 if low == 20 else 0.8
        after[low, stiff] = after[stiff, low] = ((1.0 - fallen) * (before[stiff] - fallen)).sqrt()
    one = nn.Linear(1, 100, bias=False)
    landscape = sp.Landscape(one, lambda model, batch: model.weight[:, 0] @ batch @ model.weight[:, 0] / 2.0, after)
    loss, theta = Regularised(landscape, 0.0), torch.zeros(100, dtype=torch.float64)
    landmark = Landmark.at(loss, theta, torch.diag(before))
    assert landmark is not None
    found = near(loss, theta, replace(landmark, price=1000))
    assert found is not None
    assert found.margin.value - found.margin.residual < float(torch.linalg.eigvalsh(after)[0])
