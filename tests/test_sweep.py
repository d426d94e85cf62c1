"""The walk in beta: scalar chains in closed form, and the envelope theorem along every phase."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from conftest import integral_of_norm
from spinodal.errors import SpinodalError
from spinodal.sweeps.walk import Point

FIRST_ORDER_CHAINS = {3: 0.236235, 4: 0.192450}  # theory.md section 2


class Chain(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(depth))


def chain(depth: int) -> sp.Landscape:
    def energy(model: nn.Module, batch: object) -> Tensor:
        return (1.0 - model.w.prod()) ** 2 / 2.0

    return sp.Landscape(Chain(depth), energy, None)


def walk(depth: int, low: float, high: float) -> sp.Sweep:
    landscape = chain(depth)
    return sp.sweep(landscape, start=sp.minimise(landscape, beta=low, start=landscape.initial), to=high)


@pytest.mark.parametrize(("depth", "spinodal"), FIRST_ORDER_CHAINS.items())
def test_a_chain_falls_at_its_spinodal(depth: int, spinodal: float) -> None:
    (found,) = walk(depth, 0.02, 0.5).transitions
    assert found.beta == pytest.approx(spinodal, rel=1e-5)
    assert (found.order, found.minor, found.direction) == ("first", False, "up")
    assert found.bracket[0] <= found.beta <= found.bracket[1]
    assert found.bracket[1] - found.bracket[0] <= 1.01e-5 * spinodal


def test_a_chain_of_two_fades_by_a_second_order_transition() -> None:
    (found,) = walk(2, 0.05, 1.0).transitions
    assert found.beta == pytest.approx(0.5, rel=1e-3)
    assert found.order == "second"


@pytest.mark.parametrize("start", [0.03, 0.11, 0.2])
def test_where_the_walk_begins_does_not_move_the_spinodal(start: float) -> None:
    (found,) = walk(3, start, 0.5).transitions
    assert found.beta == pytest.approx(FIRST_ORDER_CHAINS[3], rel=1e-5)


def test_the_dead_chain_stays_dead_on_the_way_down() -> None:
    landscape = chain(3)
    dead = sp.minimise(landscape, beta=0.5, start=torch.zeros(3))
    down = sp.sweep(landscape, start=dead, to=0.01)
    assert down.transitions == ()
    assert all(point.error == pytest.approx(0.5) for point in down.points)
    assert down.points[-1].beta == pytest.approx(0.01, rel=1e-12)


def test_the_points_run_from_the_start_to_the_end_in_order() -> None:
    betas = [point.beta for point in walk(3, 0.02, 0.5).points]
    assert betas[0] == 0.02
    assert betas[-1] == pytest.approx(0.5, rel=1e-12)
    assert betas == sorted(set(betas))


def envelope_defect(points: Sequence[Point]) -> float:
    """Return |L(b) - L(a) - integral ||theta||^2| over the integral."""
    integral = integral_of_norm(points)
    return abs(points[-1].minimum.loss - points[0].minimum.loss - integral) / integral


def test_the_loss_is_the_integral_of_the_squared_norm_along_a_branch() -> None:
    alive = list(walk(3, 0.02, 0.22).points)
    assert len(alive) > 5
    assert envelope_defect(alive) < 1e-4


def test_the_loss_is_continued_by_the_wrong_branch_nowhere() -> None:
    # Across the fall the norm jumps, and the integral over both branches must *not* fit.
    points = walk(3, 0.02, 0.5).points
    assert abs(points[-1].minimum.loss - 0.5) < 1e-9
    assert envelope_defect(points) > 1e-2


@pytest.mark.parametrize("to", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sweep_to_no_positive_beta_is_refused(to: float) -> None:
    landscape = chain(3)
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    with pytest.raises(SpinodalError, match="a finite beta > 0 is allowed"):
        sp.sweep(landscape, start=start, to=to)


def test_from_a_dead_state_that_was_walked_to_the_way_down_meets_what_the_way_up_met() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    landscape = task.landscape()
    up = sp.sweep(landscape, start=sp.minimise(landscape, beta=0.1, start=task.initial(0)), to=1.5)
    down = sp.sweep(landscape, start=up.points[-1].minimum, to=0.1)
    assert [t.beta for t in up.transitions] == pytest.approx([0.4, 0.9], rel=1e-3)
    assert [t.beta for t in down.transitions] == pytest.approx([0.9, 0.4], rel=1e-3)
    assert {t.order for t in (*up.transitions, *down.transitions)} == {"second"}


@pytest.mark.parametrize(("depth", "spinodal", "order"), [(2, 0.5, "second"), (3, FIRST_ORDER_CHAINS[3], "first")])
@pytest.mark.parametrize("solver", ["newton", "newton_cg"])
def test_a_softer_mode_beside_it_does_not_hide_the_order_of_a_transition(
    depth: int, spinodal: float, order: str, solver: str
) -> None:
    def energy(model: nn.Module, batch: object) -> Tensor:
        return (1.0 - model.w[:depth].prod()) ** 2 / 2.0 + 5e-5 * model.w[depth] ** 2

    landscape = sp.Landscape(Chain(depth + 1), energy, None)
    penalty = sp.Penalty(mask=torch.arange(depth + 1) < depth)
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial, penalty=penalty, solver=solver)
    (found,) = sp.sweep(landscape, start=start, to=0.8, penalty=penalty, solver=solver, bracket=1e-3).transitions
    assert found.order == order
    assert found.bracket[0] <= spinodal <= found.bracket[1]
    assert found.before.minimum.margin == pytest.approx(1e-4)


@pytest.mark.parametrize("bracket", [0.0, -1e-3, 1e-17, 0.5, float("nan")])
def test_a_bracket_that_no_walk_could_reach_is_refused(bracket: float) -> None:
    landscape = chain(3)
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    with pytest.raises(SpinodalError, match="from 1e-9 to 1e-2 is allowed"):
        sp.sweep(landscape, start=start, to=0.4, bracket=bracket)


def test_a_walk_into_a_beta_where_nothing_holds_the_error_stops_there() -> None:
    class Weight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.full((1,), 0.1))

    # E + beta w^2 is bounded below for beta >= 1 only, where w = 0 is its minimum.
    landscape = sp.Landscape(Weight(), lambda model, batch: -(model.w**2).sum() - 1e-3 * model.w.sum(), None)
    walk = sp.sweep(landscape, start=sp.minimise(landscape, beta=2.0, start=landscape.initial), to=0.5)
    assert walk.status.startswith("stopped at beta = ")
    assert "falls without bound" in walk.status
    assert all(point.beta > 1.0 for point in walk.points)


def test_a_walk_from_a_trivial_minimum_without_error_takes_few_steps_and_jumps_where_it_must() -> None:
    def potential(model: nn.Module, batch: object) -> Tensor:  # x = 0 is stable from beta = .1 on
        x = model.w.sum()
        return x**4 / 4 - x**3 / 3 - x**2 / 10

    landscape = sp.Landscape(Chain(1), potential, None)
    start = sp.minimise(landscape, beta=0.5, start=torch.full((1,), 1e-20, dtype=torch.float64))
    down = sp.sweep(landscape, start=start, to=0.05)
    assert [round(found.beta, 4) for found in down.transitions] == [0.1]
    assert len(down.points) < 40
