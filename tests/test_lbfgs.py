"""L-BFGS: the directions of the textbook, a safe line search, and rows that do not know of each other."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spinodal.landscape import Landscape
from spinodal.landscape import landscape as landscape_module
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import MEMORY, Memory, Preconditioned, lbfgs, lbfgs_batch, memory_length
from spinodal.spectrum.preconditioner import Cholesky
from spinodal.tasks import gaussian


class Weights(nn.Module):
    """A vector of weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(size, dtype=torch.float64))


def quadratic(spectrum: Tensor, target: Tensor) -> Landscape:
    rotation = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64)).Q
    matrix = rotation * spectrum @ rotation.T
    return Landscape(Weights(len(spectrum)), lambda model, b: 0.5 * (model.w - target) @ matrix @ (model.w - target), None)


def small_net() -> tuple[Landscape, Tensor]:
    task = gaussian(inputs=2, outputs=2, hidden=(3,), samples=30)
    return task.landscape(), torch.stack([task.initial(seed) for seed in range(4)])


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_a_quadratic_is_solved_whatever_its_condition(condition: float) -> None:
    spectrum, target = torch.logspace(0, -np.log10(condition), 30, dtype=torch.float64), torch.randn(30).double()
    landscape = quadratic(spectrum, target)
    solution = lbfgs(Regularised(landscape, 1e-12), landscape.initial, tolerance=1e4)  # ||grad|| <= 2e-8 ||theta||
    assert solution.stop == "converged"
    torch.testing.assert_close(solution.theta, target, rtol=0, atol=1e-6 * condition)
    assert landscape.value(solution.theta) < 1e-9


def test_a_solution_carries_the_value_and_gradient_of_its_point() -> None:
    landscape, starts = small_net()
    loss = Regularised(landscape, 0.05)
    solution = lbfgs(loss, starts[0], tolerance=1e-6)
    value, gradient = loss.value_and_gradient(solution.theta)
    assert solution.value == pytest.approx(value, rel=1e-14)
    torch.testing.assert_close(solution.gradient, gradient)
    assert float(gradient.norm()) <= 1e-6 * loss.scale(solution.theta)


def test_a_start_at_the_minimum_costs_one_gradient() -> None:
    landscape = quadratic(torch.ones(3).double(), torch.zeros(3).double())
    before = landscape.counts.copy()
    solution = lbfgs(Regularised(landscape, 0.1), torch.zeros(3).double(), tolerance=1e-9)
    assert (solution.stop, solution.iterations) == ("converged", 0)
    assert (landscape.counts - before).gradient_evaluations == 1


def test_a_limit_on_iterations_is_kept_and_reported() -> None:
    landscape, starts = small_net()
    solution = lbfgs(Regularised(landscape, 0.01), starts[0], tolerance=1e-9, iterations=3)
    assert solution.stop == "iterations"


def test_the_loss_never_rises() -> None:
    landscape, starts = small_net()
    loss = Regularised(landscape, 0.01)
    values = [lbfgs(loss, starts[0], tolerance=1e-12, iterations=count).value for count in range(1, 25, 2)]
    assert all(later <= earlier + 1e-14 for earlier, later in pairwise(values))
    assert values[-1] < values[0]


def test_rows_of_a_batch_end_where_they_end_alone() -> None:
    landscape, starts = small_net()
    loss = Regularised(landscape, 0.05)
    ends, values = lbfgs_batch(loss, starts, tolerance=1e-7, iterations=2000)
    for start, end, value in zip(starts, ends, values, strict=True):
        alone = lbfgs(loss, start, tolerance=1e-7)
        assert alone.stop == "converged"
        assert float(value) == pytest.approx(alone.value, rel=1e-10)
        torch.testing.assert_close(end, alone.theta, rtol=1e-4, atol=1e-4)
        assert float(value) == pytest.approx(loss.value(end), rel=1e-13)


def test_the_order_of_rows_is_irrelevant() -> None:
    landscape, starts = small_net()
    loss, order = Regularised(landscape, 0.05), torch.tensor([3, 1, 0, 2])
    ends, _ = lbfgs_batch(loss, starts, tolerance=1e-6, iterations=30)
    shuffled, _ = lbfgs_batch(loss, starts[order], tolerance=1e-6, iterations=30)
    torch.testing.assert_close(shuffled, ends[order], rtol=1e-6, atol=1e-7)


def test_a_batch_minimises_with_centre_and_mask() -> None:
    target, centre = torch.randn(4).double(), torch.randn(4).double()
    landscape = quadratic(2 * torch.ones(4).double(), target)  # E = ||w - target||^2
    penalty = Penalty(centre=centre, mask=torch.tensor([True, True, False, False]))
    ends, _ = lbfgs_batch(Regularised(landscape, 0.5, penalty), torch.randn(3, 4).double(), tolerance=1e-9, iterations=100)
    exact = torch.where(penalty.mask, (target + 0.5 * centre) / 1.5, target)
    torch.testing.assert_close(ends, exact.expand(3, 4), rtol=1e-7, atol=1e-7)


def dense_direction(steps: Tensor, changes: Tensor, gradient: Tensor) -> Tensor:
    """Return `-H g` by the textbook's updates of a dense inverse Hessian (Nocedal & Wright, equations 7.16 and 7.20)."""
    eye = torch.eye(len(gradient), dtype=torch.float64)
    inverse = (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) * eye
    for s, y in zip(steps, changes, strict=True):
        left = eye - torch.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
    return -inverse @ gradient


@pytest.mark.parametrize(
    ("size", "kept"), [(30, 1), (30, 4), (30, MEMORY), (30, MEMORY + 7), (30, 4 * MEMORY), (160, 35), (160, 50)]
)
def test_directions_equal_those_of_dense_bfgs_updates(size: int, kept: int) -> None:
    factor = torch.randn(size, size).double()
    matrix = factor @ factor.T + torch.eye(size).double()
    steps, gradient = torch.randn(kept, size).double(), torch.randn(size).double()
    memory = Memory(gradient)
    for step in steps:
        memory.keep(step, gradient, gradient + matrix @ step)
    last = steps[-memory_length(gradient) :]
    assert len(last) == min(kept, max(MEMORY, size // 4))
    torch.testing.assert_close(memory.direction(gradient), dense_direction(last, last @ matrix, gradient), rtol=1e-7, atol=1e-9)


def test_what_a_search_knows_of_the_inverse_is_that_of_dense_updates_of_its_preconditioner() -> None:
    size, kept = 12, 7
    root = torch.randn(size, size).double()
    matrix = root @ root.T + torch.eye(size).double()
    known = Cholesky.of(matrix + torch.diag(torch.rand(size).double()))
    assert known is not None
    gradient, vector = torch.randn(2, size).double()
    memory = Preconditioned(gradient, known, math.inf)
    torch.testing.assert_close(memory.inverse(vector), known.inverse(vector))
    steps = []
    for _ in range(kept):
        steps.append(0.3 * memory.direction(gradient))
        before, gradient = gradient, gradient + matrix @ steps[-1]
        memory.keep(steps[-1], before, gradient)
    inner = torch.stack([known.factor.T @ step for step in steps])  # in z, where the preconditioner is the identity
    changes = torch.stack([known.gather(matrix @ step) for step in steps])
    expected = known.spread(-dense_direction(inner, changes, known.gather(vector)))
    torch.testing.assert_close(memory.inverse(vector), expected, rtol=1e-7, atol=1e-9)


def test_pairs_without_positive_curvature_are_not_kept() -> None:
    gradient = torch.randn(5).double()
    memory, same = Memory(gradient), Memory(gradient)
    none = torch.zeros(5).double()
    for step in torch.randn(3, 5).double():
        memory.keep(step, none, 2 * step)
        memory.keep(step, none, -step)
        memory.keep(step, none, none)
        same.keep(step, none, 2 * step)
    torch.testing.assert_close(memory.direction(gradient), same.direction(gradient), rtol=0, atol=0)


def test_without_pairs_the_direction_is_downhill_and_at_most_of_length_one() -> None:
    gradient = 100 * torch.ones(4).double()
    torch.testing.assert_close(Memory(gradient).direction(gradient), -gradient / gradient.norm())


def test_single_precision_serves_the_way_and_double_precision_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscape_module, "PAYS", 1)
    landscape, starts = small_net()
    assert landscape.single is not None
    loss, seen, before = Regularised(landscape, 0.05), [], landscape.counts.copy()
    evaluate = Landscape.value_and_gradient
    monkeypatch.setattr(
        Landscape, "value_and_gradient", lambda self, theta: (seen.append(self.dtype), evaluate(self, theta))[1]
    )
    solution = lbfgs(loss, starts[0], tolerance=1e-6)
    assert solution.stop == "converged"
    assert solution.theta.dtype == torch.float64
    assert float(solution.gradient.norm()) <= 1e-6 * loss.scale(solution.theta)
    turn = seen.index(torch.float64)
    assert 0 < turn < len(seen)
    assert set(seen[:turn]) == {torch.float32}
    assert set(seen[turn:]) == {torch.float64}
    assert (landscape.counts - before).gradient_evaluations == len(seen)  # both precisions are charged to one account


@pytest.mark.parametrize("kind", [torch.bool, torch.float64, torch.int64])
def test_in_single_precision_any_kind_of_mask_and_centre_serves(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    landscape, starts = small_net()
    penalty = Penalty(centre=0.1 * torch.ones(17).double(), mask=(torch.arange(17) > 0).to(kind))
    plain = lbfgs(Regularised(landscape, 0.3, penalty), starts[0], tolerance=1e-6)
    monkeypatch.setattr(landscape_module, "PAYS", 1)
    landscape, starts = small_net()
    mixed = lbfgs(Regularised(landscape, 0.3, penalty), starts[0], tolerance=1e-6)
    assert mixed.stop == plain.stop == "converged"
    assert mixed.value == pytest.approx(plain.value, rel=1e-10)


def test_a_loss_bound_to_double_precision_is_minimised_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscape_module, "PAYS", 1)
    matrix = torch.eye(3, dtype=torch.float64)
    landscape = Landscape(Weights(3).double(), lambda model, batch: ((matrix @ model.w) ** 2).sum(), None)
    assert landscape.single is None
    assert lbfgs(Regularised(landscape, 0.1), landscape.initial, tolerance=1e-9).stop == "converged"


def test_a_kink_stops_the_search_and_is_named() -> None:
    landscape = Landscape(Weights(2), lambda model, batch: (model.w - 0.3).abs().sum(), None)
    before = landscape.counts.copy()
    solution = lbfgs(Regularised(landscape, 0.1), landscape.initial, tolerance=1e-6, iterations=100)
    assert solution.stop == "kink"
    assert (landscape.counts - before).gradient_evaluations < 1000
    torch.testing.assert_close(solution.theta, torch.full((2,), 0.3).double(), rtol=0, atol=1e-6)


def test_an_unreachable_tolerance_stops_the_search_at_rounding() -> None:
    landscape = quadratic(torch.linspace(1, 2, 4).double(), torch.randn(4).double())
    solution = lbfgs(Regularised(landscape, 0.1), landscape.initial, tolerance=1e-20, iterations=60)
    assert solution.stop == "rounding"
