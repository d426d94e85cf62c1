"""Folds passed at fixed norm behind the end of a bracket, against closed forms and dense Hessians."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.landscape import Landscape
from spinodal.observe import Observer
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.turn import Turn
from spinodal.sweeps.walk import Walker
from spinodal.sweeps.way import Way
from spinodal.tasks import gaussian


def way_of(landscape: Landscape, *, sign: float = 1.0, solver: str = "newton", recorder: Memory | None = None) -> Way:
    """Return a way in a direction."""
    control = sp.Penalty()
    walker = Walker(landscape, control, Observer(landscape, control, None), solver=solver, recorder=recorder)
    scout = Scout(walker, error_range=1.0, norm_range=1.0, resolution=Resolution(bracket=1e-5))
    scout.sign = sign
    return scout.way


def walked(way: Way, start: Tensor, betas: list[float]) -> Any:
    """Return the last of minima that are followed from beta to beta."""
    found = sp.minimise(way.walker.landscape, beta=betas[0], start=start)
    point = way.walker.find(betas[0], lambda: (found.theta, found.stats))
    for beta in betas[1:]:
        point = way.walker.follow(point, beta, (beta - point.beta) * point.tangent)
    return point


@pytest.mark.parametrize("apart", [3e-3, 1e-4, 3e-6])
@pytest.mark.parametrize("width", [0.5, 4.0])
def test_a_fold_ahead_is_passed_and_placed(apart: float, width: float) -> None:
    task = gaussian(activation="linear", hidden=(6, 6), singular_values=(0.9, 0.3), samples=60)
    way, exact = way_of(task.landscape()), task.exact[0].beta
    near = walked(way, task.initial(0), [part * exact for part in (0.7, 0.9, 0.99, 1.0 - apart)])
    told = Turn(way, near, width * apart * exact).law()
    assert told is not None
    exponent, ahead = told
    assert exponent == pytest.approx(0.5, abs=0.05)
    assert ahead == pytest.approx(exact - near.beta, rel=0.02)


class Weight(nn.Module):
    """One weight."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def double_well(start: float) -> Landscape:
    """Return `E = (w - 1)^2 (w - 3)^2 / 4 - w^2`, whose two minima end in folds, each in one direction of beta."""

    def loss(model: Weight, batch: object) -> Tensor:
        return ((model.weight - 1) * (model.weight - 3)) ** 2 / 4 - model.weight**2

    return Landscape(Weight(start), loss, None)


def turning(w: Tensor) -> Tensor:
    """Return beta at which a weight is stationary: `-E'(w) / (2 w)`."""
    return 1.0 - (w - 1) * (w - 3) * (2 * w - 4) / (4 * w)


@pytest.mark.parametrize(("sign", "start", "first"), [(1.0, 3.0, 1.001), (-1.0, 0.9, 1.2)])
def test_a_fold_is_placed_in_either_direction(sign: float, start: float, first: float) -> None:
    way = way_of(double_well(start), sign=sign)
    betas = turning(torch.linspace(1.0, 3.0, 2_000_001, dtype=torch.float64))
    exact = float(betas.max() if sign > 0.0 else betas.min())
    near = walked(way, torch.tensor([start]), [first, *(exact - sign * part for part in (1e-2, 1e-3, 1e-4))])
    told = Turn(way, near, 2e-4).law()
    assert told is not None
    assert told[0] == pytest.approx(0.5, abs=0.03)
    assert near.beta + sign * told[1] == pytest.approx(exact, rel=1e-6)


def test_without_dense_hessians_it_is_passed_by_gradients_alone() -> None:
    task = gaussian(activation="linear", hidden=(6, 6), singular_values=(0.9, 0.3), samples=60)
    landscape, exact = task.landscape(), task.exact[0].beta
    way = way_of(landscape, solver="newton_cg")
    near = walked(way, task.initial(0), [part * exact for part in (0.7, 0.9, 0.99, 0.9999)])
    before = landscape.counts.copy()
    told = Turn(way, near, 2e-4 * exact).law()
    assert told is not None
    assert told == pytest.approx((0.5, exact - near.beta), rel=0.1)
    spent = landscape.counts - before
    assert (spent.hessians, spent.hessian_products) == (0, 0)


def test_where_a_branch_only_bends_nothing_is_passed() -> None:
    task = gaussian(activation="linear", hidden=(6,), singular_values=(0.9, 0.3), samples=60)  # second order
    way, exact = way_of(task.landscape()), task.exact[0].beta
    near = walked(way, task.initial(0), [part * exact for part in (0.7, 0.9, 0.99, 0.9999)])
    told = Turn(way, near, 1e-4 * exact).law()
    assert told is None or told[1] > 20.0 * 1e-4 * exact


def test_what_was_passed_is_recorded_with_its_cost() -> None:
    task = gaussian(activation="linear", hidden=(6, 6), singular_values=(0.9, 0.3), samples=60)
    recorder, exact = Memory(), task.exact[0].beta
    found = []
    for _ in range(2):
        landscape = task.landscape()
        way = way_of(landscape, recorder=recorder)
        near = walked(way, task.initial(0), [0.7 * exact, 0.9 * exact, 0.999 * exact])
        before = landscape.counts.gradient_evaluations
        found.append((Turn(way, near, 1e-3 * exact).law(), way.walker.spent.gradient_equivalents))
        asked = landscape.counts.gradient_evaluations - before
        assert (asked > 0) == (len(found) == 1)
    assert found[0] == found[1]
