"""Walking at fixed norm: closed forms of chains, toy energies and linear nets; the sphere against autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.branches.fixed_norm.slope import slope
from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.branches.fixed_norm.trace import FixedNorm
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty


class _Vector(nn.Module):
    def __init__(self, *values: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values))


def _energy(function: Callable[[Tensor], Tensor], *start: float, dtype: torch.dtype = torch.float64) -> sp.Landscape:
    return sp.Landscape(_Vector(*start), lambda model, batch: function(model.x), None, dtype=dtype)


def _chain(dtype: torch.dtype = torch.float64) -> sp.Landscape:
    balanced = 0.9216989942  # t (1 - t^3) / 2 = 0.1 on the stable branch
    return _energy(lambda x: (1 - x.prod()) ** 2 / 2, balanced, balanced, balanced, dtype=dtype)


CHAIN_FOLD = 0.25 ** (1 / 3) * 0.75 / 2


def walked(
    landscape: sp.Landscape,
    theta: Tensor,
    beta: float,
    *,
    points: int = 2000,
    on_point: Callable[[Any], None] = lambda point: None,
    **arguments: Any,
) -> sp.Branch:
    """Walk at fixed norm to the end, or as many points as are asked for."""
    walk = FixedNorm(landscape, landscape.vector(theta), beta, **arguments)
    for point in islice(walk, points):
        on_point(point)
    return walk.branch()


def _walk(landscape: sp.Landscape, beta: float, **arguments: Any) -> sp.Branch:
    return walked(landscape, landscape.initial, beta, **arguments)


@pytest.fixture(scope="module")
def chain() -> sp.Branch:
    return _walk(_chain(), 0.1, to=1.0, bounds=(5e-4, 1.0))


def test_the_spinodal_of_the_chain_is_exact(chain: sp.Branch) -> None:
    (fold,) = chain.folds
    assert fold.beta == pytest.approx(CHAIN_FOLD, rel=1e-12)
    assert (fold.side, fold.index, fold.status, fold.is_spinodal) == ("upper", (0, 1), "converged", True)
    assert abs(fold.eigenvalue) < 1e-8
    assert fold.overlap == pytest.approx(1.0)
    assert fold.bracket[0] <= fold.beta <= fold.bracket[1]


def test_the_saddle_of_the_chain_is_exact_down_to_small_beta(chain: sp.Branch) -> None:
    for point in chain.points:
        t = math.sqrt(point.norm_squared / 3)
        assert point.beta == pytest.approx(t * (1 - t**3) / 2, rel=1e-8)
        assert point.theta.tolist() == pytest.approx([t, t, t], rel=1e-6)
    assert chain.points[-1].beta == pytest.approx(5e-4, rel=1e-11)
    assert chain.stop == "range"
    assert chain.is_complete


def test_the_index_of_the_chain_is_that_of_its_spectrum(chain: sp.Branch) -> None:
    fold = next(k for k, point in enumerate(chain.points) if point is chain.folds[0].point)
    assert all(point.index == 0 and point.index_is_exact for point in chain.points[:fold])
    assert all(point.index == 1 and point.margin < 0 for point in chain.points[fold + 1 :])


def test_slopes_along_the_chain_are_exact(chain: sp.Branch) -> None:
    for point in chain.points[::5]:
        t = math.sqrt(point.norm_squared / 3)
        assert point.beta_rate / point.norm_rate == pytest.approx((1 - 4 * t**3) / (12 * t), rel=1e-7, abs=1e-9)


def test_the_area_certificate_of_the_chain_holds(chain: sp.Branch) -> None:
    assert chain.area.worst < 1e-8


def test_both_methods_agree_on_the_fold_and_the_saddle() -> None:
    landscape = _chain()
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    other = sp.continue_branch(landscape, start, to=0.3, method="arclength", at=[0.2])
    walked = [_walk(landscape, 0.1, to=to, bounds=(0.05, 0.5)) for to in (0.2, 0.4)]
    assert walked[1].folds[0].beta == pytest.approx(other.folds[0].beta, rel=1e-10)
    exact = next(point for point in other.points if abs(point.beta - 0.2) < 1e-12)
    assert walked[0].points[-1].loss == pytest.approx(exact.loss, rel=1e-10)


# -- one parameter: the sphere is two points -----------------------------------------------------


TOYS = {
    "cubic": (lambda x: (x - 2 * x**2 + x**3 / 3).sum(), 2.5, 1.0, 1.0),  # beta = 2 - 1/(2x) - x/2
    "quartic": (lambda x: ((x**2 - 1) ** 2 - 0.3 * x).sum(), -0.8, 2 - 6 * 0.0375 ** (2 / 3), -(0.0375 ** (1 / 3))),
    "sextic": (lambda x: (x**6 / 6 - x**4 + x**2).sum(), 1.8, 1.0, math.sqrt(2.0)),  # beta = -(x^4 - 4x^2 + 2) / 2
}


@pytest.mark.parametrize("name", TOYS)
def test_folds_of_one_parameter_are_exact(name: str) -> None:
    function, start, beta, x = TOYS[name]
    landscape = _energy(function, start)
    branch = _walk(landscape, 0.3, to=9.0, bounds=(0.02, 9.0))
    (fold,) = branch.folds
    assert fold.beta == pytest.approx(beta, rel=1e-11)
    assert float(fold.theta) == pytest.approx(x, rel=1e-8)
    assert branch.stop == "range"
    assert (branch.points[-1].index, branch.points[-1].beta) == (1, pytest.approx(0.02))
    assert all(abs(float(landscape.gradient(p.theta) + 2 * p.beta * p.theta)) < 1e-9 for p in branch.points)


def test_without_a_fold_the_walk_reaches_its_goal() -> None:
    branch = _walk(_energy(lambda x: ((x**2 - 1) ** 2 - 0.3 * x).sum(), 1.0), 0.2, to=5.0, bounds=(0.01, 5.0))
    assert (branch.stop, branch.folds) == ("reached", ())
    assert branch.points[-1].beta == pytest.approx(5.0, rel=1e-11)


@pytest.mark.parametrize("off", [-1e-4, 1e-4])
def test_a_start_at_a_bound_that_is_minimised_loosely_begins_the_walk_all_the_same(off: float) -> None:
    """beta = 2 (1 - x^2) on the branch, which is that of the start to its residual, on either side of the bound."""
    landscape = _energy(lambda x: ((1 - x**2) ** 2).sum(), 1.0)
    start = torch.tensor([math.sqrt(0.25 + off)], dtype=torch.float64)
    for to in (0.5, 1.9):
        branch = walked(landscape, start, 1.5, to=to, bounds=(min(to, 1.5), max(to, 1.5)))
        assert (branch.stop, branch.points[-1].beta) == ("reached", pytest.approx(to, rel=1e-9))


# -- networks --------------------------------------------------------------------------------------


def test_the_fold_of_a_linear_net_is_exact_in_spite_of_zero_modes() -> None:
    task = sp.tasks.gaussian(activation="linear", bias=False, singular_values=(0.9, 0.5), samples=20)
    start = task.initial(0)
    branch = walked(
        task.landscape(), start * (1.5**0.5 / float(start.norm())), 0.4, to=1.0, bounds=(0.02, 1.0), tolerance=1e-9
    )  # minimised on its sphere first: one mode alive
    exact = max(transition.beta for transition in task.exact)
    assert branch.folds[0].beta == pytest.approx(exact, rel=1e-9)
    assert (branch.folds[0].index, branch.stop) == ((0, 1), "range")
    assert branch.points[-1].index_text == "1"
    w = math.sqrt(branch.points[-1].norm_squared / 3)
    assert w * (0.9 - w**3) == pytest.approx(0.02, rel=1e-8)


def _two_modes() -> sp.Landscape:
    """Two modes of a deep linear net: N = 3, singular values .9 and .5, both alive at beta = .15."""
    return _energy(lambda x: ((torch.tensor([0.9, 0.5]).to(x) - x**3) ** 2).sum() / 3, 0.9083, 0.6503)


def test_where_the_constrained_minimum_jumps_the_branch_ends_with_a_bracket_and_keeps_its_points() -> None:
    landscape = _two_modes()
    start = sp.minimise(landscape, beta=0.15, start=landscape.initial).theta
    walk = FixedNorm(landscape, start, 0.15, to=0.4, bounds=(1e-3, 0.4))
    points = list(walk)
    branch = walk.branch()
    assert (branch.stop, branch.is_complete) == ("jump", False)
    assert branch.folds[0].beta == pytest.approx(0.25 ** (1 / 3) * 0.5 ** (4 / 3) * 0.75, rel=1e-9)
    assert walk.jump is not None
    assert walk.jump[1] < walk.jump[0] == points[-1].norm_squared
    # the branch turns back in rho = x^2 + y^2 where d rho / d beta = 0
    rates = [sum(1 / (s / w**2 - 4 * w) * 2 for s, w in zip((0.9, 0.5), map(float, p.theta), strict=True)) for p in points]
    assert abs(rates[-1]) < 0.02 * abs(rates[0]) or walk.jump[0] - walk.jump[1] < 1e-5


def test_single_precision_finds_the_fold_and_says_at_least() -> None:
    branch = _walk(_chain(torch.float32), 0.1, to=1.0, bounds=(0.01, 1.0))
    (fold,) = branch.folds
    assert fold.beta == pytest.approx(CHAIN_FOLD, rel=1e-3)
    assert (fold.status, fold.index) == ("bracketed", (0, 1))
    assert fold.bracket[0] <= CHAIN_FOLD <= fold.bracket[1]
    assert (branch.stop, branch.points[-1].index_text) == ("range", ">= 1")


# -- the walk --------------------------------------------------------------------------------------


def test_a_walk_that_was_stopped_goes_on_as_if_it_had_not_been() -> None:
    whole = _walk(_chain(), 0.1, to=1.0, bounds=(0.05, 1.0))
    walk = FixedNorm(_chain(), _chain().initial, 0.1, to=1.0, bounds=(0.05, 1.0))
    first = list(islice(walk, 7))
    assert (walk.branch().stop, len(walk.branch().points)) == ("points", 7)
    rest = list(walk)
    assert [point.beta for point in (*first, *rest)] == [point.beta for point in whole.points]
    assert walk.branch().folds[0].beta == whole.folds[0].beta


def test_every_point_is_told_and_no_more_than_asked_for_are_computed() -> None:
    told: list[sp.StationaryPoint] = []
    branch = _walk(_chain(), 0.1, to=1.0, bounds=(0.05, 1.0), points=5, on_point=told.append)
    assert tuple(told) == branch.points
    assert (len(told), branch.stop) == (5, "points")


def test_the_norm_is_monotone_and_the_tangent_points_the_way_walked(chain: sp.Branch) -> None:
    for a, b in pairwise(chain.points):
        assert b.norm_squared < a.norm_squared
        assert float((b.theta - a.theta) @ a.tangent) > 0
        assert a.norm_rate < 0
        assert float(a.tangent.norm()) == pytest.approx(1.0)


def test_a_smaller_goal_raises_the_norm() -> None:
    branch = _walk(_chain(), 0.1, to=0.02, bounds=(0.02, 1.0))
    assert branch.stop == "reached"
    assert branch.points[-1].norm_squared > branch.points[0].norm_squared


def test_a_walk_can_end_at_the_fold() -> None:
    branch = _walk(_chain(), 0.1, to=1.0, bounds=(0.05, 1.0), through_folds=False)
    assert (branch.stop, branch.points[-1] is branch.folds[0].point) == ("fold", True)


def test_a_start_that_is_not_stationary_is_minimised_on_its_sphere() -> None:
    landscape = _energy(lambda x: (1 - x.prod()) ** 2 / 2, 0.2, 0.9, 0.6)
    branch = _walk(landscape, 0.2, to=1.0, bounds=(0.05, 1.0), points=1)
    assert branch.points[0].theta.tolist() == pytest.approx([math.sqrt(1.21 / 3)] * 3, rel=1e-8)


def test_free_parameters_stay_free_and_the_centre_may_lie_anywhere() -> None:
    function = TOYS["sextic"][0]
    landscape = _energy(lambda x: function(x[:1] - 0.7) + (x[1] - x[0] ** 2) ** 2, 2.5, 6.0)
    penalty = Penalty(centre=torch.tensor([0.7, 5.0], dtype=torch.float64), mask=torch.tensor([True, False]))
    branch = _walk(landscape, 0.3, to=9.0, bounds=(0.1, 9.0), penalty=penalty)
    x = 0.7 + math.sqrt(2.0)
    assert branch.folds[0].beta == pytest.approx(1.0, rel=1e-10)
    assert branch.folds[0].theta.tolist() == pytest.approx([x, x**2], rel=1e-7)


def test_a_start_at_the_centre_is_refused_with_another_way() -> None:
    with pytest.raises(sp.SpinodalError, match=r"at the centre.*arclength"):
        _walk(_energy(lambda x: (x**2).sum(), 0.0), 0.1, to=1.0, bounds=(0.1, 1.0))


def test_a_norm_with_no_stationary_point_at_positive_beta_is_refused_with_the_residual() -> None:
    with pytest.raises(sp.SpinodalError, match=r"residual .*minimise"):
        _walk(_energy(lambda x: (x**2).sum(), 1.0), 0.1, to=1.0, bounds=(0.1, 1.0))


# -- the sphere ------------------------------------------------------------------------------------


def _masked() -> tuple[sp.Landscape, Penalty]:
    landscape = _energy(lambda x: torch.sin(3 * x) @ torch.tanh(x.flip(0)) + (x**4).sum(), 0.3, -0.5, 0.8, 0.2)
    return landscape, Penalty(centre=torch.tensor([0.1, 0.2, -0.3, 0.4]), mask=torch.tensor([1, 1, 0, 1]))


def test_gradient_and_hessian_on_the_sphere_are_those_of_autograd() -> None:
    landscape, penalty = _masked()
    sphere = Sphere(landscape, penalty, 1.7, 0.3)
    mask, centre = penalty.mask.double(), penalty.centre.double()

    def by_hand(p: Tensor) -> Tensor:
        ray = mask * p
        theta = mask * (centre + math.sqrt(1.7) * ray / ray.norm()) + (1 - mask) * p
        return landscape.call(theta, None)

    p = torch.tensor([0.4, -1.1, 0.3, 0.9], dtype=torch.float64)
    value, gradient = sphere.value_and_gradient(p)
    assert value == pytest.approx(float(by_hand(p)), rel=1e-12)
    assert torch.allclose(gradient, torch.autograd.functional.jacobian(by_hand, p), atol=1e-12)
    product = sphere.hessian_operator(p)
    columns = torch.stack([product(unit) for unit in torch.eye(4, dtype=torch.float64)])
    assert torch.allclose(columns, torch.autograd.functional.hessian(by_hand, p), atol=1e-11)


def test_theta_lies_on_the_sphere_and_coordinates_lead_back() -> None:
    landscape, penalty = _masked()
    sphere = Sphere(landscape, penalty, 1.7, 0.3)
    theta = sphere.theta(sphere.coordinates(landscape.initial))
    assert penalty.norm_squared(theta) == pytest.approx(1.7)
    assert float(theta[2]) == float(landscape.initial[2])
    assert torch.allclose(sphere.theta(sphere.coordinates(theta)), theta)


def test_the_slope_is_that_of_the_dense_system() -> None:
    landscape, penalty = _masked()
    sphere = Sphere(landscape, penalty, 1.7, 0.3)
    p = sphere.minimise(landscape.initial, tolerance=1e-11, second_order=True).theta
    theta, beta = sphere.theta(p), sphere.beta_at(p)
    loss, offset = Regularised(landscape, beta, penalty), penalty.offset(theta)
    found = slope(loss.hessian_operator(theta), offset, guess=None, scale=1.0, tolerance=1e-12, most=50)
    border = torch.zeros(5, 5, dtype=torch.float64)
    border[:4, :4], border[:4, 4], border[4, :4] = loss.shifted(landscape.hessian(theta)), 2 * offset, 2 * offset
    exact = torch.linalg.solve(border, torch.tensor([0, 0, 0, 0, 1.0], dtype=torch.float64))
    assert torch.allclose(found.theta_rate, exact[:4], atol=1e-8)
    assert found.beta_rate == pytest.approx(float(exact[4]), rel=1e-9)
