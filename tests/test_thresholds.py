"""Every rule that judges a step, a kink or an order turns exactly at the threshold that `definitions` states for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from diagrams import point
from spinodal import definitions as d
from spinodal.sweeps.blur import blur
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.gap import Gap, least_change
from spinodal.sweeps.order import Evidence, has_meaning, order_of
from spinodal.sweeps.singularity import kink_position, margin_vanishes_between
from spinodal.sweeps.walk import Point

RANGE = 7.0  # of E and of the squared norm: thresholds are fractions of it
EXACT = Criteria(RANGE, RANGE, rough=False)
ROUGH = Criteria(RANGE, RANGE, rough=True)
SPARING = Criteria(RANGE, RANGE, rough=False, sparing=True)
BELOW, ABOVE = 0.999, 1.001
Rule = Callable[[Gap], bool]


def gap(**parts: float) -> Gap:
    """Return a gap; all but `relative` in units of the ranges."""
    found = {"error": 0.0, "norm_squared": 0.5, "relative": 1.0, "kink": 0.0, "loss": 0.0, "change": 1.0, "hidden": 0.0} | parts
    return Gap(**{name: value if name == "relative" else RANGE * value for name, value in found.items()})


# rule, what is varied, its threshold, the rest of the gap, the answer below it
TURNS: dict[str, tuple[Rule, str, float, dict[str, float], bool]] = {
    "smooth: unexplained part": (EXACT.is_smooth, "relative", d.SMOOTH, {"error": 0.5 * d.SMALL_GAP}, True),
    "smooth: size": (EXACT.is_smooth, "error", d.SMALL_GAP, {"relative": 0.5 * d.SMOOTH}, True),
    "smooth: quiet in E": (EXACT.is_smooth, "error", d.QUIET, {"relative": 2 * d.SMOOTH}, True),
    "smooth: quiet, if not a jump": (EXACT.is_smooth, "relative", d.TURNED, {"error": 0.5 * d.QUIET}, True),
    "smooth: negligible in E": (EXACT.is_smooth, "error", d.NEGLIGIBLE, {"norm_squared": 0.0}, True),
    "smooth: negligible in the norm": (EXACT.is_smooth, "norm_squared", d.NEGLIGIBLE, {"error": 0.0}, True),
    "easy: unexplained part": (EXACT.is_easy, "relative", d.EASY, {"error": 2 * d.QUIET}, True),
    "easy: rounding": (EXACT.is_easy, "error", d.ROUNDING, {"norm_squared": 0.0}, True),
    "jump": (lambda g: EXACT.may_have_jumped(g, believe_loss=False), "error", d.MAY_BE_MACROSCOPIC, {}, False),
    "hidden": (EXACT.may_hide_a_jump, "hidden", d.MAY_BE_MACROSCOPIC, {}, False),
    "rough: smooth": (ROUGH.is_smooth, "error", d.MAY_BE_MACROSCOPIC, {}, True),
    "rough: smooth, if E hardly changes": (ROUGH.is_smooth, "change", d.MAY_BE_MACROSCOPIC, {"error": 1.0}, True),
    "rough: smooth in L": (ROUGH.is_smooth, "loss", d.FALL * d.MAY_BE_MACROSCOPIC, {}, True),
    "rough: easy": (ROUGH.is_easy, "error", d.ROUGH_EASY * d.MAY_BE_MACROSCOPIC, {}, True),
    "rough: a fall that L shows": (
        lambda g: ROUGH.may_have_jumped(g, believe_loss=True), "loss", d.FALL * d.MAY_BE_MACROSCOPIC, {}, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TURNS)
def test_a_rule_turns_at_its_threshold(name: str) -> None:
    rule, part, threshold, rest, below = TURNS[name]
    given = {"error": 2 * d.SMALL_GAP, **rest} if part == "relative" else rest
    assert rule(gap(**given, **{part: BELOW * threshold})) == below
    assert rule(gap(**given, **{part: ABOVE * threshold})) != below


@pytest.mark.parametrize("criteria", [EXACT, ROUGH], ids=["exact", "rough"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_no_rule_depends_on_the_units_of_e(criteria: Criteria, scale: float) -> None:
    other = replace(criteria, error_range=scale * RANGE, norm_range=scale * RANGE)
    for error in (0.5 * d.SMALL_GAP, 2 * d.SMALL_GAP, 2 * d.MACROSCOPIC):
        here = gap(error=error, relative=0.2, hidden=error, change=error)
        there = Gap(**{name: value if name == "relative" else scale * value for name, value in vars(here).items()})
        for rule in ("is_smooth", "is_easy", "is_certain", "may_hide_a_jump"):
            assert getattr(criteria, rule)(here) == getattr(other, rule)(there)


# -- kinks ----------------------------------------------------------------------------------------


def at(beta: float, slope: float, norm_squared: float, *, margin: float = 0.1, margin_slope: float = 0.0) -> Point:
    plain = point(0, beta, level=0, margin=margin)
    view = replace(plain.observation, distance=math.sqrt(norm_squared), norm=math.sqrt(norm_squared))
    minimum = replace(plain.minimum, residual=0.0)
    return replace(plain, minimum=minimum, observation=view, norm_slope=slope, margin_slope=margin_slope, speed=1.0)


def bent(change: float, slope: float = -RANGE) -> tuple[Point, Point, Point]:
    """Return two points on a straight line, at beta = .8 and .9, and one at 1.1 behind a bend at 1."""
    after = slope * (1.0 - change)
    start = 3.0 * RANGE
    return at(0.8, slope, start), at(0.9, slope, start + 0.1 * slope), at(1.1, after, start + 0.2 * slope + 0.1 * after)


@pytest.mark.parametrize(("alone", "threshold"), [(False, d.KINK), (True, d.KINK_ALONE)])
def test_a_bend_is_a_kink_from_its_threshold_on(alone: bool, threshold: float) -> None:
    for change, expected in ((BELOW * threshold, False), (ABOVE * threshold, True)):
        earlier, near, far = bent(change)
        assert EXACT.is_kink(near, None if alone else earlier, far) == expected
        assert not ROUGH.is_kink(near, None if alone else earlier, far)  # rough slopes tell none


def test_a_bend_that_moves_the_norm_by_less_than_one_per_cent_of_its_range_is_none() -> None:
    for size, expected in ((BELOW, False), (ABOVE, True)):
        earlier, near, far = bent(1.0, slope=-size * d.MACROSCOPIC * RANGE / 0.9)
        assert EXACT.is_kink(near, earlier, far) == expected
        assert EXACT.is_macroscopic_kink(near, far) == expected


def test_a_kink_between_slopes_as_steep_as_a_folds_is_a_detail_of_one() -> None:
    steepest = d.KINK_STEEPEST * RANGE / 0.9
    assert EXACT.is_macroscopic_kink(*bent(1.0, slope=-BELOW * steepest)[1:])
    assert not EXACT.is_macroscopic_kink(*bent(1.0, slope=-ABOVE * steepest)[1:])


def test_tangents_may_meet_a_little_outside_of_both_points() -> None:
    for part, expected in ((BELOW, True), (ABOVE, False)):
        a = at(1.0, -1.0, 9.0)
        fraction = -part * d.KINK_BEYOND  # of the width, before the first point
        b = at(2.0, -3.0, 9.0 - 1.0 * fraction - 3.0 * (1.0 - fraction))
        assert (kink_position(a, b, slack=0.0) is not None) == expected


def test_a_margin_vanishes_between_two_points_if_it_extrapolates_to_zero_there() -> None:
    for part, expected in ((BELOW, True), (ABOVE, False)):
        falling = at(1.0, -1.0, 9.0, margin=part * d.MARGIN_VANISHES * 0.5, margin_slope=-0.5)
        assert margin_vanishes_between(falling, at(2.0, -1.0, 8.0)) == expected


# -- orders ---------------------------------------------------------------------------------------

FIRST = Evidence(exponent=0.5, margin=1e-3, reach=1.0, halved_step=True, jump_norm_squared=RANGE, jump_curvature=0.0)
SECOND = replace(FIRST, exponent=1.0, jump_norm_squared=0.0, jump_curvature=1.0)


@pytest.mark.parametrize(("evidence", "window"), [(FIRST, d.SQUARE_ROOT), (SECOND, d.LINEAR)], ids=["first", "second"])
def test_an_exponent_counts_within_its_window(evidence: Evidence, window: tuple[float, float]) -> None:
    order = "first" if evidence is FIRST else "second"
    for exponent, inside in zip((BELOW * window[0], *window, ABOVE * window[1]), (False, True, True, False), strict=True):
        told = order_of(replace(evidence, exponent=exponent), norm_range=RANGE, separates=False)
        assert told == (order if inside else "not classified")
        assert has_meaning(exponent) == inside


@pytest.mark.parametrize("evidence", [FIRST, SECOND], ids=["first", "second"])
def test_a_margin_must_vanish_where_the_bracket_lies(evidence: Evidence) -> None:
    near, far = (replace(evidence, reach=part * d.VANISHES_WITHIN) for part in (BELOW, ABOVE))
    assert order_of(near, norm_range=RANGE, separates=False) != "not classified"
    assert order_of(far, norm_range=RANGE, separates=True) == "not classified"


def test_a_jump_of_the_norm_is_one_from_a_thousandth_of_its_range_on() -> None:
    small, large = (part * d.CONTINUOUS * RANGE for part in (BELOW, ABOVE))
    first, second = (
        [order_of(replace(evidence, jump_norm_squared=size), norm_range=RANGE, separates=False) for size in (small, large)]
        for evidence in (FIRST, SECOND)
    )
    assert first == ["not classified", "first"]
    assert second == ["second", "not classified"]


def test_a_linear_law_with_a_jump_is_of_first_order_where_the_jump_separates_phases() -> None:
    small, large = (replace(SECOND, jump_norm_squared=part * d.CONTINUOUS * RANGE) for part in (BELOW, ABOVE))
    assert order_of(small, norm_range=RANGE, separates=True) == "second"
    assert order_of(large, norm_range=RANGE, separates=True) == "first"


# -- steps that are planned -------------------------------------------------------------------------


@pytest.mark.parametrize("bend", [1e-2, 1.0, 1e3])
def test_the_longest_certain_step_hides_what_it_may(bend: float) -> None:
    earlier, near = at(1.0, -1.0, 9.0), at(1.5, -1.0 - 0.5 * bend, 8.0)
    step = EXACT.longest_certain(near, earlier)
    assert 0.5 * near.beta * bend * step**2 == pytest.approx(d.HIDING_STEP * d.MAY_BE_MACROSCOPIC * RANGE)


@pytest.mark.parametrize("power", [-3.0, -1.5, -0.5, 1.0])
@pytest.mark.parametrize("way", [1.0, -1.0])
def test_where_hessians_are_dear_the_longest_step_hides_what_it_may_if_slopes_keep_their_power(
    power: float, way: float
) -> None:
    def slope(beta: float) -> float:
        return -9.0 * beta**power

    earlier, near = (at(beta, slope(beta), 9.0) for beta in (0.5 - 0.05 * way, 0.5))
    far = near.beta * math.exp(way * SPARING.longest_certain(near, earlier) / near.beta)
    low, high = sorted((near.beta, far))
    change = (
        9.0 * (high ** (power + 2.0) - low ** (power + 2.0)) / (power + 2.0) if power != -2.0 else 9.0 * math.log(high / low)
    )
    hidden = change - least_change((low, high), (-slope(low), -slope(high)))
    allowed = d.SPARING_STEP * d.MAY_BE_MACROSCOPIC * RANGE
    assert hidden == pytest.approx(allowed, rel=0.02) or (hidden < allowed and high == pytest.approx(math.e * low))


@pytest.mark.parametrize("height", [0.5, 3.0, 50.0])
def test_the_shortest_reach_hides_what_it_may(height: float) -> None:
    ahead = 0.1
    near = at(1.0, -height / ahead, 9.0)  # its slope of E times the distance is the height of the square root
    part = EXACT.shortest_reach(near, ahead)
    assert height * (1.0 - math.sqrt(part)) ** 2 == pytest.approx(d.HIDING_REACH * d.MAY_BE_MACROSCOPIC * RANGE)


def test_a_tolerance_blurs_a_place_by_its_residual_over_the_pull_along_the_branch() -> None:
    near = replace(at(0.5, -4.0, 9.0), tangent=torch.tensor([3.0, 4.0], dtype=torch.float64))
    residual = 1e-6 * 2.0 * 0.5 * 3.0
    assert blur(near, 1e-6, 0.5) == pytest.approx(2.0 * residual * 5.0 / 4.0)
    assert blur(near, 1.0, 0.5) == d.BLUR * 0.5
