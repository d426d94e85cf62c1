"""Models of distinct classes: one is the centre of the other's penalty, and classes are lost and gained on the way between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spinodal as sp
from image_files import write_npz
from spinodal.errors import SpinodalError
from spinodal.plots import diagram_record
from spinodal.tasks.digits import digits
from test_cli import Command, command  # noqa: F401 - the fixture


def squares(count: int = 24) -> dict[str, np.ndarray]:
    """Return images of 4 x 4 pixels of which one quarter is bright, which tells the class."""
    drawn = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part in ("train", "test"):
        labels = np.arange(count) % 4
        images = drawn.normal(20, 10, (count, 4, 4))
        for image, label in zip(images, labels, strict=True):
            image[2 * (label // 2) : 2 * (label // 2) + 2, 2 * (label % 2) : 2 * (label % 2) + 2] += 200
        arrays[f"x_{part}"] = np.clip(images, 0, 255).astype(np.uint8)
        arrays[f"y_{part}"] = labels.astype(np.uint8)
    return arrays


TASK = ["mnist", "--set", "data=squares.npz", "--set", "outputs=4", "--set", "hidden=3", "--set", "loss=squared_error"]
HOW = ["--starts", "2", "--dtype", "float64", "--threads", "1", "--set", "activation=tanh"]


def test_on_the_way_from_one_model_to_another_all_that_both_know_lives(command: Command) -> None:  # noqa: F811
    write_npz(Path("squares.npz"), squares())
    first = [*TASK, *HOW, "--set", "classes=0,1", "--beta", "0.003:0.004", "--out", "first", "--quiet"]
    assert command("map", *first).code == 0
    start = json.loads(Path("first/result.json").read_text())["followed"][0]
    both = ["--set", "classes=2,3", "--set", "held_out_classes=0,1,2,3", "--centre", f"first:{start}", "--beta", "1:6"]
    done = command("map", *TASK, *HOW, *both, "--direction", "down", "--out", "second")
    assert (done.code, done.err) == (0, "")
    assert "classes gained" in done.out
    diagram = sp.load("second")
    assert [phase.classes for phase in diagram.phases] == [(0, 1, 2, 3), (0, 1)]
    (step,) = diagram.steps
    assert (step.lost, step.along[1:]) == ((2, 3), ((), (2, 3)))  # as beta rises, and on the way down
    seen = diagram.ends[0].observation
    assert seen.telling == "held_out"
    assert seen.class_accuracy == {"train": (None, None, 1.0, 1.0), "held_out": (1.0, 1.0, 1.0, 1.0)}
    assert diagram.ends[1].observation.class_accuracy["held_out"] == (1.0, 1.0, 0.0, 0.0)  # those of the centre
    recall = diagram_record(diagram).recall[0]
    assert (recall.key, len(recall.rows)) == ("recall_held_out", 4)


def test_a_model_trained_on_all_classes_is_told_by_its_training_data() -> None:
    seen = sp.map_phases(digits(hidden=(2,), held_out=0.5), beta=(0.5, 0.6), starts=1, solver="lbfgs").points[0].observation
    assert seen.telling == "train"


def test_some_of_the_digits_keep_ten_outputs_and_their_scale() -> None:
    whole, part = digits(held_out=0.2), digits(held_out=0.2, classes=(4, 0), held_out_classes=range(10))
    rows = whole.data[1][:, [0, 4]].any(1)
    assert part.data[0].equal(whole.data[0][rows])
    assert part.data[1].shape[1] == 10
    assert part.held_out is not None
    assert part.held_out[0].equal(whole.held_out[0])  # type: ignore[index]
    assert part.settings["classes"] == [0, 4]
    assert "classes" not in whole.settings


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"classes": (1,)}, "at least two different labels are allowed"),
        ({"classes": (1, 1)}, "at least two different labels are allowed"),
        ({"classes": (1, 11)}, "of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"classes": "01"}, "classes"),
        ({"held_out_classes": ()}, "one label or more are allowed"),
    ],
)
def test_classes_that_are_not_there_are_refused(settings: Any, text: str) -> None:
    with pytest.raises(SpinodalError, match=text):
        digits(**settings)
