"""Order parameters: closed forms, class by class, part by part."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spinodal.errors import SpinodalError
from spinodal.landscape.penalty import Penalty
from spinodal.observe import Observation, Observer, accuracy, class_accuracy, effective_rank, singular_values
from spinodal.tasks import Task

# -- rank --------------------------------------------------------------------------------------


def test_singular_values_are_the_prescribed_ones_in_falling_order() -> None:
    known = [3.0, 0.25, 1e-3]
    left = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q[:, :3]
    right = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    matrix = left * torch.tensor(known, dtype=torch.float64) @ right
    for shaped in (matrix, matrix.T):
        assert singular_values(shaped) == pytest.approx(known, rel=1e-10)
    assert all(type(value) is float for value in singular_values(matrix.float()))


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ((), 0),
        ((0.0, 0.0), 0),
        ((1.0,), 1),
        ((2.0, 0.5, 0.21), 3),
        ((2.0, 0.5, 0.2), 2),  # at the threshold does not count
        ((2.0, 0.5, 0.19), 2),
        ((1e-3,), 0),
        ((1.1e-3,), 1),
        ((5e-3, 2e-3, 9e-4), 2),  # the absolute floor
        ((0.2, 2.0, 0.5), 2),  # in any order
    ],
)
def test_effective_rank_counts_values_above_a_tenth_of_the_largest_and_a_thousandth(
    values: tuple[float, ...], rank: int
) -> None:
    assert effective_rank(values) == rank


@given(st.lists(st.floats(min_value=0.02, max_value=100.0), min_size=1, max_size=8), st.floats(min_value=1.0, max_value=50.0))
def test_effective_rank_ignores_the_scale_of_matrices_that_are_not_tiny(values: list[float], factor: float) -> None:
    thresholds = [abs(value - 0.1 * max(values)) for value in values]
    if min(thresholds) > 1e-9 * max(values):
        assert effective_rank([factor * value for value in values]) == effective_rank(values)


# -- accuracy ----------------------------------------------------------------------------------

SCORES = torch.tensor([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.1, 0.2], [5.0, 0.0, 0.0]])


def test_recall_is_counted_class_by_class_and_a_class_without_samples_has_none() -> None:
    assert class_accuracy(SCORES, torch.tensor([0, 1, 1, 1, 0]), 3) == (1.0, pytest.approx(1 / 3), None)


def test_accuracy_is_the_mean_of_recalls_weighted_by_class_sizes() -> None:
    labels = torch.tensor([0, 1, 1, 2, 2])
    recalls, sizes = class_accuracy(SCORES, labels, 3), [1, 2, 2]
    assert recalls == (1.0, 0.5, 0.5)
    assert accuracy(SCORES, labels) == pytest.approx(np.average(recalls, weights=sizes)) == 0.6


def test_perfect_and_hopeless_predictions_have_accuracy_one_and_zero() -> None:
    labels = SCORES.argmax(1)
    assert accuracy(SCORES, labels) == 1.0
    assert accuracy(SCORES, (labels + 1) % 3) == 0.0


# -- everything at one point -------------------------------------------------------------------


class Net(nn.Module):
    """A layer, a convolution's worth of weights in three dimensions, and a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)
        self.filters = nn.Conv1d(1, 2, 2, bias=False)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layer(x) + 0 * self.filters(x[:, None]).sum()


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    targets = batch[1] if batch[1].is_floating_point() else nn.functional.one_hot(batch[1], 3)
    return (model(batch[0]) - targets).square().sum(1).mean()


def data(labels: object = None) -> tuple[Tensor, Tensor]:
    x = torch.tensor([[3.0, 1, 0], [2, 1, 0], [0, 1, 0.5], [0, 0.1, 0.2], [5, 0, 0]], dtype=torch.float64)
    return x, torch.tensor([0, 1, 1, 2, 2]) if labels is None else labels


def observe(task: Task, theta: Tensor, penalty: Penalty | None = None) -> Observation:
    return Observer(task.landscape(), penalty or Penalty(), task)(theta)


def theta(first: float = 2.0) -> Tensor:
    """Return a point whose net predicts `first * x0, x1, x2`."""
    layer = torch.diag(torch.tensor([first, 1.0, 1.0]))
    filters = torch.tensor([[1.0, 0.0], [0.0, 0.01]])
    return torch.cat([torch.ones(3), layer.reshape(-1), filters.reshape(-1)]).double()


def task(**options: Any) -> Task:
    return Task(Net(), squared, options.pop("data", data()), **options)


def test_an_observation_equals_what_is_computed_by_hand() -> None:
    point = theta()
    seen = observe(task(), point)
    assert seen.norm == pytest.approx(math.sqrt(3 + 6 + 1 + 1e-4), rel=1e-7)
    assert seen.distance == seen.norm
    assert dict(seen.singular_values) == {
        "layer.weight": pytest.approx((2.0, 1.0, 1.0)),
        "filters.weight": pytest.approx((1.0, 0.01), rel=1e-6),
    }
    assert dict(seen.ranks) == {"layer.weight": 3, "filters.weight": 1}
    assert seen.rank == 3  # of the layer: E does not depend on the filters
    assert dict(seen.accuracy) == {"train": 0.6, "held_out": None}
    assert dict(seen.class_accuracy) == {"train": (1.0, 0.5, 0.5), "held_out": None}
    outputs = data()[0].numpy() * [2.0, 1.0, 1.0]
    assert seen.output_variance == pytest.approx(outputs.var(0).sum(), rel=1e-12)
    assert dict(seen.custom) == {}


def test_the_confusion_matrix_counts_every_sample_once() -> None:
    x, labels = data()
    seen = observe(task(held_out=(x[:3], labels[:3])), theta())
    with task().landscape().at(theta()) as model:
        chosen = model(x).argmax(1).tolist()
    pairs = list(zip(labels.tolist(), chosen, strict=True))
    expected = tuple(tuple(pairs.count((row, column)) for column in range(3)) for row in range(3))
    assert seen.confusion["train"] == expected
    assert sum(map(sum, seen.confusion["held_out"])) == 3
    rows = zip(expected, seen.class_accuracy["train"], strict=True)
    assert [row[k] / sum(row) for k, (row, _) in enumerate(rows)] == list(seen.class_accuracy["train"])


def test_distance_is_measured_from_the_centre_over_the_penalised_parameters() -> None:
    point, mask = theta(), torch.zeros(16, dtype=torch.bool)
    mask[:3] = True
    seen = observe(task(), point, Penalty(centre=torch.full((16,), 3.0).double(), mask=mask))
    assert seen.distance == pytest.approx(math.sqrt(3 * 4))
    assert seen.norm == pytest.approx(float(point.norm()))


def test_batches_give_the_observation_of_one_batch() -> None:
    x, labels = data()
    split = task(data=[(x[:3], labels[:3]), (x[3:4], labels[3:4]), (x[4:], labels[4:])])
    whole, parts = observe(task(), theta()), observe(split, theta())
    assert parts.output_variance == pytest.approx(whole.output_variance, rel=1e-13)
    assert parts.reading["samples"] == "the first axis of the tensors"
    assert dataclasses.replace(parts, output_variance=whole.output_variance, reading=whole.reading) == whole


def test_held_out_data_are_scored_apart() -> None:
    x, labels = data()
    seen = observe(task(held_out=(x[:3], labels[:3])), theta())
    assert dict(seen.accuracy) == {"train": 0.6, "held_out": pytest.approx(2 / 3)}
    assert seen.class_accuracy["held_out"] == (1.0, 0.5, None)


def test_one_hot_targets_are_scored_like_labels() -> None:
    one_hot = nn.functional.one_hot(data()[1], 3).double()
    assert observe(task(data=data(one_hot)), theta()) == observe(task(), theta())


def test_real_targets_have_no_accuracy_but_a_variance() -> None:
    seen = observe(task(data=data(torch.linspace(0, 1, 15).view(5, 3).double())), theta())
    assert dict(seen.accuracy) == {"train": None, "held_out": None}
    assert seen.class_accuracy["train"] is None
    assert seen.output_variance > 0


@pytest.mark.parametrize("labels", [torch.tensor([0, 1, 2, 3, 0]), torch.tensor([0, 1, -1, 1, 0])])
def test_labels_that_are_no_class_of_the_outputs_have_no_accuracy(labels: Tensor) -> None:
    plain = Task(Net(), lambda model, batch: model(batch[0]).square().mean(), data(labels))
    seen = observe(plain, theta())
    assert seen.accuracy["train"] is None
    assert seen.output_variance > 0


def test_a_model_that_cannot_be_asked_for_predictions_has_no_scores() -> None:
    def fails(model: nn.Module, batch: object) -> Tensor:
        raise RuntimeError

    for predict in (fails, lambda model, batch: 3.0, lambda model, batch: model(batch[0]).sum()):
        seen = observe(task(predict=predict), theta())
        assert seen.output_variance is None
        assert seen.accuracy["train"] is None
        assert seen.rank == 3


def test_predictions_and_labels_are_the_task_s_own_where_given() -> None:
    own = task(predict=lambda model, batch: -model(batch[0]), labels=lambda batch: torch.zeros(5, dtype=torch.long))
    assert observe(own, theta()).accuracy["train"] == pytest.approx(2 / 5)


def test_the_task_s_own_observables_see_the_model_at_theta() -> None:
    own = task(observables={"corner": lambda model: model.layer.weight[0, 0], "scales": lambda model: model.scale.sum()})
    assert dict(observe(own, theta(7.0)).custom) == {"corner": 7.0, "scales": 3.0}


def test_an_observable_may_make_numbers_of_parameters() -> None:
    own = {"norm": lambda model: float(model.layer.weight.norm()), "sum": lambda model: model.scale.sum().item()}
    seen = observe(task(observables=own), theta(7.0))
    assert dict(seen.custom) == {"norm": pytest.approx(51.0**0.5), "sum": 3.0}


def test_constant_outputs_have_no_variance() -> None:
    assert observe(task(), torch.zeros(16).double()).output_variance == 0.0


def test_without_a_task_only_the_parameters_are_observed() -> None:
    landscape = task().landscape()
    seen = Observer(landscape, Penalty())(theta())
    assert seen.ranks == {"layer.weight": 3, "filters.weight": 1}
    assert seen.output_variance is None
    assert dict(seen.accuracy) == {"train": None, "held_out": None}


def test_a_model_without_matrices_has_rank_zero() -> None:
    plain = Task(nn.Linear(3, 1), lambda model, batch: model(batch[0]).square().mean(), data())
    model = nn.Module()
    model.w = nn.Parameter(torch.ones(2))
    vector = Task(model, lambda model, batch: model.w.square().sum(), None)
    assert observe(vector, torch.ones(2).double()).rank == 0
    assert observe(plain, torch.ones(4).double()).rank == 1


def test_observing_costs_no_evaluation_and_leaves_theta_alone() -> None:
    chosen, point = task(), theta()
    landscape = chosen.landscape()
    before = landscape.counts.copy()
    Observer(landscape, Penalty(), chosen)(point)
    assert landscape.counts == before
    assert torch.equal(point, theta())


def test_held_out_data_that_are_not_finite_are_refused() -> None:
    x, labels = data()
    with pytest.raises(SpinodalError):
        observe(task(held_out=(math.nan * x, 0 * labels)), theta())
