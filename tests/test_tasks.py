"""Tasks: exact data, reproducible starts, and what a task says when it is asked for the impossible."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from losses import squared
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.minima.minimise import minimise
from spinodal.tasks import Task, digits, gaussian
from spinodal.tasks.gaussian import ACTIVATIONS
from spinodal.theory import deep_linear


@st.composite
def settings(draw: Callable[..., Any]) -> dict[str, Any]:
    inputs, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    strengths = draw(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=min(inputs, outputs)))
    assume(len(set(strengths)) == len(strengths))
    return {
        "singular_values": strengths,
        "inputs": inputs,
        "outputs": outputs,
        "samples": draw(st.integers(inputs + outputs + 2, 300)),
        "noise": draw(st.sampled_from([0.0, 0.1, 2.0])),
        "seed": draw(st.integers(0, 1000)),
    }


@given(settings())
def test_gaussian_data_are_exact_on_the_sample(chosen: dict[str, Any]) -> None:
    x, y = gaussian(hidden=(2,), **chosen).data
    samples, outputs = len(x), chosen["outputs"]
    scale = max(1.0, *chosen["singular_values"]) + chosen["noise"]
    covariance = y.T @ x / samples
    noise = y - x @ covariance.T
    known = torch.zeros(min(x.shape[1], outputs), dtype=torch.float64)
    known[: len(chosen["singular_values"])] = torch.tensor(sorted(chosen["singular_values"], reverse=True), dtype=torch.float64)
    assert x.dtype == y.dtype == torch.float64
    torch.testing.assert_close(x.mean(0), torch.zeros(x.shape[1]).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(y.mean(0), torch.zeros(outputs).double(), rtol=0, atol=1e-12 * scale)
    torch.testing.assert_close(x.T @ x / samples, torch.eye(x.shape[1]).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.linalg.svdvals(covariance), known, rtol=0, atol=1e-12 * scale)
    torch.testing.assert_close(x.T @ noise / samples, torch.zeros(x.shape[1], outputs).double(), rtol=0, atol=1e-12 * scale)
    torch.testing.assert_close(
        noise.square().mean(0), torch.full((outputs,), chosen["noise"] ** 2, dtype=torch.float64), rtol=0, atol=1e-11 * scale**2
    )


def test_linear_regression_errs_by_the_noise_and_the_shrinkage() -> None:
    task, beta = gaussian(hidden=(), activation="linear", noise=0.3, samples=50), 0.1
    minimum = minimise(task.landscape(), beta=beta, start=task.initial(0))
    shrinkage = (beta / (1 + beta)) ** 2 * (0.9**2 + 0.5**2)
    assert minimum.error == pytest.approx(2 * 0.3**2 + shrinkage, rel=1e-9)


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data() -> None:
    first, again, other = (gaussian(seed=seed).data for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_held_out_gaussian_samples_follow_the_law_of_the_sample_and_leave_it_alone() -> None:
    task = gaussian(samples=50, held_out=20_000, noise=0.2)
    for kept, alone in zip(task.data, gaussian(samples=50, noise=0.2).data, strict=True):
        assert torch.equal(kept, alone)
    assert gaussian(samples=50).held_out is None
    law = torch.linalg.lstsq(*task.data).solution
    x, y = task.held_out
    assert x.shape == (20_000, 3)
    assert torch.allclose(x.T @ x / len(x), torch.eye(3, dtype=torch.float64), atol=0.05)
    assert (y - x @ law).square().mean(0).sqrt().tolist() == pytest.approx([0.2, 0.2], rel=0.03)


def test_making_a_task_leaves_the_global_generator_of_its_data_alone() -> None:
    torch.manual_seed(5)
    data = gaussian(hidden=()).data
    torch.manual_seed(6)
    assert torch.equal(gaussian(hidden=()).data[1], data[1])


def test_settings_name_every_argument_of_the_task() -> None:
    for make in (gaussian, digits):
        task = make()
        assert task.name == make.__name__
        always = {name for name, default in make.__kwdefaults__.items() if default is not None}
        assert always <= task.settings.keys() <= make.__kwdefaults__.keys()
        again = make(**task.settings)
        assert again.settings == task.settings
        assert torch.equal(again.data[0], task.data[0])
        assert torch.equal(again.initial(1), task.initial(1))


@pytest.mark.parametrize("hidden", [(), (4,), (4, 5), (10, 10, 10)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_net_has_the_widths_it_was_asked_for(hidden: tuple[int, ...], bias: bool) -> None:
    task = gaussian(hidden=hidden, bias=bias, samples=20)
    widths = [3, *hidden, 2]
    expected = sum(a * b + bias * b for a, b in pairwise(widths))
    assert task.landscape().size == len(task.initial(0)) == expected


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_stands_between_layers_and_nowhere_else(activation: str) -> None:
    task = gaussian(activation=activation, hidden=(4, 5), samples=20)
    kinds = [type(module) for module in task.model]
    assert kinds == [nn.Linear, ACTIVATIONS[activation], nn.Linear, ACTIVATIONS[activation], nn.Linear]
    landscape = task.landscape()
    assert math.isfinite(landscape.value(task.initial(0)))
    assert landscape.hessian_method.name == "factorised over samples"


def test_exact_transitions_are_attached_to_linear_nets_alone() -> None:
    linear = gaussian(activation="linear", singular_values=(0.5, 0.9), hidden=(10, 10))
    assert list(linear.exact) == deep_linear([0.9, 0.5], matrices=3)
    assert gaussian(activation="tanh").exact == ()


def test_a_narrow_net_has_the_transitions_of_its_strongest_modes_alone() -> None:
    narrow = gaussian(activation="linear", singular_values=(0.5, 0.9), hidden=(1, 10))
    assert [transition.singular_value for transition in narrow.exact] == [0.9]


BAD_GAUSSIAN: dict[str, tuple[dict[str, Any], str]] = {
    "too many values": (
        {"singular_values": (0.9, 0.5, 0.1)},
        "3 singular values for 3 inputs and 2 outputs; 1 to 2 values fit; drop values or raise inputs and outputs",
    ),
    "no values": ({"singular_values": ()}, "0 singular values"),
    "a negative value": ({"singular_values": (0.9, -0.5)}, "singular_values = [0.9, -0.5]; finite values > 0 are allowed"),
    "a value that is NaN": ({"singular_values": (math.nan,)}, "singular_values = [nan]"),
    "no inputs": ({"inputs": 0}, "inputs = 0; whole numbers >= 1 are allowed; give the number of units"),
    "half an output": ({"outputs": 1.5}, "outputs = 1.5; whole numbers >= 1 are allowed"),
    "an empty layer": ({"hidden": (4, 0)}, "hidden = 0; whole numbers >= 1 are allowed"),
    "a true layer": ({"hidden": (True,)}, "hidden = True; whole numbers >= 1 are allowed"),
    "unknown activation": ({"activation": "tahn"}, "unknown activation 'tahn'; known: elu, gelu, linear"),
    "few samples": ({"samples": 6}, "samples = 6; at least 7 samples are needed to centre and whiten; raise samples"),
    "negative noise": ({"noise": -0.1}, "noise = -0.1; a finite number >= 0 is allowed; try 0.1"),
    "negative held_out": ({"held_out": -1}, "held_out = -1; whole numbers >= 0 are allowed"),
    "noise that is NaN": ({"noise": math.nan}, "noise = nan; a finite number >= 0 is allowed"),
}
BAD_DIGITS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown activation": ({"activation": "relo"}, "unknown activation 'relo'; known: elu, gelu, linear, relu"),
    "everything held out": ({"held_out": 1.0}, "held_out = 1.0; a fraction from 0 to 0.9 is allowed; try 0.2"),
    "a negative part": ({"held_out": -0.1}, "held_out = -0.1; a fraction from 0 to 0.9 is allowed"),
    "a part that is NaN": ({"held_out": math.nan}, "held_out = nan; a fraction from 0 to 0.9 is allowed"),
}
REFUSED = [(gaussian, *case) for case in BAD_GAUSSIAN.values()] + [(digits, *case) for case in BAD_DIGITS.values()]


@pytest.mark.parametrize(
    ("make", "arguments", "text"),
    REFUSED,
    ids=[f"gaussian: {case}" for case in BAD_GAUSSIAN] + [f"digits: {case}" for case in BAD_DIGITS],
)
def test_bad_arguments_are_refused_with_what_to_do(make: Callable[..., Task], arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        make(**arguments)
    assert text in str(refusal.value)


WRONG_KIND: dict[str, tuple[Callable[..., Task], dict[str, Any], str]] = {
    "samples is a float": (gaussian, {"samples": 1000.0}, "samples = 1000.0; whole numbers >= 1 are allowed"),
    "samples is text": (gaussian, {"samples": "many"}, "samples = 'many'; whole numbers >= 1 are allowed"),
    "samples is negative": (gaussian, {"samples": -5}, "samples = -5; whole numbers >= 1 are allowed"),
    "inputs is text": (gaussian, {"inputs": "3"}, "inputs = '3'; whole numbers >= 1 are allowed"),
    "hidden is a number": (gaussian, {"hidden": 5}, "hidden = 5; a sequence of whole numbers >= 1 is allowed; for example"),
    "hidden is text": (gaussian, {"hidden": "10"}, "hidden = '10'; a sequence of whole numbers >= 1 is allowed"),
    "hidden is a single tensor": (gaussian, {"hidden": torch.tensor(3)}, "hidden = tensor(3); a sequence of whole numbers"),
    "half a unit": (digits, {"hidden": (8, 2.5)}, "hidden = 2.5; whole numbers >= 1 are allowed"),
    "values is a number": (gaussian, {"singular_values": 0.9}, "singular_values = 0.9; a sequence of finite numbers > 0"),
    "values is text": (gaussian, {"singular_values": "0.9"}, "singular_values = '0.9'; a sequence of finite numbers > 0"),
    "a value is text": (gaussian, {"singular_values": ["0.9"]}, "singular_values = ['0.9']; finite values > 0 are allowed"),
    "a value is None": (gaussian, {"singular_values": [None]}, "singular_values = [None]; finite values > 0 are allowed"),
    "a value is true": (gaussian, {"singular_values": [True]}, "singular_values = [True]; finite values > 0 are allowed"),
    "infinite noise": (gaussian, {"noise": math.inf}, "noise = inf; a finite number >= 0 is allowed"),
    "noise is text": (gaussian, {"noise": "loud"}, "noise = 'loud'; a finite number >= 0 is allowed"),
    "bias is a number": (gaussian, {"bias": 1}, "bias = 1; True or False is allowed"),
    "bias is text": (digits, {"bias": "no"}, "bias = 'no'; True or False is allowed"),
    "activation is a class": (gaussian, {"activation": nn.Tanh}, "unknown activation"),
    "activation is a list": (digits, {"activation": ["tanh"]}, "unknown activation"),
    "seed is a float": (gaussian, {"seed": 0.5}, "seed = 0.5; whole numbers from 0 to 2^63 - 1 are allowed"),
    "seed is negative": (digits, {"seed": -1}, "seed = -1; whole numbers from 0"),
    "seed is huge": (gaussian, {"seed": 2**64}, "seed = 18446744073709551616; whole numbers from 0"),
    "an empty layer": (digits, {"hidden": (0,)}, "hidden = 0; whole numbers >= 1 are allowed"),
    "hidden is None": (digits, {"hidden": None}, "hidden = None; a sequence of whole numbers"),
    "a part that is text": (digits, {"held_out": "half"}, "held_out = 'half'; a fraction from 0 to 0.9 is allowed"),
}


@pytest.mark.parametrize("case", WRONG_KIND)
def test_arguments_of_the_wrong_kind_are_refused_too(case: str) -> None:
    make, arguments, text = WRONG_KIND[case]
    with pytest.raises(SpinodalError) as refusal:
        make(**arguments)
    assert text in str(refusal.value)


def test_numbers_of_other_libraries_are_taken_as_they_are() -> None:
    plain = gaussian(singular_values=(0.75, 0.5), inputs=3, hidden=(4,), samples=20, seed=1)
    other = gaussian(
        singular_values=torch.tensor([0.75, 0.5]),
        inputs=np.int64(3),
        hidden=np.array([4]),
        samples=np.int32(20),
        seed=np.int8(1),
    )
    assert other.settings == plain.settings
    assert json.dumps(other.settings) == json.dumps(plain.settings)
    assert torch.equal(other.data[1], plain.data[1])


# -- digits ------------------------------------------------------------------------------------


def test_digits_are_centred_scaled_images_with_one_hot_targets() -> None:
    x, y = digits().data
    assert (tuple(x.shape), tuple(y.shape)) == ((1797, 64), (1797, 10))
    torch.testing.assert_close(x.mean(0), torch.zeros(64).double(), rtol=0, atol=1e-12)
    assert float(x.std(correction=0)) == pytest.approx(1.0, rel=1e-12)
    assert torch.equal(y.sum(1), torch.ones(1797).double())
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert y.sum(0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as scikit-learn documents


def test_held_out_digits_are_scaled_by_the_training_part_and_lost_to_none() -> None:
    task, whole = digits(held_out=0.2, seed=1), digits()
    (x, y), (x_out, y_out) = task.data, task.held_out
    assert len(x_out) == len(y_out) == round(0.2 * 1797)
    assert len(x) + len(x_out) == 1797
    torch.testing.assert_close(y.sum(0) + y_out.sum(0), whole.data[1].sum(0))
    torch.testing.assert_close(x.mean(0), torch.zeros(64).double(), rtol=0, atol=1e-12)
    assert float(x.std(correction=0)) == pytest.approx(1.0, rel=1e-12)
    assert x_out.mean(0).abs().max() > 1e-3
    assert whole.held_out is None


def test_the_split_of_digits_depends_on_the_seed_alone() -> None:
    first, again, other = (digits(held_out=0.2, seed=seed).held_out[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_untrained_digits_net_errs_like_its_formula() -> None:
    task = digits(hidden=(4,))
    landscape, theta = task.landscape(), task.initial(0)
    w1, b1, w2, b2 = theta.split([256, 4, 40, 10])
    x, y = task.data
    outputs = torch.tanh(x @ w1.view(4, 64).T + b1) @ w2.view(10, 4).T + b2
    assert landscape.value(theta) == pytest.approx(float((outputs - y).square().sum(1).mean()), rel=1e-12)
    assert landscape.value(torch.zeros_like(theta)) == pytest.approx(1.0)


# -- your own task -----------------------------------------------------------------------------


def pair() -> tuple[Tensor, Tensor]:
    return torch.randn(9, 3), torch.randn(9, 2)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2))


class Raw(nn.Module):
    """A layer that can be reset, and a parameter that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(3, 2), nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layer(x)


def frozen() -> nn.Module:
    model = net()
    model[0].requires_grad_(False)
    return model


INITIAL: dict[str, Callable[[], Task]] = {
    "gaussian": lambda: gaussian(samples=20),
    "digits": digits,
    "normalised": lambda: Task(net(), squared, pair()),
    "raw parameter": lambda: Task(Raw(), squared, pair()),
    "frozen layer": lambda: Task(frozen(), squared, pair()),
    "convolution": lambda: Task(nn.Conv1d(1, 2, 3), lambda model, batch: model(batch[0][:, None]).square().mean(), pair()),
}


@pytest.mark.parametrize("case", INITIAL)
def test_a_random_start_depends_on_the_seed_alone_and_draws_nothing_from_the_global_generator(case: str) -> None:
    task = INITIAL[case]()
    before = [value.clone() for value in task.model.parameters()]
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    first, again, other = task.initial(1), task.initial(seed=1), task.initial(2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, again)
    assert (first - other).norm() > 1e-2
    assert first.shape == (task.landscape().size,)
    assert first.dtype == torch.float64
    assert all(torch.equal(old, new) for old, new in zip(before, task.model.parameters(), strict=True))


def test_parameters_that_nothing_resets_keep_their_sign_and_order_of_magnitude() -> None:
    starts = torch.stack([Task(Raw(), squared, pair()).initial(seed)[:2] for seed in range(50)])
    ratios = starts / torch.tensor([1.0, -2.0])
    assert 0.5 <= float(ratios.min()) < 0.6
    assert 1.4 < float(ratios.max()) <= 1.5


@pytest.mark.parametrize("zeros", [(0,), (1,), (0, 1)])
def test_a_start_is_random_for_every_parameter(zeros: tuple[int, ...]) -> None:
    model = Raw()
    with torch.no_grad():
        model.scale[list(zeros)] = 0.0
    task = Task(model, squared, pair())
    first, again, other = (task.initial(seed)[:2] for seed in (0, 0, 1))
    assert first.all()
    assert torch.equal(first, again)
    assert (first != other).all()
    assert first[list(zeros)].abs().max() < 1
    assert not model.scale[list(zeros)].any()


def test_a_scalar_that_is_zero_starts_elsewhere() -> None:
    class Offset(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset = nn.Parameter(torch.tensor(0.0))

    task = Task(Offset(), lambda model, _: (model.offset - 1) ** 2, None)
    assert task.initial(0).shape == (1,)
    assert task.initial(0).all()


def test_a_start_of_one_s_own_is_used() -> None:
    task = Task(net(), squared, pair(), initial=lambda seed: torch.full((34,), float(seed)))
    assert task.initial(3).tolist() == [3.0] * 34
    assert task.initial().tolist() == [0.0] * 34


def test_a_task_s_landscape_is_that_of_its_model_loss_and_data() -> None:
    task = Task(net(), squared, pair())
    own, direct = task.landscape(), Landscape(task.model, squared, task.data)
    assert own.value(own.initial) == direct.value(direct.initial)
    assert task.landscape(dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize(
    ("patterns", "masked"),
    [
        (("*.bias",), {"0.bias", "1.bias", "3.bias"}),
        (("1.*",), {"1.weight", "1.bias"}),
        (("0.weight", "3.bias"), {"0.weight", "3.bias"}),
        (("[01].*",), {"0.weight", "0.bias", "1.weight", "1.bias"}),
        ("*.bias", {"0.bias", "1.bias", "3.bias"}),
    ],
)
def test_excluded_patterns_are_masked_out_of_the_penalty(patterns: str | tuple[str, ...], masked: set[str]) -> None:
    assert masked_by(Task(net(), squared, pair(), exclude=patterns)) == masked


@pytest.mark.parametrize(
    ("include", "exclude", "masked"),
    [
        ("0.*", (), {"1.weight", "1.bias", "3.weight", "3.bias"}),
        (["*.weight"], [], {"0.bias", "1.bias", "3.bias"}),
        ("*.weight", "1.*", {"0.bias", "1.weight", "1.bias", "3.bias"}),
        ("*", "3.*", {"3.weight", "3.bias"}),
    ],
)
def test_what_include_matches_and_exclude_does_not_is_penalised(include: Any, exclude: Any, masked: set[str]) -> None:
    assert masked_by(Task(net(), squared, pair(), include=include, exclude=exclude)) == masked


def masked_by(task: Task) -> set[str]:
    """Return the names of the parameters left out of a task's penalty; each is left out as a whole."""
    landscape = task.landscape()
    mask = task.penalty(landscape).mask
    assert mask is not None
    assert mask.dtype == torch.bool
    parts = {slot.name: set(mask[slot.start : slot.stop].tolist()) for slot in landscape.parameters.slots}
    assert all(len(values) == 1 for values in parts.values())
    return {name for name, values in parts.items() if values == {False}}


@pytest.mark.parametrize("patterns", [{"exclude": "*"}, {"include": "*.bias", "exclude": ["[013].*"]}, {"include": []}])
def test_a_penalty_of_nothing_is_refused(patterns: dict[str, Any]) -> None:
    task = Task(net(), squared, pair(), **patterns)
    with pytest.raises(SpinodalError) as refusal:
        task.penalty(task.landscape())
    assert "leave no parameter in the penalty; parameters: 0.weight, 0.bias" in str(refusal.value)
    assert "leave at least one in" in str(refusal.value)


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_patterns_that_are_no_words_are_refused(name: str) -> None:
    with pytest.raises(SpinodalError, match=f"{name} holds a int; patterns of parameter names are allowed"):
        Task(net(), squared, pair(), **{name: [3]})
    with pytest.raises(SpinodalError, match=f"{name} is a int; patterns of parameter names are allowed"):
        Task(net(), squared, pair(), **{name: 3})


def test_without_patterns_everything_is_penalised() -> None:
    task = Task(net(), squared, pair())
    penalty = task.penalty(task.landscape())
    assert penalty.mask is None
    assert penalty.centre is None


def test_a_pattern_that_matches_nothing_is_refused_with_the_names_there_are() -> None:
    task = Task(net(), squared, pair(), exclude=["*.bias", "encoder.*"])
    with pytest.raises(SpinodalError) as refusal:
        task.penalty(task.landscape())
    text = str(refusal.value)
    assert "exclude pattern 'encoder.*' matches no parameter" in text
    assert "parameters: 0.weight, 0.bias, 1.weight, 1.bias, 3.weight, 3.bias" in text
    assert "'*.bias'" in text


def test_tied_parameters_are_penalised_once_and_frozen_ones_not() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))
    model[2].weight = model[0].weight
    model[4].requires_grad_(False)
    task = Task(model, squared, pair(), exclude="*.bias")
    landscape, theta = task.landscape(), task.initial(0)
    assert [slot.name for slot in landscape.parameters.slots] == ["0.weight", "0.bias", "2.bias"]
    assert len(theta) == landscape.size == 15
    assert task.penalty(landscape).norm_squared(theta) == pytest.approx(float(theta[:9] @ theta[:9]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((net, squared, None), "model is a function; an nn.Module is allowed; pass an instance"),
        ((nn.Linear, squared, None), "model is a type"),
        (
            (net(), "mse", None),
            "loss is a str; a function (model, batch) -> scalar, or a criterion such as nn.CrossEntropyLoss(), is allowed",
        ),
    ],
)
def test_a_task_without_model_or_loss_is_refused(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        Task(*arguments)
    assert text in str(refusal.value)
