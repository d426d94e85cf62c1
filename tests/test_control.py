"""What is turned: every control is one function of theta and its value, and walks along it meet the closed forms."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

import spinodal as sp
from conftest import area_by_loss
from spinodal import cli
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.axis import LOG, Axis, Linear
from spinodal.landscape.control import Control
from spinodal.landscape.control_record import ControlRecord
from spinodal.landscape.objective import Regularised
from spinodal.observe import Observer
from vae import LinearVAE, data, divergence, exact, reconstruction
from vae import task as vae

SIZE, SPINODAL = 4, 2.0 / (3.0 * math.sqrt(3.0))
CENTRE, MASK = torch.linspace(-1.0, 2.0, SIZE, dtype=torch.float64), torch.tensor([True, False, True, True])
BATCHES = [torch.tensor([[1.0, -0.5, 0.3, 2.0], [0.2, 1.0, -1.0, 0.1]]), torch.tensor([[0.7, 0.7, -0.2, 1.0]])]


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, -0.7, 1.1, 0.5], dtype=torch.float64))


def loss(model: Weights, batch: Tensor) -> Tensor:
    return ((batch @ model.w).sin() + 0.2 * (batch @ model.w).square()).mean()


def term(model: Weights, batch: Tensor) -> Tensor:
    return (batch @ model.w.square()).cosh().mean()


CONTROLS: dict[str, Control] = {
    "penalty": sp.Penalty(),
    "centre and mask": sp.Penalty(centre=CENTRE, mask=MASK),
    "weight": sp.Weight(term),
    "field": sp.Field(term),
}
every_control = pytest.mark.parametrize("name", CONTROLS)


def by_hand(name: str, theta: Tensor) -> Tensor:
    """Return C, written once more."""
    x = torch.cat(BATCHES).to(theta.dtype)
    if name in ("weight", "field"):
        return (1.0 if name == "weight" else -1.0) * (x @ theta.square()).cosh().mean()
    return theta.square().sum() if name == "penalty" else ((theta - CENTRE.to(theta)).square() * MASK).sum()


def written(name: str, value: float) -> Callable[[Tensor], Tensor]:
    """Return L, written once more, over the samples of all batches at once."""
    x = torch.cat(BATCHES).double()
    return lambda w: ((x @ w).sin() + 0.2 * (x @ w).square()).mean() + value * by_hand(name, w)


@every_control
def test_value_gradient_hessian_and_third_derivative_belong_to_one_function(name: str) -> None:
    value, theta = 0.3, torch.randn(SIZE, dtype=torch.float64)
    found, total = Regularised(Landscape(Weights(), loss, BATCHES), value, CONTROLS[name]), written(name, value)
    u, v = torch.randn(2, SIZE, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(total, theta)
    level, slope = found.value_and_gradient(theta)
    assert level == pytest.approx(float(total(theta)), rel=1e-12)
    assert found.value(theta) == pytest.approx(level, rel=1e-13)
    assert found.error(level, theta) == pytest.approx(float(written("penalty", 0.0)(theta)), rel=1e-10)
    torch.testing.assert_close(slope, torch.autograd.functional.jacobian(total, theta))
    torch.testing.assert_close(found.shifted(found.hessian(theta)), hessian)
    torch.testing.assert_close(found.hessian_operator(theta)(torch.stack([u, v])), torch.stack([u, v]) @ hessian)
    along = torch.autograd.functional.jacobian(lambda w: u @ torch.func.hessian(total)(w) @ v, theta)
    torch.testing.assert_close(found.third_product(theta, u, v), along)
    rows = found.values_and_gradients(torch.stack([theta, u]))
    assert float(rows[0][0]) == pytest.approx(level, rel=1e-12)
    torch.testing.assert_close(rows[1][1], found.value_and_gradient(u)[1])


@every_control
def test_the_conjugate_is_the_slope_of_the_loss_and_the_force_that_of_its_gradient(name: str) -> None:
    landscape, theta, step = Landscape(Weights(), loss, BATCHES), torch.randn(SIZE, dtype=torch.float64), 1e-3
    low, high = (Regularised(landscape, value, CONTROLS[name]).value_and_gradient(theta) for value in (0.3 - step, 0.3 + step))
    control = CONTROLS[name].on(landscape)
    assert control.conjugate(theta) == pytest.approx((high[0] - low[0]) / (2 * step), rel=1e-9)
    torch.testing.assert_close(control.force(theta), (high[1] - low[1]) / (2 * step), rtol=1e-9, atol=1e-9)
    at_rest = Regularised(landscape, 0.3, CONTROLS[name])
    torch.testing.assert_close(at_rest.push(theta), -control.force(theta))
    mode = torch.randn(SIZE, dtype=torch.float64)
    hessians = [torch.autograd.functional.hessian(written(name, value), theta) for value in (0.0, 1.0)]
    assert at_rest.stiffening(theta, mode) == pytest.approx(float(mode @ (hessians[1] - hessians[0]) @ mode), rel=1e-9)


@pytest.mark.parametrize("name", ["centre and mask", "weight"])
def test_single_precision_and_several_batches_give_the_same_minimum(name: str) -> None:
    ends = []
    for dtype, batches in ((torch.float64, torch.cat(BATCHES)), (torch.float64, BATCHES), (torch.float32, BATCHES)):
        landscape = Landscape(Weights(), loss, batches, dtype=dtype)
        found = sp.minimise(landscape, beta=0.4, start=landscape.initial, control=CONTROLS[name], tolerance=1e-4)
        assert found.converged
        assert found.theta.dtype == dtype
        ends.append(found)
    assert all(end.loss == pytest.approx(ends[0].loss, rel=1e-6) for end in ends)
    torch.testing.assert_close(ends[2].theta.double(), ends[1].theta, rtol=1e-2, atol=1e-2)


def test_what_a_term_costs_is_counted() -> None:
    landscape = Landscape(Weights(), loss, BATCHES)
    found = Regularised(landscape, 0.3, sp.Weight(term))
    before = landscape.counts.copy()
    found.value_and_gradient(landscape.initial)
    assert (landscape.counts - before).gradient_evaluations == 2


def test_a_control_travels_to_another_process_without_what_it_knows_of_landscapes() -> None:
    control = sp.Weight(divergence, name="kl")
    landscape = Landscape(LinearVAE(2, 1), reconstruction, data((1.0, 0.4)))
    here, there = control.on(landscape), pickle.loads(pickle.dumps(control)).on(landscape)
    assert there.conjugate(landscape.initial) == here.conjugate(landscape.initial)


# -- axes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [LOG, Linear(0.5), Linear().over(0.1, 3.0)], ids=["log", "linear", "of a range"])
def test_steps_and_places_of_an_axis_belong_together(axis: Axis) -> None:
    a, b = 0.4, 1.7
    assert axis.value(axis.place(a)) == pytest.approx(a)
    assert axis.moved(a, axis.step(a, b)) == pytest.approx(b)
    assert axis.place(b) - axis.place(a) == pytest.approx(axis.step(a, b))
    assert axis.unit(a) == pytest.approx((axis.moved(a, 1e-6) - axis.moved(a, -1e-6)) / 2e-6)
    assert axis.nudged(a, 1e-7) == pytest.approx(axis.moved(a, 1e-7), rel=1e-12)
    assert axis.value(axis.halfway(a, b)) == pytest.approx(axis.middle(a, b))
    assert axis.middle(a, b) == pytest.approx(axis.between(a, b, 0.5)) == pytest.approx(axis.along(a, b, 0.5))
    assert axis.apart(a, b) == axis.apart(b, a) > 0


# -- the weight of a divergence -------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 1.9, 2.1])
def test_the_closed_form_of_the_autoencoder_is_what_brute_force_finds(beta: float) -> None:
    """One latent variable along an eigenvalue of 1: weights d and w, and the logarithm of the variance."""

    def value(point: np.ndarray) -> float:
        d, w, log_s = point
        error = (1.0 - d * w) ** 2 + d**2 * math.exp(log_s)
        return error + 0.5 * beta * (math.exp(log_s) + w**2 - 1.0 - log_s)

    starts = [(d, w, log_s) for d in (0.05, 1.0) for w in (0.1, 1.0) for log_s in (-2.0, 0.0)]
    best = min((minimize(value, start, method="Nelder-Mead", tol=1e-12) for start in starts), key=lambda found: found.fun)
    error, conjugate = exact((1.0,), beta)
    assert best.fun == pytest.approx(error + beta * conjugate, rel=1e-9)
    assert best.x[0] ** 2 == pytest.approx(max(1.0 - 0.5 * beta, 0.0), abs=1e-4)


@pytest.fixture(scope="module")
def collapse() -> sp.PhaseDiagram:
    return sp.map_phases(vae((1.0, 0.4), 2, batches=(16, 8)), starts=2)


def test_latent_variables_collapse_one_by_one_where_the_weight_passes_twice_the_eigenvalue(collapse: sp.PhaseDiagram) -> None:
    assert [item.order for item in collapse.transitions] == ["second", "second"]
    for item, eigenvalue in zip(collapse.transitions, (0.4, 1.0), strict=True):
        assert item.beta == pytest.approx(2.0 * eigenvalue, rel=1e-5)
        low, high = item.bracket
        assert low <= 2.0 * eigenvalue * (1 + 1e-6)
        assert high >= 2.0 * eigenvalue * (1 - 1e-6)
        assert high - low <= 2e-5 * low
    assert collapse.range[1] > 2.0
    assert collapse.run_status == "complete"


def test_error_and_divergence_along_the_map_are_those_of_the_closed_form(collapse: sp.PhaseDiagram) -> None:
    for point in collapse.points:
        error, conjugate = exact((1.0, 0.4), point.beta)
        assert point.error == pytest.approx(error, abs=1e-6)
        assert point.norm_squared == pytest.approx(conjugate, abs=1e-6)
        alive = sum(value > 0.5 * point.beta for value in (1.0, 0.4))
        if min(abs(point.beta - 0.8), abs(point.beta - 2.0)) > 1e-3:  # C = sum of log(2 lambda / beta) / 2, d C / d beta
            assert point.norm_slope == pytest.approx(-0.5 * alive / point.beta, rel=1e-6, abs=1e-9)


def test_a_result_along_another_control_says_so(collapse: sp.PhaseDiagram) -> None:
    result = collapse.to_dict()
    assert result["convention"] == "E + kl*divergence"
    assert all(item["weight_decay"] is None for item in result["transitions"])
    assert "ends at kl = 0.8000" in collapse.answer()
    assert "weight_decay" not in collapse.answer()
    assert result["control"] == {
        "name": "kl", "convention": "E + kl*divergence", "scale": "log", "centre": None, "mask": None
    }  # fmt: skip


def test_a_branch_along_another_control_is_followed_and_certified() -> None:
    eigenvalues = (1.0,)
    task = vae(eigenvalues, 1)
    landscape = task.landscape()
    start = sp.minimise(landscape, beta=0.5, start=task.initial(0), control=task.control)
    branch = sp.continue_branch(landscape, start, to=3.0, control=task.control)
    (met,) = branch.branch_points
    assert met.beta == pytest.approx(2.0, rel=1e-9)
    assert met.kind == "pitchfork"
    assert branch.area.worst < 1e-7
    assert branch.is_complete
    assert branch.points[-1].beta == pytest.approx(3.0)
    assert branch.points[-1].error == pytest.approx(1.0)


# -- a field of either sign -----------------------------------------------------------------------


class Spin(nn.Module):
    def __init__(self, m: float = -1.0) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.tensor(m))


def double_well(model: Spin, batch: object) -> Tensor:
    return model.m**4 / 4 - model.m**2 / 2


def magnetisation(model: Spin, batch: object) -> Tensor:
    return model.m


FIELD = sp.Field(magnetisation)


def test_a_loop_in_a_field_through_zero_is_the_hysteresis_of_the_closed_form() -> None:
    landscape = Landscape(Spin(), double_well, None)
    start = sp.minimise(landscape, beta=-1.0, start=landscape.initial, control=FIELD)
    loop = sp.sweep(landscape, start=start, to=1.0, direction="loop", control=FIELD)
    for way, sign in ((loop.up, 1.0), (loop.down, -1.0)):
        (jump,) = way.transitions
        assert jump.order == "first"
        assert not jump.minor
        assert way.status == "complete"
        assert jump.beta == pytest.approx(sign * SPINODAL, abs=1e-6)
        assert jump.bracket[0] <= sign * SPINODAL <= jump.bracket[1]
        assert jump.bracket[1] - jump.bracket[0] < 1e-5
        assert not way.certificate.incomplete
    assert loop.area == pytest.approx(1.5, rel=1e-4)  # L falls by 3/4 at either end of the cycle
    assert area_by_loss(loop) == pytest.approx(1.5, rel=1e-6)


def test_the_branch_of_a_field_turns_at_both_spinodals_and_its_phases_are_equally_deep_at_zero() -> None:
    landscape = Landscape(Spin(), double_well, None)
    start = sp.minimise(landscape, beta=-1.0, start=landscape.initial, control=FIELD)
    branch = sp.continue_branch(landscape, start, to=1.0, control=FIELD)
    assert [fold.beta for fold in branch.folds] == pytest.approx([SPINODAL, -SPINODAL], abs=1e-10)
    assert [fold.index for fold in branch.folds] == [(0, 1), (1, 0)]
    (equal,) = branch.coexistence
    assert equal.beta == pytest.approx(0.0, abs=1e-12)
    assert equal.by_area == pytest.approx(0.0, abs=1e-9)
    assert equal.barrier == pytest.approx((0.25, 0.25))
    assert equal.latent_heat == pytest.approx(2.0)


def test_a_minimum_at_zero_field_converges() -> None:
    landscape = Landscape(Spin(0.3), double_well, None)
    found = sp.minimise(landscape, beta=0.0, start=landscape.initial, control=FIELD)
    assert found.converged
    assert float(found.theta) == pytest.approx(1.0)
    assert found.error == pytest.approx(-0.25)


# -- refusals -------------------------------------------------------------------------------------


def single() -> tuple[Landscape, sp.Minimum]:
    landscape = Landscape(Spin(1.0), lambda model, batch: (1 - model.m) ** 2, None)
    return landscape, sp.minimise(landscape, beta=1.0, start=landscape.initial, control=sp.Weight(lambda model, _: model.m**2))


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "both names": (
        lambda: sp.minimise(single()[0], beta=1.0, start=torch.ones(1), penalty=sp.Penalty(), control=sp.Penalty()),
        "both penalty and control; one of the two is allowed",
    ),
    "no control": (
        lambda: sp.minimise(single()[0], beta=1.0, start=torch.ones(1), control="kl"),
        "penalty = 'kl'; a spinodal.Penalty is allowed",
    ),
    "a weight of nothing": (lambda: sp.Weight(3.0), "term is a float; a function (model, batch) -> scalar is allowed"),
    "a weight without a name": (lambda: sp.Weight(term, name=""), "name = ''; a word is allowed"),
    "a term that is no scalar": (
        lambda: sp.minimise(
            single()[0], beta=1.0, start=torch.ones(1), control=sp.Weight(lambda model, _: model.m * torch.ones(2))
        ),
        "the term of weight: ",
    ),
    "a negative weight": (
        lambda: sp.minimise(single()[0], beta=-1.0, start=torch.ones(1), control=sp.Weight(lambda model, _: model.m**2)),
        "beta = -1.0; a finite beta > 0 is allowed",
    ),
    "a field that is no number": (
        lambda: sp.minimise(single()[0], beta=math.nan, start=torch.ones(1), control=FIELD),
        "beta = nan; a finite number is allowed",
    ),
    "a field of no unit": (lambda: sp.Field(magnetisation, unit=0.0), "a linear axis with length = 0.0; a finite number > 0"),
    "a walk at fixed norm": (
        lambda: sp.continue_branch(*single(), to=2.0, method="fixed_norm", control=sp.Weight(lambda model, _: model.m**2)),
        "a walk at fixed norm with the control weight, E + weight*term; the L2 penalty",
    ),
    "curvature": (
        lambda: sp.curvature_at(single()[0], torch.ones(1), beta=1.0, penalty=sp.Weight(lambda model, _: model.m**2)),
        "the curvature of L with the control weight",
    ),
    "a map along a field": (
        lambda: sp.map_phases(vae((1.0,), 1), control=sp.Field(divergence), beta=(0.1, 1.0)),
        "whose h may have either sign; controls with positive values",
    ),
    "a mask beside another control": (
        lambda: sp.map_phases(vae((1.0,), 1, exclude="log_variance")),
        "exclude ['log_variance'] beside the control E + kl*divergence; one of the two is allowed",
    ),
    "two masks": (
        lambda: sp.map_phases(
            sp.Task(Weights(), loss, BATCHES, include="w"),
            penalty=sp.Penalty(mask=torch.zeros(SIZE, dtype=torch.bool)),
            beta=(0.1, 1.0),
        ),
        "beside a penalty with a mask; one of the two is allowed",
    ),
    "curvature along a map": (
        lambda: sp.map_phases(vae((1.0,), 1), curvature=True),
        "the curvature of L with the control kl, E + kl*divergence",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_three_parts(case: str) -> None:
    act, text = REFUSED[case]
    with pytest.raises(SpinodalError) as refusal:
        act()
    assert text in str(refusal.value)
    assert refusal.value.got
    assert refusal.value.allowed
    assert refusal.value.do


def test_an_observation_tells_the_conjugate_of_another_control_than_the_penalty() -> None:
    landscape = Landscape(Spin(0.5), double_well, None)
    seen, plain = (Observer(landscape, control)(landscape.initial) for control in (FIELD, sp.Penalty()))
    assert (seen.conjugate, seen.turned, seen.distance) == (-0.5, -0.5, 0.5)
    assert (plain.conjugate, plain.turned, plain.distance) == (None, 0.25, 0.5)


def test_a_run_along_another_control_is_mapped_shown_and_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("from vae import task as vae\n\ndef task():\n    return vae((1.0,), 1)\n", encoding="utf-8")
    words = ["map", "own.py:task", "--beta", "1.5:2.5", "--starts", "1", "--out", "run"]
    monkeypatch.setattr("sys.argv", ["spinodal", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    shown = capsys.readouterr()
    assert end.value.code in (0, None), shown.err
    assert "E + kl*divergence" in shown.out
    assert "kl 1.5 to 2.5" in shown.out
    assert "weight_decay" not in shown.out.split("Missing:")[0]
    loaded = sp.load("run")
    assert loaded.control == ControlRecord.of(vae((1.0,), 1).control)
    assert [item.what for item in loaded.missing] == ["the figures", "report.html"]
    assert [item.beta for item in loaded.transitions] == pytest.approx([2.0], rel=1e-5)
    assert all(math.isnan(value) for value in loaded.to_xarray().weight_decay.values)


def test_a_model_along_another_control_has_no_weight_decay(collapse: sp.PhaseDiagram) -> None:
    model = collapse.at(1.0)
    assert math.isnan(model.weight_decay)
    assert model.convention == "E + kl*divergence"
    with pytest.raises(SpinodalError, match=r"a weight_decay in a map along kl, E \+ kl\*divergence; a value of kl is allowed"):
        collapse.at(weight_decay=2.0)


@pytest.mark.parametrize("solver", ["newton", "newton_cg", "lbfgs"])
def test_every_solver_minimises_along_another_control(solver: str) -> None:
    task = vae((1.0, 0.4), 2)
    landscape = task.landscape()
    found = sp.minimise(landscape, beta=0.5, start=task.initial(0), control=task.control, solver=solver, tolerance=1e-6)
    error, conjugate = exact((1.0, 0.4), 0.5)
    assert found.converged
    assert found.loss == pytest.approx(error + 0.5 * conjugate, rel=1e-9)
    assert "Minimum at kl = 0.5: E = " in str(found)


@pytest.mark.parametrize("solver", ["newton_cg", "lbfgs"])
def test_matrix_free_walks_along_another_control_find_the_collapse(solver: str) -> None:
    task = vae((1.0,), 1)
    landscape = task.landscape()
    start = sp.minimise(landscape, beta=1.5, start=task.initial(0), control=task.control, solver=solver)
    walk = sp.sweep(landscape, start=start, to=2.5, control=task.control, solver=solver)
    assert walk.status == "complete"
    assert walk.points[-1].error == pytest.approx(1.0, abs=1e-4)
    near = min(walk.points, key=lambda point: abs(point.beta - 1.7))
    assert near.norm_squared == pytest.approx(exact((1.0,), near.beta)[1], abs=1e-3)
