"""Sparse parity and modular addition: what their data are, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spinodal.errors import SpinodalError
from spinodal.observe.scores import scores
from spinodal.tasks import modular, parity


def test_the_target_of_parity_is_the_product_of_the_relevant_bits_alone() -> None:
    for x, y in (parity().data, parity().held_out):
        assert set(x.unique().tolist()) == {-1.0, 1.0}
        torch.testing.assert_close(y[:, 0], x[:, 0] * x[:, 1] * x[:, 2])
    assert (len(parity().data[0]), len(parity().held_out[0]), parity(held_out=0).held_out) == (400, 1000, None)
    assert torch.equal(parity(seed=1).data[0], parity(seed=1).data[0])
    assert not torch.equal(parity(seed=1).data[0], parity().data[0])


def test_the_accuracy_of_parity_is_that_of_signs() -> None:
    task = parity(bits=4, relevant=1, samples=50, hidden=(), bias=False)
    landscape = task.landscape()
    for weights, right in (([1.0, 0, 0, 0], 1.0), ([-1.0, 0, 0, 0], 0.0)):
        assert scores(landscape, task, torch.tensor(weights), landscape.batches).accuracy == right


def test_pairs_are_trained_on_or_held_out_and_each_once() -> None:
    task = modular(p=7)
    train, test = task.data, task.held_out
    x, y = torch.cat([train[0], test[0]]), torch.cat([train[1], test[1]])
    assert (len(train[0]), len(x)) == (37, 49)
    assert len(x.unique(dim=0)) == 49
    a, b = x[:, :7].argmax(1), x[:, 7:].argmax(1)
    assert torch.equal(y.argmax(1), (a + b) % 7)
    assert modular(p=3, part=1.0).held_out is None
    assert not torch.equal(modular(p=7, seed=1).data[0], train[0])


def test_squares_of_waves_add_exactly() -> None:
    """`(cos u + cos v)^2` holds `cos(u + v)`: ten phases of two frequencies leave it largest at the sum."""
    p, task = 5, modular(p=5, hidden=(20,), part=1.0)
    k, phase = torch.meshgrid(torch.arange(1.0, 3.0), torch.arange(10) * torch.pi / 10, indexing="ij")
    k, phase = k.reshape(-1, 1).double(), phase.reshape(-1, 1).double()
    wave = torch.cos(2 * torch.pi * k * torch.arange(p) / p + phase)
    first = torch.cat([wave, wave], 1)
    second = torch.cos(2 * torch.pi * k * torch.arange(p) / p + 2 * phase).T
    with torch.no_grad():
        task.model[0].weight.copy_(first)
        task.model[2].weight.copy_(second)
    x, y = task.data
    assert torch.equal(task.model(x).argmax(1), y.argmax(1))


@pytest.mark.parametrize(
    ("make", "settings", "reason"),
    [
        (parity, {"relevant": 21}, "relevant = 21 of 20 bits"),
        (parity, {"bits": 0}, "bits = 0"),
        (parity, {"samples": 0}, "samples = 0"),
        (parity, {"held_out": -1}, "held_out = -1"),
        (parity, {"activation": "square"}, "unknown activation 'square'"),
        (modular, {"p": 1}, "p = 1; whole numbers >= 2"),
        (modular, {"part": 0.0}, "part = 0.0 of 121 pairs"),
        (modular, {"part": 1.5}, "part = 1.5"),
        (modular, {"p": 2, "part": 0.1}, "part = 0.1 of 4 pairs"),
        (modular, {"hidden": 64}, "hidden = 64"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        make(**settings)
    assert reason in str(refusal.value)
