"""Lines and checkers: what the images are, and the phases of the network that tells them apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.tasks import patterns


def test_clean_images_are_lines_and_checkers_at_every_place_equally_often() -> None:
    images, labels = patterns(noise=0.0, samples=24).data
    assert images.shape == (24, 1, 4, 4)
    horizontal, vertical, checkers = (images[labels == k, 0] for k in range(3))
    assert all(bool((image == image[:, :1]).all()) and float(image.sum()) == 4 for image in horizontal)
    torch.testing.assert_close(vertical, horizontal.transpose(1, 2))
    assert all(bool((image[1:] + image[:-1] == 1).all() & (image[:, 1:] + image[:, :-1] == 1).all()) for image in checkers)
    assert horizontal.sum((0, 2)).tolist() == [8.0] * 4


def test_noise_is_drawn_from_the_seed_and_held_out_images_are_others() -> None:
    task, again, other = (patterns(seed=seed) for seed in (1, 1, 2))
    assert torch.equal(task.data[0], again.data[0])
    assert not torch.equal(task.data[0], other.data[0])
    assert not torch.equal(task.data[0], task.held_out[0])
    clean, _ = patterns(noise=0.0).data
    assert float((task.data[0] - clean).std()) == pytest.approx(0.3, rel=0.03)
    assert patterns(held_out=0).held_out is None


def test_the_network_has_the_convolutions_that_were_asked_for() -> None:
    kinds = [type(module) for module in patterns(channels=(8, 16), activation="relu").model]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert patterns().landscape().size == 8 * 9 + 8 + 16 * 72 + 16 + 3 * 256 + 3
    assert patterns(channels=(5,), bias=False).landscape().size == 5 * 9 + 3 * 80


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"samples": 2}, "samples = 2; whole numbers >= 3"),
        ({"held_out": -1}, "held_out = -1"),
        ({"noise": -0.1}, "noise = -0.1"),
        ({"noise": float("nan")}, "noise = nan"),
        ({"channels": ()}, "channels = ()"),
        ({"channels": (0,)}, "whole numbers >= 1"),
        ({"channels": 8}, "channels = 8; a sequence"),
        ({"activation": "rely"}, "unknown activation 'rely'"),
        ({"bias": 1}, "bias = 1"),
    ],
    ids=repr,
)
def test_arguments_out_of_range_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpinodalError) as refusal:
        patterns(**settings)
    assert reason in str(refusal.value)


def test_lines_merge_before_everything_does() -> None:
    diagram = sp.map_phases(patterns(samples=120, held_out=120), dtype="float32", beta=(0.015, 0.4), starts=2, bracket=1e-2)
    middles = [phase.points[len(phase.points) // 2].observation for phase in diagram.phases]
    train = [view.accuracy["train"] for view in middles]
    assert train[0] == 1.0
    assert train[-1] == pytest.approx(1 / 3, abs=1e-9)
    assert any(abs(value - 2 / 3) < 0.1 for value in train[1:-1])
    merged = next(view for view in middles[1:-1] if abs(view.accuracy["train"] - 2 / 3) < 0.1)
    rows = merged.confusion["train"]
    assert rows[2] == (0, 0, 40)  # checkers are told from lines, lines not from each other
    assert rows[0][2] + rows[1][2] <= 0.15 * 80
