"""Minimisation at one beta: every solver reaches the known minimum, says how it ended, and never returns a saddle."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from conftest import Oracle
from spinodal import arguments
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Vectorised
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import SOLVERS, Minimum, minimise, solver_for
from spinodal.minima.minimum import CONVERGED, STATUSES
from spinodal.minima.newton import _Search, newton
from spinodal.minima.newton_cg import newton_cg
from spinodal.minima.solution import Stillness
from spinodal.minima.trust_region import trust_region_step
from spinodal.tasks import Task, gaussian
from spinodal.theory import mode_strength

every_solver = pytest.mark.parametrize("solver", SOLVERS)
ENOUGH = 800  # gradients; every problem here is tiny

Limit = Callable[[Landscape, int], None]


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Weights(nn.Module):
    """A vector of weights for scalar toy energies."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.w = nn.Parameter(vector(*values))


def toy(energy: Callable[[Tensor], Tensor], *start: float, **options: Any) -> Landscape:
    return Landscape(Weights(*start), lambda model, batch: energy(model.w), None, **options)


def chain(w: Tensor) -> Tensor:
    """`E = (1 - product of w)^2 / 2`, shared/theory.md section 2."""
    return 0.5 * (1 - w.prod()) ** 2


def linear_net(depth: int, values: tuple[float, ...], width: int) -> Task:
    return gaussian(
        singular_values=values,
        inputs=len(values),
        outputs=len(values),
        hidden=(width,) * (depth - 1),
        activation="linear",
        bias=False,
        samples=60,
        noise=0.1,
    )


def balanced(task: Task, depth: int, width: int, beta: float, alive: list[int]) -> Tensor:
    """Return the exact balanced stationary point of a deep linear net with these modes alive."""
    x, y = task.data
    left, values, right = torch.linalg.svd(y.T @ x / len(x))
    modes = len(values)
    strengths = [mode_strength(beta, float(s), matrices=depth) if mode in alive else 0.0 for mode, s in enumerate(values)]
    roots = torch.diag(vector(*strengths) ** (1 / depth))
    weights = []
    for layer in range(depth):
        rows, columns = (modes if layer == depth - 1 else width), (modes if layer == 0 else width)
        weight = torch.zeros(rows, columns, dtype=torch.float64)
        weight[:modes, :modes] = roots
        if layer == 0:
            weight = weight @ right
        if layer == depth - 1:
            weight = left @ weight
        weights.append(weight.reshape(-1))
    return torch.cat(weights)


def closed_form(task: Task, depth: int, beta: float, alive: int) -> tuple[float, float]:
    """Return E and `||theta||^2` with the strongest modes alive."""
    settings = task.settings
    values = sorted(settings["singular_values"], reverse=True)
    strengths = [mode_strength(beta, s, matrices=depth) for s in values[:alive]]
    misfit = sum((s - u) ** 2 for s, u in zip(values, strengths, strict=False)) + sum(s**2 for s in values[alive:])
    return misfit + settings["outputs"] * settings["noise"] ** 2, sum(depth * u ** (2 / depth) for u in strengths)


# -- the known minimum -------------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("beta", [0.01, 0.5, 3.0])
def test_one_weight_reaches_its_closed_form(solver: str, beta: float) -> None:
    landscape = toy(lambda w: ((0.7 - w) ** 2).sum(), 3.0)
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver=solver, tolerance=1e-7)
    assert float(minimum.theta) == pytest.approx(0.7 / (1 + beta), rel=1e-5)
    assert minimum.error == pytest.approx((0.7 * beta / (1 + beta)) ** 2, rel=1e-4)
    assert minimum.loss == pytest.approx(0.49 * beta / (1 + beta), rel=1e-9)
    assert minimum.margin == pytest.approx(2 + 2 * beta, rel=1e-9)
    assert minimum.converged


@every_solver
def test_one_layer_on_white_inputs_shrinks_every_singular_value_alike(solver: str) -> None:
    task, beta = linear_net(1, (0.9, 0.5, 0.2), 0), 0.4
    landscape = task.landscape()
    minimum = minimise(landscape, beta=beta, start=task.initial(0), solver=solver)
    found = torch.linalg.svdvals(minimum.theta.view(3, 3))
    torch.testing.assert_close(found, vector(0.9, 0.5, 0.2) / (1 + beta), rtol=1e-5, atol=1e-5)


@every_solver
def test_ridge_regression_equals_its_normal_equations(solver: str) -> None:
    x, y, beta = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64), 0.3
    model = nn.Linear(4, 1, bias=False)
    landscape = Landscape(model, lambda net, batch: (net(batch[0]) - batch[1]).square().mean(), (x, y))
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver=solver)
    exact = torch.linalg.solve(x.T @ x / 12 + beta * torch.eye(4).double(), x.T @ y / 12)[:, 0]
    torch.testing.assert_close(minimum.theta, exact, rtol=1e-4, atol=1e-5)
    lowest = torch.linalg.eigvalsh(2 * x.T @ x / 12)[0] + 2 * beta
    assert minimum.margin == pytest.approx(float(lowest), rel=1e-2 if solver != "newton" else 1e-9)


@every_solver
@pytest.mark.parametrize(("beta", "alive"), [(0.1, 2), (0.34, 2), (0.37, 1)])
def test_a_deep_linear_net_reaches_the_closed_form_of_its_modes(solver: str, beta: float, alive: int) -> None:
    task = linear_net(3, (0.9, 0.8), 4)
    start = balanced(task, 3, 4, beta, list(range(alive)))
    start = start + 0.02 * torch.randn(len(start), dtype=torch.float64)
    landscape = task.landscape()
    minimum = minimise(landscape, beta=beta, start=start, solver=solver, tolerance=1e-9)
    error, square = closed_form(task, 3, beta, alive)
    assert minimum.converged
    assert minimum.error == pytest.approx(error, abs=1e-8)
    assert float(minimum.theta @ minimum.theta) == pytest.approx(square, abs=1e-8)
    assert minimum.loss == pytest.approx(error + beta * square, abs=1e-12)


@every_solver
@pytest.mark.parametrize("beta", [0.1, 0.3, 0.45])
def test_the_margin_of_the_chain_of_two_equals_its_closed_form(solver: str, beta: float) -> None:
    landscape = toy(chain, 1.0, 0.8)
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver=solver, tolerance=1e-7)
    assert float(minimum.theta[0]) == pytest.approx(math.sqrt(1 - 2 * beta), rel=1e-4)
    assert minimum.margin == pytest.approx(min(4 * beta, 2 * (1 - 2 * beta)), rel=1e-3)


def test_the_margin_of_the_chain_of_three_equals_its_closed_form() -> None:
    landscape, beta = toy(chain, 1.0, 1.1, 0.9), 0.22
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver="newton")
    t = float(minimum.theta[0])
    assert t * (1 - t**3) == pytest.approx(2 * beta, abs=1e-9)
    assert minimum.margin == pytest.approx(min(4 * beta, 3 * t**4 - 2 * beta), abs=1e-8)


def test_solvers_agree_on_a_small_tanh_net() -> None:
    task = gaussian(inputs=3, outputs=2, hidden=(4,), samples=40)
    start = task.initial(1)
    found = [minimise(task.landscape(), beta=0.05, start=start, solver=solver, tolerance=1e-7) for solver in SOLVERS]
    assert [minimum.solver for minimum in found] == list(SOLVERS)
    assert all(minimum.converged for minimum in found)
    for minimum in found[1:]:
        assert minimum.loss == pytest.approx(found[0].loss, abs=1e-7)
        torch.testing.assert_close(minimum.theta, found[0].theta, rtol=1e-3, atol=1e-3)


@every_solver
def test_a_minimum_satisfies_what_it_claims(solver: str, oracle: type[Oracle]) -> None:
    task, beta = gaussian(inputs=3, outputs=2, hidden=(4,), samples=40), 0.02
    landscape, reference = task.landscape(), oracle(task.model, task.loss, [task.data])
    minimum = minimise(landscape, beta=beta, start=task.initial(0), solver=solver)
    theta = minimum.theta
    gradient = reference.gradient(theta) + 2 * beta * theta
    spectrum = torch.linalg.eigvalsh(reference.hessian(theta)) + 2 * beta
    assert minimum.error == pytest.approx(float(reference.energy(theta)), rel=1e-10)
    assert minimum.loss == pytest.approx(minimum.error + beta * float(theta @ theta), rel=1e-12)
    assert minimum.residual == pytest.approx(float(gradient.norm()), abs=1e-13)
    assert minimum.residual <= SOLVERS[solver].tolerance * 2 * beta * float(theta.norm())
    assert minimum.margin >= float(spectrum[0]) - 1e-10
    assert float((spectrum - minimum.margin).abs().min()) <= minimum.margin_error + 1e-10


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@every_solver
def test_scaling_error_and_beta_alike_moves_nothing(solver: str, factor: float) -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    scaled = Landscape(task.model, lambda model, batch: factor * task.loss(model, batch), task.data)
    plain = minimise(task.landscape(), beta=0.05, start=task.initial(0), solver=solver)
    other = minimise(scaled, beta=0.05 * factor, start=task.initial(0), solver=solver)
    assert other.stop == plain.stop
    assert other.loss / factor == pytest.approx(plain.loss, rel=1e-7)
    torch.testing.assert_close(other.theta, plain.theta, rtol=1e-3, atol=1e-3)


def test_the_same_start_gives_the_same_minimum_to_the_last_bit() -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    first, second = (minimise(task.landscape(), beta=0.05, start=task.initial(0)) for _ in range(2))
    assert torch.equal(first.theta, second.theta)
    assert replace(first, theta=None) == replace(second, theta=None)


def test_the_start_is_left_as_it_was() -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    start = task.initial(0)
    for solver in SOLVERS:
        minimise(task.landscape(), beta=0.05, start=start, solver=solver)
    assert torch.equal(start, task.initial(0))


# -- saddles -----------------------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("beta", [0.05, 0.3, 0.49])
def test_the_origin_of_the_chain_of_two_is_left_below_its_critical_beta(solver: str, beta: float) -> None:
    landscape = toy(chain, 1.0, 1.0)
    minimum = minimise(landscape, beta=beta, start=vector(0, 0), solver=solver)
    assert minimum.converged
    assert minimum.margin > 0
    assert minimum.loss == pytest.approx(2 * beta - 2 * beta**2, rel=1e-7)  # below L(0) = 1/2
    assert abs(float(minimum.theta[0] * minimum.theta[1])) == pytest.approx(1 - 2 * beta, rel=1e-3)


@every_solver
def test_the_origin_of_the_chain_of_two_is_kept_above_its_critical_beta(solver: str) -> None:
    landscape = toy(chain, 1.0, 1.0)
    minimum = minimise(landscape, beta=0.6, start=vector(0, 0), solver=solver)
    assert minimum.converged
    assert not minimum.theta.any()
    assert minimum.margin == pytest.approx(0.2, rel=1e-2)


SADDLES = {"origin": [], "weak mode alive": [1], "middle and weak mode alive": [1, 2]}


@every_solver
@pytest.mark.parametrize("saddle", SADDLES)
def test_a_two_layer_linear_net_leaves_its_saddles_for_the_lowest_minimum(solver: str, saddle: str) -> None:
    task, beta = linear_net(2, (0.9, 0.6, 0.3), 6), 0.1
    landscape = task.landscape()
    start = balanced(task, 2, 6, beta, SADDLES[saddle])
    assert landscape.gradient(start).add(2 * beta * start).norm() < 1e-14
    minimum = minimise(landscape, beta=beta, start=start, solver=solver, tolerance=1e-9)
    error, square = closed_form(task, 2, beta, 3)
    spectrum = torch.linalg.eigvalsh(landscape.hessian(minimum.theta)) + 2 * beta
    assert minimum.converged
    assert float(spectrum[0]) > -1e-8 * float(spectrum[-1])  # the definition of a zero mode
    assert minimum.margin > -1e-8 * float(spectrum[-1])
    assert minimum.loss == pytest.approx(error + beta * square, rel=1e-6)


@every_solver
def test_a_dead_deep_linear_net_is_a_minimum_with_margin_two_beta(solver: str) -> None:
    landscape = linear_net(3, (0.9, 0.8), 4).landscape()
    minimum = minimise(landscape, beta=0.2, start=torch.zeros(landscape.size), solver=solver)
    assert not minimum.theta.any()
    assert minimum.margin == pytest.approx(0.4, rel=1e-12)


@every_solver
def test_a_maximum_is_left(solver: str) -> None:
    landscape = toy(lambda w: (w @ w - 4) ** 2, 1.0, 0.0)
    minimum = minimise(landscape, beta=0.1, start=vector(0, 0), solver=solver)
    assert float(minimum.theta @ minimum.theta) == pytest.approx(3.95, rel=1e-5)


def test_a_saddle_is_left_where_a_search_ended_far_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spinodal.minima.solver.newton_cg", partial(newton_cg, iterations=0))
    landscape = toy(lambda w: chain(w[:2]) + 10 * w[2] ** 2, 0.01, 0.01, 0.0)  # Hess L = -0.9, 1.1, 20.1
    minimum = minimise(landscape, beta=0.05, start=landscape.initial, solver="newton_cg")
    assert minimum.stop == "iterations"
    assert minimum.loss < 0.3  # and not the 1/2 of the start
    assert minimum.margin > 0


# -- zero modes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "alive", "zero_modes"), [(0.1, 3, 12), (0.45, 2, 9), (0.75, 1, 5), (1.0, 0, 0)])
def test_zero_modes_of_a_two_layer_linear_net_are_those_of_its_symmetry(beta: float, alive: int, zero_modes: int) -> None:
    task = linear_net(2, (0.9, 0.6, 0.3), 6)
    minimum = minimise(task.landscape(), beta=beta, start=task.initial(0), solver="newton")
    error, square = closed_form(task, 2, beta, alive)
    assert minimum.zero_modes == zero_modes
    assert minimum.loss == pytest.approx(error + beta * square, abs=1e-10)
    assert minimum.margin > 0


def test_a_zero_mode_is_not_the_margin() -> None:
    landscape = toy(lambda w: (w @ w - 4) ** 2, 1.0, 0.5)
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, solver="newton")
    assert minimum.zero_modes == 1
    assert minimum.margin == pytest.approx(8 * 3.95, rel=1e-9)


@pytest.mark.parametrize("solver", ["newton_cg", "lbfgs"])
def test_a_zero_mode_is_not_the_margin_without_a_dense_hessian(solver: str) -> None:
    landscape = toy(lambda w: (w @ w - 4) ** 2, 1.0, 0.5)
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, solver=solver)
    assert minimum.margin == pytest.approx(8 * 3.95, rel=1e-2)


# -- penalties ---------------------------------------------------------------------------------


@every_solver
def test_a_centre_pulls_the_minimum_to_itself(solver: str) -> None:
    landscape, centre, beta = toy(lambda w: ((vector(1, 2) - w) ** 2).sum(), 0.0, 0.0), vector(-1, 5), 0.5
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver=solver, penalty=Penalty(centre=centre))
    torch.testing.assert_close(minimum.theta, (vector(1, 2) + beta * centre) / (1 + beta), rtol=1e-5, atol=1e-5)
    assert minimum.loss == pytest.approx(beta / (1 + beta) * 13, rel=1e-8)
    assert minimum.loss - minimum.error == pytest.approx(beta * float((minimum.theta - centre) @ (minimum.theta - centre)))


@every_solver
def test_a_mask_leaves_parameters_unpenalised(solver: str) -> None:
    landscape, beta = toy(lambda w: ((vector(1, 2) - w) ** 2).sum(), 0.0, 0.0), 0.5
    penalty = Penalty(mask=torch.tensor([True, False]))
    minimum = minimise(landscape, beta=beta, start=landscape.initial, solver=solver, penalty=penalty)
    torch.testing.assert_close(minimum.theta, vector(1 / (1 + beta), 2), rtol=1e-5, atol=1e-5)
    assert minimum.margin == pytest.approx(2.0, rel=1e-2)


def normalised_net() -> Landscape:
    net = nn.Sequential()
    net.add_module("encoder", nn.Linear(3, 4))
    net.add_module("norm", nn.LayerNorm(4, elementwise_affine=False))
    net.add_module("read", nn.Linear(4, 1))
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    return Landscape(net, lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, y))


def all_but_the_encoder(landscape: Landscape) -> Tensor:
    mask = torch.ones(landscape.size, dtype=torch.bool)
    mask[: 3 * 4 + 4] = False
    return mask


@every_solver
def test_a_penalised_scale_invariant_block_is_refused_by_name(solver: str) -> None:
    landscape = normalised_net()
    with pytest.raises(SpinodalError) as refusal:
        minimise(landscape, beta=0.1, start=landscape.initial, solver=solver)
    text = str(refusal.value)
    assert "E does not depend on the scale of encoder" in text
    assert "has no minimiser" in text
    assert "leave encoder out of the penalty with a mask" in text


def test_a_scale_invariant_block_outside_the_penalty_is_accepted() -> None:
    landscape = normalised_net()
    penalty = Penalty(mask=all_but_the_encoder(landscape))
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, penalty=penalty, solver="lbfgs")
    assert minimum.converged
    assert minimum.loss < Regularised(landscape, 0.1, penalty).value(landscape.initial)


def test_a_scale_invariant_block_with_a_centre_is_accepted() -> None:
    landscape = normalised_net()
    penalty = Penalty(centre=landscape.initial)
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, penalty=penalty, solver="newton")
    assert minimum.converged
    assert minimum.margin > 0


def test_a_scale_invariant_block_is_refused_with_a_centre_elsewhere() -> None:
    landscape = normalised_net()
    centre = all_but_the_encoder(landscape).double()
    with pytest.raises(SpinodalError, match="scale of encoder "):
        minimise(landscape, beta=0.1, start=landscape.initial, penalty=Penalty(centre=centre), solver="lbfgs")


def test_a_parameter_without_influence_goes_to_zero_and_is_not_refused() -> None:
    landscape = toy(lambda w: (1 - w[0]) ** 2, 3.0, 2.0)
    minimum = minimise(landscape, beta=1.0, start=landscape.initial)
    torch.testing.assert_close(minimum.theta, vector(0.5, 0.0))


# -- how it ended ------------------------------------------------------------------------------


def test_every_status_is_a_sentence_of_its_own() -> None:
    assert len(set(STATUSES.values())) == len(STATUSES)
    assert all(len(sentence.split()) > 5 for sentence in STATUSES.values())
    assert {stop for stop, sentence in STATUSES.items() if sentence.startswith("converged")} == {*CONVERGED}


def a_minimum(stop: str) -> Minimum:
    landscape = toy(lambda w: ((1 - w) ** 2).sum(), 3.0)
    return replace(minimise(landscape, beta=1.0, start=landscape.initial), stop=stop)


@pytest.mark.parametrize("stop", STATUSES)
def test_a_minimum_prints_its_status_and_both_conventions_of_beta(stop: str) -> None:
    minimum = a_minimum(stop)
    assert minimum.status == STATUSES[stop]
    assert minimum.converged == minimum.status.startswith("converged")
    assert minimum.status in str(minimum)
    assert "beta = 1 (weight_decay = 2)" in str(minimum)
    assert "E = 0.25, L = 0.5" in str(minimum)


def test_a_limit_on_iterations_is_reported_as_such() -> None:
    task = gaussian(inputs=3, outputs=2, hidden=(4,), samples=40)
    loss = Regularised(task.landscape(), 0.01)
    solution = newton(loss, task.initial(0), tolerance=1e-9, radius=1e-3, hessians=1)
    assert solution.stop == "iterations"
    assert "iteration limit" in STATUSES[solution.stop]


@pytest.mark.parametrize(("stiffness", "most"), [(1e4, 50), (1e6, 120)])
def test_a_search_leaps_along_a_narrow_valley_that_bends(stiffness: float, most: int) -> None:
    """`E = k (w^2 - 1)^2 + 1e-5 w_1`: a ring whose floor falls by less than its walls rise within a hair's breadth."""
    landscape = toy(lambda w: stiffness * (w.square().sum() - 1) ** 2 + 1e-5 * w[0], math.cos(0.6), math.sin(0.6))
    with landscape.counting() as spent:
        end = newton(Regularised(landscape, 1e-3), landscape.initial, tolerance=1e-9, radius=0.3)
    torch.testing.assert_close(end.theta, vector(-1, 0), rtol=0.0, atol=1e-6)
    assert end.stop in CONVERGED
    assert spent.hessians <= most  # steps that have to descend end at a limit of 500 Hessians, 1.4 away


@pytest.mark.parametrize("stiffness", [1e5, 1e6, 1e7])
def test_zero_modes_do_not_keep_a_search_from_the_floor_of_a_stiff_orbit(stiffness: float) -> None:
    """Two orthonormal vectors, turned freely: `L = k (...) + 2 beta + beta / (1 + beta)` but for terms of `beta^2 / k`."""

    def frames(w: Tensor) -> Tensor:
        a, b = w[:3], w[3:6]
        well = (a.square().sum() - 1) ** 2 + (b.square().sum() - 1) ** 2 + (a @ b) ** 2
        return stiffness * well + (w[6] - 1) ** 2

    beta, start = 0.1, (0.6, 0.7, 0.3, 0.5, -0.7, 0.2, 0.1)
    landscape = toy(frames, *start)
    with landscape.counting() as spent:
        end = newton(Regularised(landscape, beta), landscape.initial, tolerance=1e-9, radius=0.3)
    assert end.stop in CONVERGED
    assert end.value == pytest.approx(2 * beta - beta**2 / (2 * stiffness) + beta / (1 + beta), rel=1e-12)
    assert spent.hessians <= 6


def test_a_hessian_that_is_not_finite_settles_nothing() -> None:
    landscape = toy(chain, 1.0, 1.0)
    search = _Search(Regularised(landscape, 0.1), landscape.initial, 0.1)
    before = search.theta.clone()
    assert not search.settle(torch.full((2, 2), math.nan, dtype=torch.float64), 1e-9)
    assert torch.equal(search.theta, before)


@pytest.mark.parametrize("solver", ["newton", "newton_cg", "lbfgs"])
def test_a_kink_is_not_called_converged(solver: str, limit_gradients: Limit) -> None:
    landscape = toy(lambda w: (w - 1).abs().sum(), 3.0, -1.0)
    limit_gradients(landscape, ENOUGH)
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, solver=solver)
    assert minimum.stop in ("kink", "iterations")
    assert not minimum.converged
    torch.testing.assert_close(minimum.theta, vector(1, 1), rtol=0, atol=1e-2)


def relu_landscape() -> Landscape:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    return Landscape(net, lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, y))


@every_solver
def test_a_relu_net_ends_with_an_honest_status(solver: str, limit_gradients: Limit) -> None:
    landscape = relu_landscape()
    limit_gradients(landscape, 25 * ENOUGH)  # on a kink rounding decides the way: 1,500 to 9,000 were seen; only once
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, solver=solver)
    stationary = minimum.residual <= 1e-4 * 2 * minimum.beta * float(minimum.theta.norm())
    assert minimum.converged == (stationary and minimum.margin >= -minimum.margin_error)
    assert stationary or minimum.stop in ("kink", "iterations")  # a saddle is a stationary point


@every_solver
def test_an_error_that_falls_without_bound_is_named(solver: str, limit_gradients: Limit) -> None:
    landscape = toy(lambda w: -(w**4).sum(), 3.0, -1.0)
    limit_gradients(landscape, ENOUGH)
    minimum = minimise(landscape, beta=0.1, start=landscape.initial, solver=solver)
    assert minimum.stop == "unbounded"
    assert not minimum.converged


@pytest.mark.parametrize("beta", [1.0, 0.1, 0.01])
def test_float32_converges_to_its_own_tolerance(beta: float, limit_gradients: Limit) -> None:
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    squared = lambda model, batch: (model(batch[0]) - batch[1]).square().mean()  # noqa: E731 - used twice, here only
    single, double = Landscape(net, squared, (x, y), dtype=torch.float32), Landscape(net, squared, (x, y))
    limit_gradients(single, 5 * ENOUGH)
    coarse = minimise(single, beta=beta, start=single.initial)
    fine = minimise(double, beta=beta, start=double.initial)
    assert coarse.theta.dtype == torch.float32
    assert coarse.converged
    assert coarse.loss == pytest.approx(fine.loss, rel=1e-4)


@every_solver
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_tolerance_beyond_rounding_ends_at_rounding(solver: str, scale: float, limit_gradients: Limit) -> None:
    target = scale * torch.randn(20, 1, dtype=torch.float64)
    x = torch.randn(20, 3, dtype=torch.float64)
    landscape = Landscape(nn.Linear(3, 1), lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, target))
    limit_gradients(landscape, ENOUGH)
    minimum = minimise(landscape, beta=1e-8, start=landscape.initial, solver=solver, tolerance=1e-12)
    assert minimum.converged
    assert minimum.residual < 1e-11 * scale


# -- counts ------------------------------------------------------------------------------------


@every_solver
def test_the_counts_of_a_minimum_are_what_the_landscape_spent(solver: str) -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    landscape = task.landscape()
    assert landscape.hessian_method.name == "factorised over samples"
    before = landscape.counts.copy()
    first = minimise(landscape, beta=0.05, start=task.initial(0), solver=solver)
    middle = landscape.counts.copy()
    minimise(landscape, beta=0.05, start=first.theta, solver=solver)
    spent = middle - before
    assert first.stats.gradient_evaluations > 0
    assert 0 <= spent.gradient_evaluations - first.stats.gradient_evaluations <= 3  # the check for scale invariance
    assert (first.stats.hessians > 0) == (solver == "newton")
    assert (first.stats.hessian_products > 0) == (solver != "newton")
    assert first.stats.hessians == spent.hessians
    assert first.stats.hessian_products == spent.hessian_products
    assert first.stats.parameters == landscape.size
    assert landscape.counts.gradient_equivalents > middle.gradient_equivalents > before.gradient_equivalents


def test_a_start_at_the_minimum_costs_less() -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    for solver in SOLVERS:
        landscape = task.landscape()
        first = minimise(landscape, beta=0.05, start=task.initial(0), solver=solver)
        again = minimise(landscape, beta=0.05, start=first.theta, solver=solver)
        assert again.stats.gradient_evaluations < first.stats.gradient_evaluations
        assert again.loss <= first.loss + 1e-14


# -- the choice of a solver --------------------------------------------------------------------


def test_small_smooth_problems_in_float64_use_newton_and_others_lbfgs() -> None:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    assert solver_for(task.landscape()) == "newton"
    assert solver_for(task.landscape(dtype=torch.float32)) == "lbfgs"
    assert solver_for(gaussian(hidden=(600,), samples=30).landscape()) == "lbfgs"  # 3,602 parameters
    assert solver_for(toy(lambda w: (w**4).sum(), *[1.0] * 400)) == "newton"
    assert solver_for(toy(lambda w: (w**4).sum(), *[1.0] * 600)) == "lbfgs"  # one sample: a factorisation is dear beside it


def test_beyond_small_the_choice_is_made_by_what_a_hessian_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = gaussian(hidden=(100,), samples=1000).landscape()
    assert linear.size > 500
    assert solver_for(linear) == "newton"
    linear._hessian_method = Vectorised()  # n products, of 2.5 gradients each
    assert solver_for(linear) == "newton"
    monkeypatch.setattr("spinodal.minima.solver.DEAR", 2.5 * linear.size - 1.0)
    assert solver_for(linear) == "lbfgs"


def test_a_minimum_whose_margin_has_no_sign_says_so() -> None:
    strengths = torch.linspace(1e-7, 5.0, 3000).double().pow(2)
    landscape = toy(lambda w: (strengths * w**2).sum(), *[1.0] * 3000)
    minimum = minimise(landscape, beta=1e-12, start=0.0 * landscape.initial, solver="lbfgs")
    assert minimum.stop == "undecided"
    assert minimum.margin_error >= abs(minimum.margin)
    assert minimum.converged
    assert "margin undecided" in minimum.status


@every_solver
def test_a_named_solver_is_used_whatever_the_size(solver: str) -> None:
    assert solver_for(gaussian(hidden=(600,), samples=30).landscape(), solver) == solver


# -- refusals ----------------------------------------------------------------------------------

BAD = {
    "beta of zero": ({"beta": 0.0}, "beta = 0.0; a finite beta > 0 is allowed; give a positive number"),
    "negative beta": ({"beta": -0.1}, "beta = -0.1; a finite beta > 0 is allowed"),
    "beta is NaN": ({"beta": math.nan}, "beta = nan; a finite beta > 0 is allowed"),
    "infinite beta": ({"beta": math.inf}, "beta = inf; a finite beta > 0 is allowed"),
    "no beta": ({"beta": None}, "beta = None; a finite beta > 0 is allowed"),
    "short start": ({"start": torch.zeros(3)}, "theta is (3,); a tensor of shape (2,) is allowed; flatten with"),
    "start is a list": ({"start": [1.0, 2.0]}, "theta is list"),
    "start is NaN": ({"start": vector(math.nan, 0)}, "theta is not finite"),
    "unknown solver": (
        {"solver": "newtn"},
        "unknown solver 'newtn'; known: auto, lbfgs, newton, newton_cg; did you mean 'newton'",
    ),
    "far from any solver": ({"solver": "adam"}, "known: auto, lbfgs, newton, newton_cg; choose one of these"),
    "tolerance of zero": ({"tolerance": 0.0}, "tolerance = 0.0; a positive number is allowed; try 1e-6"),
    "tolerance is NaN": ({"tolerance": math.nan}, "tolerance = nan; a positive number is allowed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_with_what_to_do(case: str) -> None:
    arguments, text = BAD[case]
    landscape = toy(chain, 1.0, 1.0)
    with pytest.raises(SpinodalError) as refusal:
        minimise(landscape, **{"beta": 0.1, "start": landscape.initial, **arguments})
    assert text in str(refusal.value)


BAD_PENALTIES = {
    "short centre": Penalty(centre=torch.zeros(3)),
    "centre is NaN": Penalty(centre=vector(math.nan, 0)),
    "short mask": Penalty(mask=torch.ones(3, dtype=torch.bool)),
    "mask of numbers": Penalty(mask=vector(0.5, 1.0)),
}


@pytest.mark.parametrize("case", BAD_PENALTIES)
def test_a_penalty_that_does_not_fit_is_refused(case: str) -> None:
    landscape = toy(chain, 1.0, 1.0)
    with pytest.raises(SpinodalError):
        minimise(landscape, beta=0.1, start=landscape.initial, penalty=BAD_PENALTIES[case])


# -- the trust-region step ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spectrum", "radius"),
    [
        ((1.0, 2.0, 5.0), 100.0),
        ((1.0, 2.0, 5.0), 0.1),
        ((-1.0, 2.0, 5.0), 0.5),
        ((-3.0, -1.0, 2.0), 2.0),
        ((0.0, 1.0, 4.0), 1.0),
    ],
)
def test_a_trust_region_step_is_the_lowest_point_of_the_model_in_its_region(spectrum: tuple[float, ...], radius: float) -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    matrix, gradient = rotation * vector(*spectrum) @ rotation.T, torch.randn(3, dtype=torch.float64)
    step, predicted, shift = trust_region_step(matrix, gradient, radius)
    assert predicted == pytest.approx(-float(gradient @ step + 0.5 * step @ matrix @ step))
    assert float(step.norm()) <= 1.1 * radius
    shifted = matrix + shift * torch.eye(3).double()
    torch.testing.assert_close(shifted @ step, -gradient, rtol=1e-8, atol=1e-8)  # optimal for its own length if A + mu > 0
    assert torch.linalg.eigvalsh(shifted)[0] > 0
    directions = torch.randn(500, 3, dtype=torch.float64)
    rivals = directions / directions.norm(dim=1, keepdim=True) * step.norm() * torch.rand(500, 1, dtype=torch.float64)
    models = rivals @ gradient + 0.5 * (rivals @ matrix * rivals).sum(1)
    assert -predicted <= float(models.min()) + 1e-10


def test_a_step_with_room_is_the_plain_newton_step() -> None:
    matrix, gradient = torch.diag(vector(1, 2, 4)), vector(1, 1, 1)
    step, predicted, _ = trust_region_step(matrix, gradient, 10.0)
    torch.testing.assert_close(step, vector(-1, -0.5, -0.25), rtol=1e-10, atol=1e-10)
    assert predicted == pytest.approx(0.5 * (1 + 0.5 + 0.25))


def test_solvers_are_known_by_the_names_that_tasks_and_options_use() -> None:
    assert tuple(SOLVERS) == arguments.SOLVERS
    assert all(name == solver.name for name, solver in SOLVERS.items())


def test_what_follows_from_a_solver_is_asked_of_its_record_and_never_of_its_name() -> None:
    home = Path(sp.__file__).parent
    compared = []
    for file in sorted(home.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare | ast.Match):
                names = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant)} & set(SOLVERS)
                compared += [(str(file.relative_to(home)), node.lineno, name) for name in names]
    assert not compared


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_minimises_in_single_precision_or_says_that_it_does_not(name: str) -> None:
    landscape = gaussian(activation="linear", hidden=(2,), samples=20).landscape(dtype=torch.float32)
    if SOLVERS[name].float32_tolerance is None:
        with pytest.raises(SpinodalError, match=f"solver {name} in float32; {name} certifies"):
            minimise(landscape, beta=0.3, start=landscape.initial, solver=name)
        return
    found = minimise(landscape, beta=0.3, start=landscape.initial, solver=name)
    assert found.converged
    assert found.theta.dtype == torch.float32


def test_a_search_that_falls_by_less_than_rounding_comes_to_rest() -> None:
    """Falls of 4e-14 a step, in threes of 12e-14: none of them is more than L is known to."""
    still, steps = Stillness(patience=8), 0
    value = 1.0
    while not still.after(value, 1.0):
        steps += 1
        value -= 1.2e-13 if steps % 3 == 0 else 0.0
        assert steps < 20
    moving = Stillness(patience=8)
    assert not any(moving.after(1.0 - 3e-13 * step, 1.0) for step in range(100))
    calming = Stillness(patience=8)
    assert not any(calming.after(1.0, 0.9**step) for step in range(100))
