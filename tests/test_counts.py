"""Counts: what each evaluation costs, and that every evaluation is counted once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spinodal.counts import Counts, passes_of
from spinodal.landscape import Landscape
from spinodal.landscape.hessian import Vectorised
from spinodal.tasks import gaussian

numbers = st.integers(min_value=0, max_value=10**6)
counts = st.builds(Counts, numbers, numbers, numbers, numbers, st.just(7), numbers)


@pytest.mark.parametrize(
    ("spent", "cost"),
    [
        (Counts(error_evaluations=1), 0.4),
        (Counts(gradient_evaluations=1), 1.0),
        (Counts(hessian_products=1), 2.5),
        (Counts(hessians=1, passes=250, parameters=100), 250.0),
        (Counts(10, 3, 2, 1, 4, 9), 4 + 3 + 5 + 9),
    ],
)
def test_gradient_equivalents_follow_the_convention(spent: Counts, cost: float) -> None:
    assert spent.gradient_equivalents == pytest.approx(cost, rel=1e-15)


@given(counts, counts)
def test_a_sum_less_one_part_is_the_other(first: Counts, second: Counts) -> None:
    total = first + second
    assert total - second == first
    assert total.gradient_equivalents == pytest.approx(first.gradient_equivalents + second.gradient_equivalents)


def test_a_sum_with_an_empty_count_keeps_the_number_of_parameters() -> None:
    spent = Counts(1, 2, 3, 4, 5, 6)
    assert Counts() + spent == spent + Counts() == spent


def test_a_copy_is_independent() -> None:
    spent = Counts(1, 2, 3, 4, 5, 6)
    copy = spent.copy()
    copy.hessians += 1
    assert astuple(spent) == (1, 2, 3, 4, 5, 6)
    assert astuple(copy) == (1, 2, 3, 5, 5, 6)


THETA = torch.full((4,), 0.5, dtype=torch.float64)
ROWS = torch.eye(4, dtype=torch.float64)[:3]

EVALUATIONS: dict[str, tuple[Callable[[Landscape], object], Counts]] = {
    "value": (lambda landscape: landscape.value(THETA), Counts(error_evaluations=1)),
    "gradient": (lambda landscape: landscape.gradient(THETA), Counts(gradient_evaluations=1)),
    "value and gradient": (lambda landscape: landscape.value_and_gradient(THETA), Counts(gradient_evaluations=1)),
    "three gradients": (lambda landscape: landscape.values_and_gradients(ROWS), Counts(gradient_evaluations=3)),
    "one product": (lambda landscape: landscape.hessian_product(THETA, ROWS[0]), Counts(hessian_products=1)),
    "three products": (lambda landscape: landscape.hessian_product(THETA, ROWS), Counts(hessian_products=3)),
    "an operator": (lambda landscape: landscape.hessian_operator(THETA)(ROWS), Counts(hessian_products=3)),
    "a Hessian": (lambda landscape: landscape.hessian(THETA), Counts(hessians=1, passes=7)),
    "the method": (lambda landscape: landscape.hessian_method, Counts()),
    "nothing": (lambda landscape: landscape.initial, Counts()),
}


@pytest.mark.parametrize("batches", [(8,), (5, 2, 1)])
@pytest.mark.parametrize("case", EVALUATIONS)
def test_every_evaluation_counts_once_over_the_full_sample(case: str, batches: tuple[int, ...]) -> None:
    evaluate, cost = EVALUATIONS[case]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).tanh().square().mean()

    x, y = torch.randn(8, 3), torch.randn(8, 1)
    landscape = Landscape(nn.Linear(3, 1), loss, list(zip(x.split(batches), y.split(batches), strict=True)))
    before = landscape.counts.copy()
    evaluate(landscape)
    cost = replace(cost, parameters=4)
    assert landscape.counts - before == cost
    evaluate(landscape)
    assert landscape.counts - before == cost + cost


def layered(*widths: int, samples: int) -> Landscape:
    layers = [nn.Sequential(nn.Linear(first, second), nn.Tanh()) for first, second in pairwise(widths)]
    data = (torch.randn(samples, widths[0]), torch.randn(samples, widths[-1]))
    return Landscape(nn.Sequential(*layers), lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), data)


def test_a_hessian_factorised_over_samples_is_charged_its_neurons_and_one_of_products_its_parameters() -> None:
    landscape = layered(3, 4, 2, samples=50)
    assert landscape.hessian_method.passes(landscape) == 26  # 1 + 2.5 (4 + 2 + 1) + 4 + 26 / 12, rounded up twice
    assert Vectorised().passes(landscape) == 2.5 * landscape.size


def test_the_charge_of_a_hessian_does_not_depend_on_how_many_samples_there_are() -> None:
    few, many = (layered(5, 8, 8, 2, samples=count) for count in (40, 400))
    assert few.hessian_method.passes(few) == many.hessian_method.passes(many)


def test_a_larger_matrix_is_charged_by_its_multiplications_over_those_of_a_gradient() -> None:
    assert passes_of(3 * 2.0 * 10 * 100, parameters=10, samples=100) == 1
    assert passes_of(3 * 2.0 * 10 * 100 * 7, parameters=10, samples=100) == 7


def test_what_a_block_spends_is_known_in_it_and_outside_of_it() -> None:
    landscape = gaussian(hidden=(3,), samples=10).landscape()
    theta, vector = landscape.initial, torch.ones_like(landscape.initial)
    before = landscape.counts.copy()
    with landscape.counting() as outer:
        landscape.gradient(theta)
        with landscape.counting() as inner:
            landscape.value(theta)
            assert (inner.error_evaluations, outer.error_evaluations) == (1, 1)
        with landscape.uncounted(), landscape.counting() as aside:
            landscape.gradient(theta)
        with suppress(LookupError), landscape.counting() as failed:
            landscape.hessian_product(theta, vector)
            raise LookupError
        landscape.value(theta)
    landscape.value(theta)
    assert (inner.error_evaluations, inner.gradient_evaluations) == (1, 0)
    assert (aside.gradient_evaluations, failed.hessian_products) == (1, 1)
    assert (outer.error_evaluations, outer.gradient_evaluations, outer.hessian_products) == (2, 1, 1)
    assert landscape.counts - before == outer + Counts(error_evaluations=1, parameters=landscape.size)


def test_accounts_that_are_equal_are_told_apart() -> None:
    landscape = gaussian(hidden=(3,), samples=10).landscape()
    with landscape.counting() as outer, landscape.counting():
        pass
    with landscape.counting() as one:
        with landscape.counting():
            pass
        landscape.value(landscape.initial)
    assert (outer.error_evaluations, one.error_evaluations) == (0, 1)


def test_twins_spend_on_the_same_accounts() -> None:
    landscape = gaussian(hidden=(3,), samples=10).landscape()
    parts = landscape.split(landscape.initial, pieces=2)
    assert parts is not None
    with landscape.counting() as spent:
        parts.gradient(landscape.initial)
    assert spent.gradient_evaluations == 1
