"""What is a jump, a kink, an order, and what a walk proves: tables of synthetic curves whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from scipy import integrate

from diagrams import point
from spinodal.sweeps.certificate import certify
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.gap import gap, least_change, slope_error
from spinodal.sweeps.order import Evidence, missing, order_of
from spinodal.sweeps.singularity import law_through, measured_exponent
from spinodal.sweeps.walk import Point

SINGULAR = 0.5
STEPS = [0.15, 0.05, 0.01, 1e-3, 1e-5]
Curve = Callable[[float], tuple[float, float, float, float, float]]  # beta -> rho, its slope, E, margin, its slope


def fold(beta: float) -> tuple[float, float, float, float, float]:
    """A square root that ends at .5 and falls to a flat branch: rho jumps by .25, E by .1."""
    height, jump, fall = 0.4, 0.25, 0.1
    if beta > SINGULAR:
        return 0.1 - 0.01 * (beta - SINGULAR), -0.01, 0.5 + fall + 0.005 * (beta**2 - SINGULAR**2), 0.3, 0.1
    distance = SINGULAR - beta
    root = math.sqrt(distance)
    slope = -0.5 * height / max(root, 1e-150)
    error = 0.5 - height * (SINGULAR * root - root**3 / 3)  # as dE = -beta drho
    return 0.1 + jump + height * root, slope, error, 0.6 * root, -0.3 / max(root, 1e-150)


def bent(before: float, after: float) -> Curve:
    """Two straight parts of rho that meet at .5, where the margin vanishes: a branch point."""

    def curve(beta: float) -> tuple[float, float, float, float, float]:
        slope = before if beta < SINGULAR else after
        side = 1.0 if beta > SINGULAR else -1.0
        error = 0.5 - 0.5 * slope * (beta**2 - SINGULAR**2)
        return 0.6 + slope * (beta - SINGULAR), slope, error, 2.0 * abs(beta - SINGULAR), 2.0 * side

    return curve


def crossover(beta: float) -> tuple[float, float, float, float, float]:
    """A smooth fall of rho by 1 around .5, a tenth wide in beta."""
    width = 0.1
    share = 1.0 / (1.0 + math.exp((beta - SINGULAR) / width))
    slope = -share * (1.0 - share) / width
    integral = -width * math.log1p(math.exp(-(beta - SINGULAR) / width))  # of rho, from infinity
    return share, slope, integral - beta * share, 0.2, 0.0


CURVES: dict[str, Curve] = {
    "fold": fold,
    "pitchfork": bent(-2.0, 0.0),
    "transcritical": bent(-2.0, -1.0),
    "crossover": crossover,
}
CRITERIA = Criteria(error_range=1.0, norm_range=1.0, rough=False)


def at(curve: Curve, beta: float, *, index: int = 0, noise: float = 0.0, residual: float = 0.0) -> Point:
    """Return the point of a curve at beta; noise is added to E, rho and the slope, of alternating sign."""
    rho, slope, error, margin, margin_slope = curve(beta)
    wrong = noise * (-1) ** index
    plain = point(index, beta, level=0)
    norm = math.sqrt(max(rho + wrong, 0.0))
    speed = math.sqrt(abs(slope) / max(margin, 1e-12))
    loss = error + wrong + beta * (rho + wrong)
    minimum = replace(plain.minimum, beta=beta, error=error + wrong, loss=loss, margin=margin, residual=residual)
    return replace(
        plain,
        minimum=minimum,
        observation=replace(plain.observation, distance=norm, norm=norm),
        tangent=torch.tensor([speed], dtype=torch.float64),
        norm_slope=slope * (1.0 + wrong),
        margin_slope=margin_slope,
    )


def across(name: str, step: float, place: float = 0.4, noise: float = 0.0) -> tuple[Point, Point, Point]:
    """Return two points before .5 and one beyond it, a log step apart, .5 at `place` of the last step."""
    betas = [SINGULAR * math.exp((k - place) * step) for k in (-1, 0, 1)]
    earlier, near, far = (at(CURVES[name], beta, index=k, noise=noise) for k, beta in enumerate(betas))
    return earlier, near, far


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("place", [0.02, 0.4, 0.98])
def test_no_step_across_a_fold_is_certain(step: float, place: float) -> None:
    _, near, far = across("fold", step, place)
    assert not CRITERIA.is_certain(gap(near, far))
    assert gap(near, far).hidden >= 0.1  # the jump of E


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["pitchfork", "transcritical"])
def test_a_slope_that_jumps_is_a_kink_where_it_jumps(name: str, step: float) -> None:
    earlier, near, far = across(name, step)
    assert CRITERIA.is_kink(near, earlier, far)
    place = CRITERIA.kink_position(near, far)
    assert place is not None
    assert near.beta + place == pytest.approx(SINGULAR, abs=1e-6 * SINGULAR + 1e-9)
    assert CRITERIA.is_macroscopic_kink(near, far)


@pytest.mark.parametrize("step", STEPS[1:])
@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_a_crossover_is_neither_a_jump_nor_a_kink(step: float, noise: float) -> None:
    for beta in (0.2, 0.4, 0.45, 0.5, 0.55, 0.7, 1.0):
        betas = [beta * math.exp(k * step) for k in (-1, 0, 1)]
        earlier, near, far = (at(crossover, value, index=k, noise=noise) for k, value in enumerate(betas))
        found = gap(near, far)
        assert not CRITERIA.may_have_jumped(found, believe_loss=True)
        if step < 0.02:  # a longer one, half as wide as the crossover, is walked again in parts
            assert not CRITERIA.is_kink(near, earlier, far)
            assert CRITERIA.is_certain(found)


@pytest.mark.parametrize("name", ["fold", "pitchfork", "transcritical", "crossover"])
def test_steps_on_one_side_of_a_singularity_are_certain_once_they_are_short(name: str) -> None:
    for side in (-1.0, 1.0):
        for distance in (0.3, 0.1, 0.03, 1e-3, 1e-5):
            near, far = (at(CURVES[name], SINGULAR * (1.0 + side * part * distance)) for part in (1.0, 0.9))
            assert CRITERIA.is_certain(gap(near, far)), (side, distance)
            assert not CRITERIA.is_kink(near, None, far)


@pytest.mark.parametrize(("name", "exponent"), [("fold", 0.5), ("pitchfork", 1.0), ("transcritical", 1.0)])
def test_the_exponent_of_a_margin_is_that_of_its_singularity(name: str, exponent: float) -> None:
    earlier, near, _ = across(name, 1e-3)
    assert measured_exponent(near, earlier, 1.0) == pytest.approx(exponent, rel=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 0.8])
@pytest.mark.parametrize("distances", [(0.1, 0.5), (3.0, 100.0), (1.0, 1.2)])
def test_three_margins_tell_their_law_and_where_they_vanish(power: float, distances: tuple[float, float]) -> None:
    for ahead in (0.01, 0.9, 20.0):
        found = law_through([(ahead + distance) ** power for distance in (0.0, *distances)], distances)
        if (
            0.0 < (1.0 + distances[0] / ahead) ** power < 1.1
            or ((ahead + distances[1]) / (ahead + distances[0])) ** power < 1.1
        ):
            assert found is None  # they differ by too little
        else:
            assert found == pytest.approx((power, ahead), rel=1e-6)


@pytest.mark.parametrize("margins", [(1.0, 2.0, 1.9), (1.0, 0.5, 3.0), (-1.0, 2.0, 3.0), (0.0, 1.0, 2.0), (1.0, 2.0, 200.0)])
def test_margins_that_follow_no_law_tell_none(margins: tuple[float, float, float]) -> None:
    assert law_through(margins, (1.0, 2.0)) is None


@pytest.mark.parametrize("name", ["fold", "transcritical", "crossover"])
def test_a_walk_is_complete_if_and_only_if_it_steps_over_no_jump(name: str) -> None:
    betas = [0.1 * 1.01**k for k in range(240)]
    points = [at(CURVES[name], beta, index=k) for k, beta in enumerate(betas)]
    found = certify(points, ())
    over = [(a.beta, b.beta) for a, b in pairwise(points) if a.beta < SINGULAR < b.beta]
    assert [(item.low, item.high) for item in found.incomplete] == (over if name == "fold" else [])
    assert found.largest < 0.01


def test_what_a_step_may_hide_is_never_less_than_the_jump_in_it() -> None:
    for step in STEPS:
        for place in (0.001, 0.1, 0.5, 0.9, 0.999):
            _, near, far = across("fold", step, place)
            assert gap(near, far).hidden >= 0.1


@pytest.mark.parametrize("power", [-3.0, -2.0, -1.5, -1.0, 0.0, 1.0])
@pytest.mark.parametrize("factor", [1.1, 2.0, 10.0])
def test_the_least_change_is_below_the_change_and_exact_where_a_slope_stays_as_it_is(power: float, factor: float) -> None:
    low, high = 0.3, 0.3 * factor
    change, _ = integrate.quad(lambda drive: drive * drive**power, low, high)
    least = least_change((low, high), (low**power, high**power))
    assert least <= change * (1.0 + 1e-9)
    assert least == pytest.approx(change) or power not in (-2.0, 0.0)  # the slope in log beta, or in beta, is constant
    assert least == least_change((high, low), (high**power, low**power))


def test_an_unconverged_point_proves_nothing() -> None:
    points = [at(crossover, beta, index=k) for k, beta in enumerate((0.3, 0.301, 0.302, 0.303))]
    points[1] = replace(points[1], minimum=replace(points[1].minimum, stop="iterations"))
    (stretch,) = certify(points, ()).incomplete
    assert (stretch.low, stretch.high) == (0.3, 0.302)
    assert "not converged" in stretch.reason


def test_a_slope_next_to_a_branch_point_is_as_uncertain_as_its_residual_makes_it() -> None:
    curve, distance = CURVES["pitchfork"], 1e-6
    near = at(curve, SINGULAR - distance, residual=1e-9)
    # theta is off by residual / margin; rho = amplitude^2 and amplitude^2 = 2 distance, so the slope is off by its share
    assert slope_error(near) == pytest.approx(1e-9 / near.minimum.margin * math.sqrt(2.0 / near.minimum.margin) * 2.0)
    assert slope_error(at(curve, SINGULAR - distance)) == 0.0
    assert slope_error(at(curve, SINGULAR - distance, residual=1.0)) == 2.0  # and no more than itself


def test_a_doubtful_slope_tells_no_kink_and_does_not_hide_one() -> None:
    curve = bent(-2.0, -1.0)
    earlier = at(curve, 0.49)
    doubtful = replace(at(curve, SINGULAR - 1e-6, residual=1e-6), norm_slope=-1.4)
    assert not CRITERIA.is_kink(earlier, None, doubtful)
    assert CRITERIA.is_kink(doubtful, earlier, at(curve, SINGULAR + 1e-6))


EVIDENCE = Evidence(exponent=0.5, margin=1e-3, reach=1.0, halved_step=True, jump_norm_squared=0.2, jump_curvature=1.0)
ORDERS = {
    "a fold": ({}, "first", None),
    "a branch point": ({"exponent": 1.0, "jump_norm_squared": 1e-6}, "second", None),
    "a fold passed at fixed norm": ({"halved_step": False, "turned": True}, "first", None),
    "a fold passed where a wide bracket blurs its law": ({"exponent": 0.35, "turned": True}, "first", None),
    "a fold passed elsewhere": ({"reach": 50.0, "turned": True}, "not classified", "where the bracket lies"),
    "a fold passed without a jump": ({"jump_norm_squared": 1e-6, "turned": True}, "not classified", "agrees"),
    "one step only": ({"halved_step": False}, "not classified", "half steps"),
    "no law": ({"exponent": None}, "not classified", "law"),
    "another law": ({"exponent": 0.7}, "not classified", "measured 0.70"),
    "a margin that vanishes elsewhere": ({"reach": 50.0}, "not classified", "where the bracket lies"),
    "a margin that does not vanish": ({"reach": None}, "not classified", "where the bracket lies"),
    "a square root without a jump": ({"jump_norm_squared": 1e-6}, "not classified", "agrees"),
    "a symmetry that breaks with a jump": ({"exponent": 1.0}, "first", None),
    "a linear law with a jump that separates no phases": (
        {"exponent": 1.0, "jump_norm_squared": 5e-3},
        "not classified",
        "agrees",
    ),
    "a symmetry that breaks elsewhere with a jump": (
        {"exponent": 1.0, "reach": 50.0},
        "not classified",
        "where the bracket lies",
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_order_needs_all_of_its_evidence(case: str) -> None:
    change, order, lacking = ORDERS[case]
    evidence = replace(EVIDENCE, **change)
    assert order_of(evidence, norm_range=1.0, separates=evidence.jump_norm_squared > 0.1) == order
    if lacking is not None:
        assert lacking in missing(evidence)


SPARING = replace(CRITERIA, sparing=True)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("place", [0.02, 0.4, 0.98])
def test_where_minor_gaps_are_stepped_over_no_macroscopic_one_is(step: float, place: float) -> None:
    _, near, far = across("fold", step, place)
    assert not SPARING.is_certain(gap(near, far))
    smaller = replace(SPARING, error_range=20.0)  # of which the jump of .1 is a twentieth of what separates phases
    jumped = gap(*across("fold", 0.01, place)[1:])
    assert smaller.is_certain(jumped)
    assert not smaller.is_continuous(jumped)


def test_where_minor_gaps_are_stepped_over_a_step_grows_until_it_hides_what_it_may() -> None:
    widths = [0.02 * 1.3**k for k in range(12)]
    steps = [gap(at(crossover, 0.5), at(crossover, 0.5 * (1.0 + width))) for width in widths]
    growths = [SPARING.growth(found) for found in steps]
    assert growths[0] == 2.0
    assert growths == sorted(growths, reverse=True)
    assert all((SPARING.growth(found) < 1.0) >= SPARING.may_hide_a_jump(found) for found in steps)


def test_where_minor_folds_are_stepped_over_a_kink_needs_two_points_behind_it() -> None:
    earlier, near, far = across("pitchfork", 0.05)
    assert SPARING.is_kink(near, earlier, far)
    assert CRITERIA.is_kink(near, None, far)
    assert not SPARING.is_kink(near, None, far)
