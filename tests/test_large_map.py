"""Maps as they are made of large networks, on small ones whose transitions are known in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import spinodal as sp
from spinodal.landscape.objective import Regularised
from spinodal.minima import glimpse
from spinodal.minima.lbfgs import lbfgs
from spinodal.minima.solution import Departure
from spinodal.tasks import gaussian


@pytest.fixture
def _every_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpse, "LARGE", 1)


@pytest.mark.usefixtures("_every_network_is_large")
@pytest.mark.parametrize("hidden", [(10, 10), (6, 6, 6)])
def test_brackets_hold_the_closed_form_and_are_as_narrow_as_asked(hidden: tuple[int, ...]) -> None:
    task = gaussian(activation="linear", hidden=hidden)
    diagram = sp.map_phases(task, dtype="float32", beta=(0.02, 0.6), starts=2)
    assert len(diagram.macroscopic) == len(task.exact) == 2
    for found, exact in zip(diagram.macroscopic, task.exact, strict=True):
        low, high = found.bracket
        assert low * (1 - 2e-4) <= exact.beta <= high * (1 + 2e-4)  # what single precision leaves of a fold
        assert high - low <= 2.5e-3 * exact.beta
    assert [phase.rank for phase in diagram.phases] == [2, 1, 0]


def test_it_costs_less_than_a_map_with_margins_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    task = gaussian(activation="tanh", hidden=(12, 12))
    costs = []
    for large in (10**9, 1):
        monkeypatch.setattr(glimpse, "LARGE", large)
        diagram = sp.map_phases(task, dtype="float32", solver="lbfgs", beta=(0.1, 0.6), starts=2)
        costs.append(diagram.spent.gradient_equivalents)
        assert len(diagram.macroscopic) == 2
    assert costs[1] < 0.7 * costs[0]


def test_a_part_is_the_error_over_every_kth_sample_with_accounts_of_its_own() -> None:
    task = gaussian(hidden=(4,), samples=30)
    whole = task.landscape()
    part = whole.part(5)
    assert part is not None
    inputs, targets = task.data
    expected = sp.Landscape(task.model, task.loss, (inputs[::5], targets[::5]))
    theta = task.initial(0)
    assert part.value(theta) == pytest.approx(expected.value(theta), rel=1e-12)
    assert part.batches.total == 6
    assert (part.counts.error_evaluations, whole.counts.error_evaluations) == (1, 0)


def test_a_part_of_several_batches_has_samples_of_each_in_one_batch() -> None:
    task = gaussian(hidden=(4,), samples=30)
    inputs, targets = task.data
    batches = [(inputs[:10], targets[:10]), (inputs[10:], targets[10:])]
    part = sp.Landscape(task.model, task.loss, batches).part(2)
    assert part is not None
    assert part.batches.sizes == [15]
    torch.testing.assert_close(next(iter(part.batches))[0], torch.cat([inputs[:10:2], inputs[10::2]]))


def test_a_part_of_a_batch_that_memory_cuts_finer_is_as_large_as_asked() -> None:
    task = gaussian(hidden=(4,), samples=600)
    small = sp.Landscape(task.model, task.loss, task.data, memory=2**16)
    parts = small.split(small.initial)
    assert parts is not None
    assert parts.batches.count > 7
    part = small.part(3)
    assert part is not None
    assert part.batches.total == 200
    expected = sp.Landscape(task.model, task.loss, tuple(values[::3] for values in task.data))
    theta = task.initial(0)
    assert part.value(theta) == pytest.approx(expected.value(theta), rel=1e-12)


def test_a_part_of_weighed_batches_keeps_their_weights() -> None:
    inputs = torch.randn(12, 2, dtype=torch.float64)
    net = nn.Linear(2, 1)
    whole = sp.Landscape(
        net, lambda model, batch: model(batch).square().mean(), [inputs[:4], inputs[4:]], samples=lambda batch: 12 - len(batch)
    )
    part = whole.part(2)
    assert part is not None
    theta = whole.initial + 1.0
    error = functional.linear(inputs, theta[:2][None], theta[2:]).square()
    assert whole.value(theta) == pytest.approx(float(error[:4].mean() * 2 / 3 + error[4:].mean() / 3), rel=1e-12)
    expected = error[:4:2].mean() * 2 / 3 + error[4::2].mean() / 3
    assert part.value(theta) == pytest.approx(float(expected), rel=1e-12)


def test_an_error_that_is_no_mean_over_samples_has_no_part() -> None:
    net = nn.Linear(2, 1)
    x = torch.randn(12, 2, dtype=torch.float64)
    spread = sp.Landscape(net, lambda model, batch: model(batch).var() + model.weight.square().sum(), x)
    assert spread.part(3) is None


def test_a_search_below_the_floor_of_its_branch_has_left_it() -> None:
    task = gaussian(hidden=(4,), samples=30)
    landscape = task.landscape()
    loss = Regularised(landscape, 0.05)
    there = lbfgs(loss, task.initial(0), tolerance=1e-6)
    floor = there.value + 0.1
    left = lbfgs(loss, task.initial(0), tolerance=1e-6, has_left=Departure(there.value, 1e9, floor))
    assert left.stop == "left"
    assert left.value < floor
    stayed = lbfgs(loss, task.initial(0), tolerance=1e-6, has_left=Departure(there.value, 1e9, there.value - 0.1))
    assert stayed.stop == "converged"


@pytest.mark.usefixtures("_every_network_is_large")
@pytest.mark.parametrize("direction", ["up", pytest.param("loop", marks=pytest.mark.slow)])
def test_phases_are_equally_deep_where_the_closed_form_says(direction: str) -> None:
    task = gaussian(activation="linear", hidden=(10, 10), samples=100)
    diagram = sp.map_phases(task, dtype="float32", beta=(0.02, 0.6), starts=2, branches=True, direction=direction)
    assert [item.phases for item in diagram.coexistence] == [(0, 1), (1, 2)]
    for found, exact in zip(diagram.coexistence, task.exact, strict=True):
        assert exact.coexistence is not None
        assert found.beta == pytest.approx(exact.coexistence, rel=1e-3)
    assert not diagram.missing
    assert not diagram.branches
