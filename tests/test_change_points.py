"""Change points: jumps are found where they are, and nothing smooth is taken for one."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

import spinodal as sp
from spinodal.curvature.changes import SIGNIFICANT, change_points

Array = NDArray[np.float64]
FOLD = 0.25 ** (1 / 3)  # the weight at which the chain of depth 3 ends, beta = FOLD * 3 / 8


def grid(low: float, high: float, step: float) -> Array:
    """Return equal steps of log beta."""
    return low * np.exp(step * np.arange(math.floor(math.log(high / low) / step) + 1))


def chain(beta: Array) -> Array:
    """Return R of L along the live phase of `E = (1 - w1 w2 w3)^2 / 2`: Hess L has one simple and one double eigenvalue."""
    weights = [max(root.real for root in np.roots([1.0, 0.0, 0.0, -1.0, 2.0 * b]) if abs(root.imag) < 1e-9) for b in beta]
    t = np.array(weights)
    own, other = t**4 + 2 * beta, 2 * t**4 - t  # on and off the diagonal of Hess L
    simple, double = own + 2 * other, own - other
    curvature: Array = 4 * simple * double + 2 * double**2
    return curvature


# -- what is no change point ----------------------------------------------------------------------

SMOOTH = {
    "a constant": lambda beta: np.full_like(beta, 3.0),
    "a straight line": lambda beta: 4.0 + np.log(beta),
    "a power law": lambda beta: beta**2.0,
    "a bend": lambda beta: 1.0 / (1.0 + beta**4),
    "a kink": lambda beta: 1.0 + np.maximum(0.0, np.log(beta)),
    "rounding": lambda beta: 1.0 + 1e-15 * np.sin(1e3 * beta),
    "a decay to nothing": lambda beta: np.exp(-20.0 * beta) + 1e-15 * np.sin(1e3 * beta),
}


@pytest.mark.parametrize("step", [0.01, 0.03, 0.09])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_curve_has_no_step(name: str, step: float) -> None:
    beta = grid(0.1, 10.0, step)
    assert not [found for found in change_points(beta, SMOOTH[name](beta)) if found.kind == "step"]


@pytest.mark.parametrize("seed", range(5))
def test_the_square_root_before_a_fold_is_no_step_however_its_points_lie(seed: int) -> None:
    """Steps shrink from a third of beta to 1e-6 of it towards the fold, as those of a walk do."""
    random = np.random.default_rng(seed)
    ahead = 0.3 * np.cumprod(random.uniform(0.1, 0.9, 40))
    beta = FOLD * 3 / 8 * np.exp(-ahead[ahead > 1e-7])
    assert change_points(beta, chain(beta)) == ()


def test_few_points_have_none() -> None:
    assert change_points([], []) == change_points([1.0], [2.0]) == ()
    assert change_points([1.0, 1.01], [2.0, 9.0]) == ()  # nothing beside them tells a step from a slope
    assert change_points([1.0, 1.01, 1.02], [0.0, 0.0, 0.0]) == ()


# -- what is one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("jump", [-4.0, 0.5, 20.0])
def test_a_jump_is_one_step_between_its_neighbours(jump: float, step: float) -> None:
    beta = grid(0.1, 10.0, step)
    (found,) = change_points(beta, 8.0 + 0.3 * np.log(beta) + jump * (beta > 0.7312))
    low, high = found.bracket
    assert (found.kind, low < 0.7312 < high) == ("step", True)
    assert math.log(high / low) == pytest.approx(step)
    assert found.after - found.before == pytest.approx(jump + 0.3 * step)
    assert found.significance == math.inf


def test_the_jump_at_the_end_of_a_fold_is_one_step_in_its_bracket() -> None:
    fold = FOLD * 3 / 8
    alive, dead = fold * np.exp(-np.array([1.5, 0.8, 0.3, 0.05, 1e-3, 1e-6])), fold * np.exp(np.array([1e-6, 0.02, 0.3, 0.6]))
    values = [*chain(alive), *(6 * (2 * dead) ** 2)]  # all eigenvalues of the dead phase are 2 beta
    (found,) = change_points([*alive, *dead], values)
    assert found.bracket == (alive[-1], dead[0])
    assert found.beta == pytest.approx(fold, rel=1e-6)


def test_a_sign_change_lies_between_the_points_of_opposite_signs() -> None:
    beta = grid(0.5, 2.0, 0.03)
    (found,) = change_points(beta, np.log(beta / 1.2))
    assert found.kind == "sign change"
    assert found.beta == pytest.approx(1.2, rel=1e-12)
    assert found.bracket in set(pairwise(beta))


def test_a_sign_change_in_a_jump_is_that_step() -> None:
    beta = grid(0.5, 2.0, 0.03)
    (found,) = change_points(beta, np.where(beta < 1.0, 1.0, -1.0))
    assert found.kind == "step"


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_units_of_beta_and_of_the_values_are_irrelevant(factor: float) -> None:
    beta = grid(0.1, 10.0, 0.03)
    values = np.tanh(40.0 * np.log(beta / 2.0)) + np.log(beta) + 0.5
    usual = change_points(beta, values)
    assert [found.kind for found in usual] == ["sign change", "step"]
    for other in (change_points(factor * beta, values), change_points(beta, factor * values)):
        assert [found.kind for found in other] == [found.kind for found in usual]
    shifted = change_points(factor * beta, values)
    assert [found.beta / factor for found in shifted] == pytest.approx([found.beta for found in usual])


def test_the_order_of_the_points_and_numbers_that_are_missing_are_irrelevant() -> None:
    beta = grid(0.1, 10.0, 0.03)
    values = 8.0 - 3.0 * (beta > 1.5)
    shuffled = np.random.default_rng(0).permutation(len(beta))
    assert change_points(beta[shuffled], values[shuffled]) == change_points(beta, values)
    more = [*beta, 1.0, 2.0], [*values, math.nan, math.inf]
    assert change_points(*more) == change_points(beta, values)


# -- error bars -----------------------------------------------------------------------------------


def test_chance_is_no_change_point() -> None:
    """100 curves with errors of 1 % to 30 %: none has a change point."""
    random = np.random.default_rng(0)
    beta = grid(0.1, 10.0, 0.02)
    for spread in np.geomspace(0.01, 0.3, 100):
        values = beta**-0.5
        found = change_points(beta, values + spread * random.standard_normal(len(beta)), np.full_like(beta, spread))
        assert found == ()


def test_a_jump_is_found_beyond_its_error_bars_alone() -> None:
    random = np.random.default_rng(1)
    beta, error = grid(0.5, 2.0, 0.02), 0.02
    values = 1.0 + error * random.standard_normal(len(beta))
    (found,) = change_points(beta, values + 1.0 * (beta > 1.0), np.full_like(beta, error))
    assert found.significance > SIGNIFICANT
    assert found.significance == pytest.approx(1.0 / (error * 2**0.5), rel=0.2)
    assert change_points(beta, values + 0.05 * (beta > 1.0), np.full_like(beta, error)) == ()


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (([0.0, 1.0], [1.0, 2.0]), "a beta that is not positive; betas > 0"),
        (([math.nan, -1.0], [1.0, 2.0]), "a beta that is not positive"),
        (([1.0, 2.0], [1.0, 2.0], [0.1, -0.1]), "a standard error that is negative"),
        ((None, [1.0]), "beta = None; a sequence of numbers is allowed"),
        (("ab", [1.0, 2.0]), "beta = 'ab'"),
    ],
)
def test_columns_of_what_is_no_curve_are_refused(columns: tuple, text: str) -> None:
    with pytest.raises(sp.SpinodalError, match=text):
        change_points(*columns)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(sp.SpinodalError, match="2 betas, 3 values and 2 standard errors; as many of each are allowed"):
        change_points([1.0, 2.0], [1.0, 2.0, 3.0], [0.1, 0.1])
