"""Closed forms of deep linear networks: the published numbers, and the potential they come from."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinodal.errors import SpinodalError
from spinodal.theory import ExactTransition, deep_linear, mode_strength

depths = st.integers(min_value=3, max_value=12)
strengths = st.floats(min_value=0.05, max_value=20.0)


def potential(w: float, s: float, beta: float, matrices: int) -> float:
    return (s - w**matrices) ** 2 + matrices * beta * w**2


def slopes(w: float, s: float, beta: float, matrices: int) -> tuple[float, float]:
    """Return `V'` and `V''` by automatic differentiation."""
    point = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((s - point**matrices) ** 2 + matrices * beta * point**2, point, create_graph=True)
    (second,) = torch.autograd.grad(first, point)
    return float(first.detach()), float(second)


def one(s: float, matrices: int) -> ExactTransition:
    (transition,) = deep_linear([s], matrices=matrices)
    return transition


@pytest.mark.parametrize(("s", "spinodal", "coexistence"), [(0.9, 0.410549, 0.344839), (0.8, 0.350882, 0.294723)])
def test_the_numbers_for_three_matrices_are_the_published_ones(s: float, spinodal: float, coexistence: float) -> None:
    transition = one(s, 3)
    assert transition.order == "first"
    assert transition.beta == pytest.approx(spinodal, abs=5e-7)
    assert transition.coexistence == pytest.approx(coexistence, abs=5e-7)


@pytest.mark.parametrize(("matrices", "ratio"), [(3, 1.1906), (4, 1.4142), (5, 1.6494)])
def test_the_ratio_of_spinodal_and_coexistence_is_the_published_one(matrices: int, ratio: float) -> None:
    transition = one(0.7, matrices)
    assert transition.beta / transition.coexistence == pytest.approx(ratio, abs=5e-5)


@given(strengths, depths)
def test_the_ratio_of_spinodal_and_coexistence_depends_on_depth_alone(s: float, matrices: int) -> None:
    transition = one(s, matrices)
    assert transition.beta / transition.coexistence == pytest.approx(matrices * 2 ** (2 / matrices - 2), rel=1e-12)


@given(strengths, depths)
def test_slope_and_curvature_of_the_potential_vanish_at_the_spinodal(s: float, matrices: int) -> None:
    beta = one(s, matrices).beta
    w = (s * (matrices - 2) / (2 * matrices - 2)) ** (1 / matrices)
    first, second = slopes(w, s, beta, matrices)
    scale = matrices * beta
    assert first == pytest.approx(0.0, abs=1e-12 * scale * max(w, 1.0))
    assert second == pytest.approx(0.0, abs=1e-11 * scale * matrices)


@given(strengths, depths)
def test_the_live_mode_equals_the_dead_one_at_coexistence(s: float, matrices: int) -> None:
    beta = one(s, matrices).coexistence
    w = mode_strength(beta, s, matrices=matrices) ** (1 / matrices)
    assert potential(w, s, beta, matrices) == pytest.approx(s**2, rel=1e-11)
    lower, upper = (0.99 * beta, 1.01 * beta)
    assert potential(mode_strength(lower, s, matrices=matrices) ** (1 / matrices), s, lower, matrices) < s**2
    assert potential(mode_strength(upper, s, matrices=matrices) ** (1 / matrices), s, upper, matrices) > s**2


@given(strengths, st.integers(min_value=1, max_value=12), st.floats(min_value=1e-3, max_value=0.999))
def test_the_strength_of_a_mode_solves_its_equation_and_is_a_minimum(s: float, matrices: int, fraction: float) -> None:
    end = one(s, matrices).beta if matrices > 1 else 10 * s
    beta = fraction * end
    u = mode_strength(beta, s, matrices=matrices)
    w = u ** (1 / matrices)
    assert 0 < u < s
    assert w ** (matrices - 2) * (s - u) == pytest.approx(beta, rel=1e-9)
    assert slopes(w, s, beta, matrices)[1] > 0


@given(strengths, st.integers(min_value=2, max_value=12), st.floats(min_value=1.0001, max_value=100.0))
def test_beyond_its_end_a_mode_is_dead(s: float, matrices: int, factor: float) -> None:
    assert mode_strength(factor * one(s, matrices).beta, s, matrices=matrices) == 0.0


@pytest.mark.parametrize("matrices", [3, 4, 7])
def test_the_strength_jumps_at_the_spinodal_to_its_value_at_the_fold(matrices: int) -> None:
    end = one(0.9, matrices).beta
    fold = 0.9 * (matrices - 2) / (2 * matrices - 2)
    assert mode_strength(end * (1 - 1e-12), 0.9, matrices=matrices) == pytest.approx(fold, rel=1e-5)
    assert mode_strength(end * (1 + 1e-12), 0.9, matrices=matrices) == 0.0


@pytest.mark.parametrize("matrices", range(1, 8))
def test_without_penalty_a_mode_has_its_full_strength(matrices: int) -> None:
    assert mode_strength(0.0, 0.9, matrices=matrices) == pytest.approx(0.9, rel=1e-15)


@given(strengths, st.integers(min_value=1, max_value=8))
def test_a_mode_weakens_as_beta_grows(s: float, matrices: int) -> None:
    end = one(s, matrices).beta if matrices > 1 else 10 * s
    found = [mode_strength(end * step / 20, s, matrices=matrices) for step in range(25)]
    assert all(later <= earlier for earlier, later in pairwise(found))


def test_one_matrix_has_no_transition_and_a_smooth_strength() -> None:
    assert deep_linear([0.9, 0.5], matrices=1) == []
    assert mode_strength(0.5, 0.9, matrices=1) == pytest.approx(0.6, rel=1e-15)


def test_two_matrices_have_second_order_transitions_at_the_singular_values() -> None:
    assert deep_linear([0.9, 0.5], matrices=2) == [
        ExactTransition(0.5, "second", 0.5, None),
        ExactTransition(0.9, "second", 0.9, None),
    ]


@given(st.lists(strengths, max_size=6), st.integers(min_value=2, max_value=8))
def test_there_is_one_transition_for_every_singular_value_by_rising_beta(values: list[float], matrices: int) -> None:
    found = deep_linear(values, matrices=matrices)
    assert sorted(transition.singular_value for transition in found) == sorted(values)
    assert [transition.beta for transition in found] == sorted(transition.beta for transition in found)
    assert [transition.singular_value for transition in found] == sorted(values)  # the weakest mode dies first


@pytest.mark.parametrize(
    ("values", "matrices", "text"),
    [
        ([0.9], 0, "matrices = 0; N >= 1 weight matrices are allowed; give the depth"),
        ([0.9], -2, "matrices = -2"),
        ([0.9, 0.0], 3, "singular values [0.9, 0.0]; finite values > 0 are allowed; remove the others"),
        ([-0.1], 3, "singular values [-0.1]"),
        ([math.nan], 3, "singular values [nan]"),
        ([math.inf], 2, "singular values [inf]"),
    ],
)
def test_bad_arguments_are_refused_with_what_to_do(values: list[float], matrices: int, text: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        deep_linear(values, matrices=matrices)
    assert text in str(refusal.value)


@pytest.mark.parametrize("values", [0.9, "0.9", ["0.9"], [None], [True], torch.tensor(0.9), {0.9: 1}])
def test_singular_values_that_are_no_numbers_are_refused(values: object) -> None:
    with pytest.raises(SpinodalError, match=r"^singular values .*finite (values|numbers) > 0"):
        deep_linear(values, matrices=3)


@pytest.mark.parametrize("matrices", [2.0, 2.5, "3", None, True, math.nan])
def test_a_depth_that_is_no_whole_number_is_refused(matrices: object) -> None:
    for call in (lambda: deep_linear([0.9], matrices=matrices), lambda: mode_strength(0.1, 0.9, matrices=matrices)):
        with pytest.raises(SpinodalError, match=r"^matrices = .*; N >= 1 weight matrices are allowed; give the depth"):
            call()


BAD_STRENGTHS = {
    "negative beta": ((-0.1, 0.9, 3), "beta = -0.1; a finite beta >= 0 is allowed"),
    "beta is NaN": ((math.nan, 0.9, 3), "beta = nan; a finite beta >= 0 is allowed"),
    "infinite beta": ((math.inf, 0.9, 1), "beta = inf; a finite beta >= 0 is allowed"),
    "beta is text": (("0.1", 0.9, 2), "beta = '0.1'; a finite beta >= 0 is allowed"),
    "negative mode": ((0.1, -0.9, 3), "singular_value = -0.9; a finite value > 0 is allowed"),
    "no mode": ((0.1, 0.0, 2), "singular_value = 0.0; a finite value > 0 is allowed"),
    "mode is NaN": ((0.1, math.nan, 1), "singular_value = nan; a finite value > 0 is allowed"),
    "mode is a list": ((0.1, [0.9], 3), "singular_value = [0.9]; a finite value > 0 is allowed"),
    "no matrices": ((0.1, 0.9, 0), "matrices = 0; N >= 1 weight matrices are allowed; give the depth"),
}


@pytest.mark.parametrize("case", BAD_STRENGTHS)
def test_bad_arguments_of_a_strength_are_refused(case: str) -> None:
    (beta, s, matrices), text = BAD_STRENGTHS[case]
    with pytest.raises(SpinodalError) as refusal:
        mode_strength(beta, s, matrices=matrices)
    assert text in str(refusal.value)
