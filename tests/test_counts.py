"""Counts: what each evaluation costs, and that every evaluation is counted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spinodal.counts import Counts
from spinodal.landscape import Landscape

numbers = st.integers(min_value=0, max_value=10**6)
counts = st.builds(Counts, numbers, numbers, numbers, numbers, st.just(7))


@pytest.mark.parametrize(
    ("spent", "cost"),
    [
        (Counts(error_evaluations=1), 0.4),
        (Counts(gradient_evaluations=1), 1.0),
        (Counts(hessian_products=1), 2.5),
        (Counts(hessians=1, parameters=100), 250.0),
        (Counts(10, 3, 2, 1, 4), 4 + 3 + 5 + 10),
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
    assert Counts() + Counts(1, 2, 3, 4, 5) == Counts(1, 2, 3, 4, 5) + Counts() == Counts(1, 2, 3, 4, 5)


def test_a_copy_is_independent() -> None:
    spent = Counts(1, 2, 3, 4, 5)
    copy = spent.copy()
    copy.hessians += 1
    assert astuple(spent) == (1, 2, 3, 4, 5)
    assert astuple(copy) == (1, 2, 3, 5, 5)


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
    "a Hessian": (lambda landscape: landscape.hessian(THETA), Counts(hessians=1)),
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
    cost = Counts(*astuple(cost)[:4], parameters=4)
    assert landscape.counts - before == cost
    evaluate(landscape)
    assert landscape.counts - before == cost + cost
