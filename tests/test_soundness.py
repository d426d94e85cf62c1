"""What is no energy is refused, with the cause and the way out in the text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.landscape.scale import refuse_scale_invariance
from spinodal.tasks import Task

SAMPLES = 12


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(SAMPLES, 3, dtype=torch.float64), torch.randn(SAMPLES, 1, dtype=torch.float64)


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().mean()


def net(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 1))


def refusal(model: nn.Module, loss: Callable[..., Any], data: object, **options: Any) -> SpinodalError:
    with pytest.raises(SpinodalError) as caught:
        Landscape(model, loss, data, **options)
    error = caught.value
    assert str(error) == f"{error.got}; {error.allowed}; {error.do}"
    assert all(len(part.split()) >= 2 for part in (error.got, error.allowed, error.do))
    return error


# -- modules -----------------------------------------------------------------------------------

TRAINING: dict[str, tuple[nn.Module, str]] = {
    "dropout": (nn.Dropout(0.1), "draws random numbers in training mode"),
    "dropout of channels": (nn.Dropout1d(0.1), "draws random numbers in training mode"),
    "alpha dropout": (nn.AlphaDropout(0.1), "draws random numbers in training mode"),
    "feature alpha dropout": (nn.FeatureAlphaDropout(0.1), "draws random numbers in training mode"),
    "random relu": (nn.RReLU(), "draws random numbers in training mode"),
    "batch normalisation": (nn.BatchNorm1d(4), "uses batch statistics in training mode"),
    "batch normalisation without memory": (nn.BatchNorm1d(4, track_running_stats=False), "uses batch statistics"),
}


@pytest.mark.parametrize("case", TRAINING)
def test_a_module_that_is_no_function_of_the_sample_is_refused_by_name(case: str) -> None:
    module, cause = TRAINING[case]
    error = refusal(net(module), squared, batch())
    assert error.got.startswith(f"1 ({type(module).__name__}) {cause}")
    assert "E is not a function of theta" in error.got
    assert "call model.eval() before" in error.do


@pytest.mark.parametrize("case", [case for case in TRAINING if "without memory" not in case])
def test_the_same_module_in_evaluation_mode_is_accepted(case: str) -> None:
    landscape = Landscape(net(TRAINING[case][0]).eval(), squared, batch())
    assert landscape.value(landscape.initial) == landscape.value(landscape.initial)


def test_batch_statistics_in_evaluation_mode_are_refused_too() -> None:
    error = refusal(net(nn.BatchNorm1d(4, track_running_stats=False)).eval(), squared, batch())
    assert error.got.startswith("1 (BatchNorm1d) uses batch statistics for want of running statistics")
    assert "E is not a function of theta" in error.got
    assert "keep running statistics" in error.do


def test_dropout_with_probability_zero_is_accepted() -> None:
    assert Landscape(net(nn.Dropout(0.0)), squared, batch()).size == 21


class FunctionalDropout(nn.Module):
    """Dropout that no inspection of modules can see."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(functional.dropout(x, 0.5, training=self.training))


class Attention(nn.Module):
    """Attention with dropout as a number, not as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0].sum(1, keepdim=True)


class Drifting(nn.Module):
    """A model that changes its own buffer whenever it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(x) * self.calls


def noisy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return squared(model, (batch[0] + 0.1 * torch.randn_like(batch[0]), batch[1]))


def drop_last(data: tuple[Tensor, Tensor]) -> object:
    return DataLoader(TensorDataset(*data), batch_size=5, shuffle=True, drop_last=True)


RANDOM: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor], Callable[[tuple[Tensor, Tensor]], object]]] = {
    "dropout as a function": (FunctionalDropout, squared, lambda data: data),
    "dropout inside attention": (Attention, squared, lambda data: data),
    "a buffer that counts calls": (Drifting, squared, lambda data: data),
    "noise in the loss": (net, noisy, lambda data: data),
    "a shuffling loader": (net, squared, lambda data: DataLoader(TensorDataset(*data), batch_size=5, shuffle=True)),
    "a shuffling loader that drops samples": (net, squared, drop_last),
}


@pytest.mark.parametrize("case", RANDOM)
def test_an_error_that_differs_between_evaluations_is_refused_with_both_values(case: str) -> None:
    model, loss, supply = RANDOM[case]
    error = refusal(model(), loss, supply(batch()))
    assert error.got.startswith(("two evaluations of the same theta gave ", "two walks over the data gave different batches"))
    assert "E is not a function of theta" in error.got
    assert "deterministic" in error.allowed
    assert "dropout" in error.do
    assert "shuffling loader" in error.do


# -- losses ------------------------------------------------------------------------------------


def missing_name(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return squared(model, {"x": batch[0]}["y"])


def unused_model(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return torch.zeros((), requires_grad=True) + batch[1].mean()


LOSSES: dict[str, tuple[Callable[..., Any], str, str]] = {
    "a vector": (
        lambda m, b: (m(b[0]) - b[1]).square()[:, 0],
        f"loss(model, batch) returned a tensor of shape ({SAMPLES},)",
        "take the mean over the batch's samples",
    ),
    "a vector of one": (lambda m, b: squared(m, b)[None], "returned a tensor of shape (1,)", "take the mean"),
    "a number": (lambda m, b: squared(m, b).item(), "loss(model, batch) returned float", "return the error alone, as a tensor"),
    "nothing": (lambda m, b: None, "loss(model, batch) returned NoneType", "return the error alone, as a tensor"),
    "a NaN": (lambda m, b: squared(m, b) * math.nan, "loss(model, batch) returned nan", "look for a division by zero"),
    "infinity": (lambda m, b: squared(m, b) / 0, "loss(model, batch) returned inf", "look for a division by zero"),
    "a detached tensor": (lambda m, b: squared(m, b).detach(), "loss(model, batch) has no gradient", "look for .detach()"),
    "no use of the model": (lambda m, b: b[1].mean(), "loss(model, batch) has no gradient", "look for .detach()"),
    "a missing key": (missing_name, "loss(model, batch) raised KeyError: 'y'", "check that the shapes and dtypes"),
    "wrong shapes": (
        lambda m, b: squared(m, (b[0].T, b[1])),
        "loss(model, batch) raised RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        "check that the shapes and dtypes",
    ),
    "a gradient that is not finite": (
        lambda m, b: squared(m, b) + m[0].weight.sub(m[0].weight.detach()).sum().abs().sqrt(),
        "the gradient is not finite at the initial parameters",
        "look for a square root or logarithm at zero",
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_that_is_no_differentiable_finite_scalar_is_refused_with_its_cause(case: str) -> None:
    loss, cause, way_out = LOSSES[case]
    error = refusal(net(), loss, batch())
    assert cause in error.got
    assert way_out in error.do


def test_an_error_raised_by_the_loss_is_kept_as_the_cause() -> None:
    error = refusal(net(), missing_name, batch())
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("loss", [functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss, functional.huber_loss])
def test_broadcasting_a_column_against_a_row_is_refused(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = batch()
    error = refusal(net(), lambda model, b: loss(model(b[0]), b[1]), (x, y[:, 0]))
    assert "target size" in error.got
    assert "shapes" in error.do


def test_equal_shapes_are_accepted_by_the_same_loss() -> None:
    assert Landscape(net(), lambda model, b: functional.mse_loss(model(b[0]), b[1]), batch()).size == 21


@pytest.mark.parametrize("case", ["the outer model", "a constant of its own"])
@pytest.mark.parametrize("data", [batch, lambda: [batch(), batch()]], ids=["one batch", "two batches"])
def test_a_loss_that_does_not_depend_on_theta_is_refused(case: str, data: Callable[[], object]) -> None:
    model = net().double()
    loss = (lambda _, b: squared(model, b)) if case == "the outer model" else unused_model
    error = refusal(model, loss, data())
    assert "none with respect to the parameters of its argument `model`" in error.got
    assert "use `model` inside the loss" in error.do


def test_one_batch_that_depends_on_theta_is_enough() -> None:
    free = torch.zeros((), requires_grad=True)
    first, second = (torch.zeros(2, 3), torch.zeros(2, 1)), (torch.ones(2, 3), torch.ones(2, 1))
    landscape = Landscape(net(), lambda m, b: squared(m, b) if b[1].any() else free + b[1].mean(), [first, second])
    assert landscape.gradient(landscape.initial).any()


# -- data --------------------------------------------------------------------------------------


def spoiled(value: float, place: int) -> tuple[Tensor, Tensor]:
    data = batch()
    data[place][3, 0] = value
    return data


def endless() -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield batch()


def nameless(model: nn.Module, b: dict[str, Tensor]) -> Tensor:
    return squared(model, (b["x"], b["y"]))


DATA: dict[str, tuple[Callable[[], object], str, str]] = {
    "no batches": (list, "data is empty", "check the data set's path or filter"),
    "no samples": (lambda: tuple(part[:0] for part in batch()), "data is empty", "check the data set's path or filter"),
    "only empty batches": (lambda: [tuple(part[:0] for part in batch())] * 2, "data is empty", "check the data set's path"),
    "a generator": (endless, "data is a generator, which cannot be walked twice", "keep its batches in a list"),
    "an iterator": (
        lambda: iter([batch()]),
        "data is a list_iterator, which cannot be walked twice",
        "keep its batches in a list",
    ),
    "a number": (lambda: 3, "data is a int without tensors", "pass its tensors"),
    "a NaN in the inputs": (
        lambda: spoiled(math.nan, 0),
        "data is not finite: 1 of 36 entries of tensor 0",
        "clean or drop these samples",
    ),
    "infinity in the targets": (
        lambda: [batch(), spoiled(math.inf, 1)],
        "data is not finite: 1 of 12 entries of tensor 1",
        "clean or drop these samples",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_used_are_refused_with_their_cause(case: str) -> None:
    data, cause, way_out = DATA[case]
    error = refusal(net(), squared, data())
    assert cause in error.got
    assert way_out in error.do


def test_a_nan_in_a_dict_is_found_by_its_key() -> None:
    x, y = spoiled(math.nan, 0)
    error = refusal(net(), nameless, [{"x": batch()[0], "y": y}, {"x": x, "y": y}])
    assert "tensor x" in error.got
    assert "batch 1" in error.got


def test_integer_data_are_not_taken_for_infinite() -> None:
    tokens, labels = torch.randint(5, (SAMPLES,)), torch.randint(2, (SAMPLES,))
    landscape = Landscape(nn.Embedding(5, 2), lambda model, b: functional.cross_entropy(model(b[0]), b[1]), (tokens, labels))
    assert landscape.size == 10


def test_a_model_without_trainable_parameters_is_refused() -> None:
    model = net().requires_grad_(False)
    error = refusal(model, squared, batch())
    assert error.got == "the model has no trainable parameter"
    assert "unfreeze a parameter" in error.do


# -- scale invariance --------------------------------------------------------------------------

INVARIANT: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "a layer before a normalisation": (lambda: net(nn.LayerNorm(4, elementwise_affine=False)), ("0",)),
    "a layer without bias before a normalisation": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 1)),
        ("0", "0.weight"),
    ),
    "a layer before an affine normalisation": (lambda: net(nn.LayerNorm(4)), ("0",)),
    "a layer before a group normalisation": (lambda: net(nn.GroupNorm(1, 4, affine=False)), ("0",)),
}


@pytest.mark.parametrize("case", INVARIANT)
def test_a_scale_invariant_block_is_refused_by_name(case: str) -> None:
    build, names = INVARIANT[case]
    landscape = Landscape(build(), squared, batch())
    with pytest.raises(SpinodalError) as caught:
        refuse_scale_invariance(landscape, Penalty())
    assert caught.value.got.startswith(tuple(f"E does not depend on the scale of {name} " for name in names))
    assert "mask" in caught.value.do


def test_all_scale_invariant_blocks_are_named_at_once_with_the_patterns_that_mask_them() -> None:
    model = nn.Sequential(Unscaled(), nn.Linear(1, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 1))
    landscape = Landscape(model, squared, batch())
    with pytest.raises(SpinodalError) as caught:
        refuse_scale_invariance(landscape, Penalty())
    assert caught.value.got.startswith("E does not depend on the scale of 0.direction and of 1 ")
    assert "exclude=['0.direction', '1.*'] of Task" in caught.value.do
    refuse_scale_invariance(landscape, Task(model, squared, batch(), exclude=["0.direction", "1.*"]).penalty(landscape))


class Unscaled(nn.Module):
    """A weight vector that is used by its direction only."""

    def __init__(self) -> None:
        super().__init__()
        self.direction, self.offset = nn.Parameter(torch.randn(3)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x @ functional.normalize(self.direction, dim=0)[:, None] + self.offset


def test_a_vector_used_by_its_direction_is_refused_and_may_be_masked() -> None:
    landscape = Landscape(Unscaled(), squared, batch())
    with pytest.raises(SpinodalError, match="scale of direction "):
        refuse_scale_invariance(landscape, Penalty())
    refuse_scale_invariance(landscape, Penalty(mask=torch.tensor([False, False, False, True])))
    with pytest.raises(SpinodalError, match="scale of direction "):
        refuse_scale_invariance(landscape, Penalty(mask=torch.tensor([True, True, True, False])))


FELT: dict[str, Callable[[], nn.Module]] = {
    "tanh": lambda: net(nn.Tanh()),
    "relu": lambda: net(nn.ReLU()),
    "relu without bias": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False)),
    "linear": net,
    "normalised inputs": lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 1)),
    "normalisation in evaluation mode": lambda: net(nn.BatchNorm1d(4)).eval(),
    "a wide layer": lambda: nn.Sequential(nn.Linear(3, 20_000), nn.Tanh(), nn.Linear(20_000, 1)),
}


@pytest.mark.parametrize("case", FELT)
def test_blocks_that_feel_their_scale_are_accepted(case: str) -> None:
    landscape = Landscape(FELT[case](), squared, batch())
    value, doubled = (landscape.value(factor * landscape.initial) for factor in (1.0, 2.0))
    assert abs(doubled - value) > 1e-3
    before = landscape.counts.gradient_evaluations
    refuse_scale_invariance(landscape, Penalty())  # raises where it is wrong
    assert landscape.counts.gradient_evaluations > before  # and has looked


CENTRES: dict[str, tuple[Callable[[Landscape], Tensor], bool]] = {
    "at the origin": (lambda landscape: torch.zeros(landscape.size), True),
    "elsewhere, but not on the block": (lambda landscape: (torch.arange(landscape.size) >= 16).double(), True),
    "on the block": (lambda landscape: (torch.arange(landscape.size) < 16).double(), False),
    "on one entry of the block": (lambda landscape: (torch.arange(landscape.size) == 3).double(), False),
}


@pytest.mark.parametrize("case", CENTRES)
def test_a_scale_invariant_block_is_refused_unless_it_is_pulled_to_a_point(case: str) -> None:
    centre, refused = CENTRES[case]
    landscape = Landscape(net(nn.LayerNorm(4, elementwise_affine=False)), squared, batch())
    with pytest.raises(SpinodalError, match="scale of 0 ") if refused else nullcontext():
        refuse_scale_invariance(landscape, Penalty(centre=centre(landscape)))


def test_a_centre_on_masked_out_parameters_does_not_count() -> None:
    landscape = Landscape(Unscaled(), squared, batch())
    centre, mask = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([False, True, True, True])
    with pytest.raises(SpinodalError, match="scale of direction "):
        refuse_scale_invariance(landscape, Penalty(centre=centre, mask=mask))
    refuse_scale_invariance(landscape, Penalty(centre=centre))
