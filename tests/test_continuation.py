"""Branches against closed forms: folds, branch points, saddles, coexistence, and what a walk says where it cannot go on."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial
from scipy.optimize import brentq

import spinodal as sp
from spinodal.branches.arclength.bordered import Bordered, spectrum_of
from spinodal.branches.minor import minor_pairs
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.tasks import gaussian


class Chain(torch.nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(depth))


class Numbers(torch.nn.Module):
    def __init__(self, *values):
        super().__init__()
        self.x = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def chain(depth):
    return sp.Landscape(Chain(depth), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)


def toy(energy, *start):
    return sp.Landscape(Numbers(*start), lambda model, batch: energy(*model.x), None)


def polynomial(coefficients, start):
    def energy(x):
        total = 0.0 * x
        for coefficient in reversed(coefficients):
            total = total * x + coefficient
        return total

    return toy(energy, start)


def follow(landscape, beta, to, **options):
    return sp.continue_branch(landscape, sp.minimise(landscape, beta=beta, start=landscape.initial), to=to, **options)


class ExactChain:
    """The balanced branch of `(1 - w^D)^2 / 2 + D beta w^2`."""

    def __init__(self, depth):
        self.depth = depth
        u = (depth - 2) / (2 * depth - 2)
        self.at_fold = u ** (1 / depth)
        self.spinodal = self.beta(self.at_fold)
        live = brentq(lambda w: self.loss(w, self.beta(w)) - 0.5, self.at_fold, 1, xtol=1e-15)
        self.coexistence = self.beta(live)
        self.saddle = brentq(lambda w: self.beta(w) - self.coexistence, 1e-12, self.at_fold, xtol=1e-16)
        self.barrier = self.loss(self.saddle, self.coexistence) - 0.5

    def beta(self, w):
        return (1 - w**self.depth) * w ** (self.depth - 2) / 2

    def loss(self, w, beta):
        return 0.5 * (1 - w**self.depth) ** 2 + self.depth * beta * w**2


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_fold_coexistence_saddle_and_barrier_of_the_scalar_chain_are_exact(depth):
    exact, landscape = ExactChain(depth), chain(depth)
    live = follow(landscape, 0.05, 0.4)
    dead = sp.minimise(landscape, beta=0.05, start=torch.zeros(depth))
    found = sp.coexistence(landscape, live, dead)
    assert [fold.beta for fold in live.folds] == pytest.approx([exact.spinodal], rel=1e-12)
    assert found.beta == pytest.approx(exact.coexistence, rel=1e-11)
    assert found.by_area == pytest.approx(exact.coexistence, rel=1e-8)
    assert found.saddle.theta.tolist() == pytest.approx([exact.saddle] * depth, rel=1e-8)
    assert found.barrier == pytest.approx((exact.barrier, exact.barrier), rel=1e-8)
    assert found.latent_heat == pytest.approx(depth * float(found.phases[0].theta[0]) ** 2, rel=1e-12)
    assert live.points[-1].beta < 1e-3
    assert live.index[-1] == 1
    assert live.area.worst < 1e-8


@pytest.mark.parametrize("depth", [3, 4])
def test_every_point_of_the_chain_lies_on_the_balanced_branch(depth):
    exact = ExactChain(depth)
    for point in follow(chain(depth), 0.05, 0.4).points:
        w = float(point.theta.mean())
        assert point.theta.tolist() == pytest.approx([w] * depth, abs=1e-10)
        assert exact.beta(abs(w)) == pytest.approx(point.beta, rel=1e-8)


@pytest.mark.parametrize("matrices", [3, 4, 5])
def test_fold_and_coexistence_of_deep_linear_nets_are_exact_whatever_their_zero_modes(matrices):
    values = (0.9, 0.4)
    task = gaussian(
        activation="linear", inputs=2, hidden=(2,) * (matrices - 1), singular_values=values, samples=40, noise=0.0, bias=False
    )
    landscape = task.landscape()
    exact = sp.theory.deep_linear(values, matrices=matrices)[0]
    start, bounds = 1.6 * task.initial(seed=0), (0.02 * exact.beta, 1.2 * exact.beta)
    live = sp.continue_branch(landscape, start, beta=0.05 * exact.beta, to=bounds[1], bounds=bounds)
    fold = live.spinodals[0]
    assert fold.beta == pytest.approx(exact.beta, rel=1e-10)
    assert fold.overlap > 0.1
    assert all(point.zero_modes > 0 for point in live.points)
    found = sp.coexistence(landscape, live, fold.fall)
    assert found.beta == pytest.approx(exact.coexistence, rel=1e-9)
    assert found.saddle.index == 1


def test_a_two_layer_linear_net_loses_its_modes_at_pitchforks_met_from_the_side():
    task = gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50, noise=0.0)
    branch = sp.continue_branch(task.landscape(), task.initial(seed=0), beta=0.05, to=1.5)
    assert [point.beta for point in branch.branch_points] == pytest.approx([0.4, 0.9], rel=1e-9)
    assert all(point.kind == "pitchfork" and point.side_branch and point.overlap < 1e-6 for point in branch.branch_points)
    assert branch.folds == ()
    assert set(branch.index) == {0}
    assert branch.stop == "reached"


def test_the_sextic_has_fold_saddle_pitchfork_and_coexistence_on_one_branch():
    branch = follow(toy(lambda x: -0.3 * x**2 - x**4 + x**6, 0.8), 0.1, 1.0)
    assert branch.folds[0].beta == pytest.approx(0.3 + 1 / 3, rel=1e-12)
    assert branch.branch_points[0].beta == pytest.approx(0.3, rel=1e-12)
    assert branch.branch_points[0].index == (1, 0)
    assert branch.coexistence[0].beta == pytest.approx(0.3 + 1 / 4, rel=1e-12)
    assert branch.coexistence[0].by_area == pytest.approx(0.55, rel=1e-8)
    assert branch.coexistence[0].barrier == pytest.approx((1 / 54, 1 / 54), rel=1e-9)
    assert branch.stop == "reached"


def test_a_quartic_s_curve_has_both_folds_and_its_coexistence_point():
    coefficients = [0.0, -6.0, 6.5, -2.5, 0.3]
    slope = Polynomial(coefficients).deriv()
    branch = follow(polynomial(coefficients, 3.4), 0.01, 30.0)
    folds = (Polynomial([0, 1]) * slope.deriv() - slope).roots()
    exact = sorted(float(-slope(x) / (2 * x)) for x in folds[abs(folds.imag) < 1e-9].real if 0.05 < x < 3.4)
    inside = [beta for beta in exact if 0.01 / 1000 < beta < 30]
    assert sorted(fold.beta for fold in branch.folds) == pytest.approx(inside, abs=1e-11)


def exact_folds(coefficients, low, high, between):
    """Return beta of every fold of `x p'' = p'` on the stretch of the branch `beta = -p'(x) / (2 x)`."""
    slope = Polynomial(coefficients).deriv()
    roots = (Polynomial([0, 1]) * slope.deriv() - slope).roots()
    places = [x for x in roots[abs(roots.imag) < 1e-7].real if between[0] < x < between[1] and abs(x) > 1e-9]
    return sorted(beta for beta in (-slope(x) / (2 * x) for x in places) if low < beta < high)


@pytest.mark.parametrize("seed", range(6))
def test_random_polynomial_energies_give_exactly_their_folds(seed):
    generator = np.random.default_rng(seed)
    degree = int(generator.choice([4, 6]))
    coefficients = list(3.0 * generator.normal(size=degree + 1))
    coefficients[-1] = abs(coefficients[-1]) + 0.2
    slope, beta = Polynomial(coefficients).deriv(), float(10 ** generator.uniform(-2, 0))
    roots = (slope + Polynomial([0, 2 * beta])).roots()
    minima = [x for x in roots[abs(roots.imag) < 1e-9].real if slope.deriv()(x) + 2 * beta > 1e-3 and abs(x) > 1e-3]
    if not minima:
        minima = [0.0]
    landscape = polynomial(coefficients, float(generator.choice(minima)))
    bounds = beta / 100, beta * 50
    branch = follow(landscape, beta, bounds[1], bounds=bounds, area=1e-6)
    places = [float(point.theta) for point in branch.points]
    expected = exact_folds(coefficients, *bounds, (min(places), max(places)))
    assert sorted(fold.beta for fold in branch.folds) == pytest.approx(expected, rel=1e-10)
    assert branch.is_complete
    assert branch.area.worst < 1e-5 * max(1.0, abs(branch.points[0].loss))


def test_a_transcritical_crossing_is_told_from_a_fold():
    branch = follow(toy(lambda x: x**3 - 3 * x**2 + 0.5, 2.0), 0.01, 10.0)
    assert branch.folds == ()
    assert [point.beta for point in branch.branch_points] == pytest.approx([3.0], rel=1e-12)
    assert branch.branch_points[0].kind == "crossing"
    assert (branch.index[0], branch.index[-1]) == (0, 1)


def test_a_pitchfork_on_the_trunk_is_recorded_and_passed():
    landscape = toy(lambda x, y: -(x**2) / 2 + x**4 / 4 + (y - 1) ** 2, 0.0, 1.0)
    trunk = sp.continue_branch(landscape, torch.tensor([0.0, 0.5]), beta=1.0, to=0.1)
    assert [point.beta for point in trunk.branch_points] == pytest.approx([0.5], rel=1e-12)
    assert trunk.branch_points[0].index == (0, 1)
    assert trunk.branch_points[0].kind == "pitchfork"
    assert not trunk.branch_points[0].side_branch


def test_the_centre_of_the_penalty_is_respected():
    shifted = sp.Penalty(centre=torch.tensor([5.0], dtype=torch.float64))
    landscape = toy(lambda x: -((x - 5) ** 4) + (x - 5) ** 6, 5.8)
    minimum = sp.minimise(landscape, beta=0.1, start=landscape.initial, penalty=shifted)
    branch = sp.continue_branch(landscape, minimum, to=0.5, penalty=shifted)
    assert branch.folds[0].beta == pytest.approx(1 / 3, rel=1e-12)


def test_unpenalised_parameters_are_free():
    masked = sp.Penalty(mask=torch.tensor([True, False]))
    landscape = toy(lambda x, y: -(x**4) + x**6 + (y - x) ** 2, 0.8, 0.8)
    minimum = sp.minimise(landscape, beta=0.1, start=landscape.initial, penalty=masked)
    branch = sp.continue_branch(landscape, minimum, to=0.5, penalty=masked)
    assert branch.folds[0].beta == pytest.approx(1 / 3, rel=1e-12)
    assert branch.folds[0].theta.tolist() == pytest.approx([3**-0.5] * 2, rel=1e-9)


def test_points_are_solved_exactly_where_asked_on_both_sides_of_the_fold():
    branch = follow(chain(3), 0.1, 0.4, at=(0.15, 0.2))
    assert [point.beta for point in branch.points if point.beta in (0.15, 0.2)] == [0.15, 0.2, 0.2, 0.15]
    assert all(point.residual < 1e-11 for point in branch.points)


def test_a_branch_that_was_stopped_goes_on_where_it_was():
    landscape = chain(3)
    first = follow(landscape, 0.1, 0.4, points=10)
    assert first.stop == "points"
    whole = sp.continue_branch(landscape, first, to=0.4, bounds=(1e-4, 0.4))
    assert whole.points[:10] == first.points
    assert [fold.beta for fold in whole.folds] == pytest.approx([ExactChain(3).spinodal], rel=1e-12)
    assert whole.area.worst < 1e-8
    beyond = sp.continue_branch(landscape, whole, to=0.4, bounds=(1e-5, 0.4))
    assert beyond.points[-1].beta == pytest.approx(1e-5)
    assert beyond.index[-1] == 1


def test_a_branch_may_end_at_its_first_fold():
    branch = follow(chain(3), 0.1, 0.4, through_folds=False)
    assert branch.stop == "fold"
    assert branch.points[-1] is branch.folds[0].point
    assert branch.index[-1] == 0


def test_a_closed_branch_ends_where_it_began():
    def energy(x, y):  # its angular derivative, (r - 2)^2 + phi^2 - 1/4, vanishes on a closed curve
        r, phi = (x**2 + y**2).sqrt(), torch.atan2(y, x)
        return phi * ((r - 2) ** 2 - 0.25) + phi**3 / 3 - 0.3 * r**2

    branch = follow(toy(energy, 2 * math.cos(0.5), 2 * math.sin(0.5)), 0.3, 0.6, bounds=(0.05, 0.6), area=1e-6)
    assert branch.stop == "closed"
    assert branch.points[-1].theta.tolist() == pytest.approx(branch.points[0].theta.tolist())
    assert [fold.side for fold in branch.folds] == ["upper", "lower"] * 2
    assert branch.area.worst < 2e-6


def test_every_point_is_told_as_it_is_found():
    told = []
    branch = follow(chain(3), 0.1, 0.4, on_point=told.append)
    assert tuple(told) == branch.points


def test_the_walk_is_an_iterator():
    from spinodal.branches.arclength.equations import Equations
    from spinodal.branches.arclength.exact import node_at
    from spinodal.branches.arclength.trace import Arclength

    landscape = chain(3)
    equations = Equations(landscape, sp.Penalty())
    theta = sp.minimise(landscape, beta=0.1, start=landscape.initial).theta
    node = node_at(equations, theta, 0.1, equations.spectrum(theta, 0.1))
    walk = Arclength(equations, node, bounds=(1e-3, 0.4), to=0.4, through_folds=True, area=1e-8)
    assert len(list(islice(walk, 7))) == 7
    assert len(list(walk)) > 20
    assert walk.stop == "range"


def test_the_saddle_branch_passes_a_fall_downhill_to_another_minimum():
    fold = follow(chain(3), 0.1, 0.4).folds[0]
    assert fold.fall.converged
    assert fold.fall.error == pytest.approx(0.5, rel=1e-9)
    assert not fold.minor


def test_small_pairs_of_folds_are_minor_and_a_dented_large_one_is_not():
    assert minor_pairs([0.1, 0.9], 0.01) == set()
    assert minor_pairs([0.1, 0.5, 0.501, 0.9], 0.01) == {1, 2}
    assert minor_pairs([0.1, 0.5, 0.501, 0.502, 0.5011, 0.9], 0.01) == {1, 2, 3, 4}
    assert minor_pairs([], 0.01) == set()


def test_a_start_that_is_not_stationary_is_minimised_first():
    branch = sp.continue_branch(chain(3), torch.full((3,), 1.3), beta=0.1, to=0.2)
    assert branch.points[0].residual < 1e-10
    assert branch.points[0].index == 0


def test_a_start_that_cannot_be_solved_is_refused_with_its_residual():
    stuck = sp.Landscape(Numbers(1.0), lambda model, batch: (model.x - 1).abs().sum(), None)
    with pytest.raises(sp.SpinodalError, match=r"not stationary at beta = 0\.1: its residual .* is .*"):
        sp.continue_branch(stuck, torch.tensor([1.0]), beta=0.1, to=0.4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": 0.1}, "to = 0.1, the start's beta"),
        ({"to": -1.0}, "to = -1.0"),
        ({"to": 0.4, "method": "chord"}, "unknown method 'chord'"),
        ({"to": 0.4, "bounds": (0.2, 0.4)}, "bounds = "),
        ({"to": 0.4, "points": 0}, "points = 0"),
        ({"to": 0.4, "at": (0.0,)}, "a finite beta > 0 is allowed"),
        ({"to": 0.4, "beta": 0.2}, "a start that has its own beta"),
    ],
)
def test_bad_arguments_are_refused_in_three_parts(options, message):
    landscape = chain(3)
    minimum = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    with pytest.raises(sp.SpinodalError) as refusal:
        sp.continue_branch(landscape, minimum, **options)
    assert message in str(refusal.value)
    assert refusal.value.do


def test_a_tensor_without_beta_is_refused():
    with pytest.raises(sp.SpinodalError, match="a start without beta"):
        sp.continue_branch(chain(3), torch.ones(3), to=0.4)


def test_a_walk_that_meets_a_kink_says_so_and_keeps_its_points():
    landscape = toy(lambda x: (x - 1) ** 2 + 0.1 * (x - 0.8).abs(), 1.0)  # the minimum comes down to the kink, and stays
    branch = sp.continue_branch(landscape, torch.tensor([1.0]), beta=0.01, to=10.0)
    assert branch.stop == "stalled"
    assert not branch.is_complete
    assert "kink" in branch.status
    assert len(branch.points) > 3


def test_the_bordered_matrix_is_regular_at_a_fold_and_leaves_symmetries_alone():
    matrix = torch.diag(torch.tensor([3.0, 0.0, 0.0, -1.0], dtype=torch.float64))
    column = torch.tensor([1.0, 2.0, 0.0, 1.0], dtype=torch.float64)  # the third mode is a symmetry's
    row = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    x, b = Bordered(spectrum_of(eigenbasis(matrix), 0.0), column, row, 0.5, 1.0).solve(
        torch.ones(4, dtype=torch.float64) - row * 0.0, 2.0
    )
    assert b == pytest.approx(0.5)
    assert float(row @ x) + 0.5 * b == pytest.approx(2.0)
    assert x[2] == 0.0
    residual = matrix @ x + column * b - 1.0
    assert residual[[0, 1, 3]].abs().max() < 1e-12


def test_coexistence_needs_phases_that_overlap():
    landscape = chain(3)
    live = follow(landscape, 0.1, 0.15)
    dead = sp.continue_branch(landscape, torch.zeros(3), beta=0.1, to=0.15)
    assert sp.coexistence(landscape, live, dead) is None


def test_the_area_certificate_finds_the_place_of_a_jump():
    landscape = chain(3)
    live = follow(landscape, 0.05, 0.2)
    dead = sp.continue_branch(landscape, torch.zeros(3), beta=0.2, to=0.3)
    joined = live.followed_by(dead)
    assert live.area.worst < 1e-8
    assert joined.area.worst > 1e-3
    assert math.isclose(joined.area.place, 0.2, rel_tol=0.2)
