"""Handwritten digits of 28 x 28 pixels (MNIST), or any set of images in the same form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from spinodal.arguments import real_number, seed_number, switch, whole_number
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape.batches import Batch
from spinodal.tasks.classes import chosen_classes
from spinodal.tasks.gaussian import activation_named, hidden_widths, network, squared_error
from spinodal.tasks.images import Labelled, places_of, read_images
from spinodal.tasks.mnist_files import mnist_place
from spinodal.tasks.task import Task

MEAN, DEVIATION = 0.1307, 0.3081  # of all pixels of the 60,000 images, from 0 to 1
Loss = Literal["cross_entropy", "squared_error"]


def mnist(
    *,
    data: str | Path | None = None,
    samples: int | None = None,
    held_out: int | None = None,
    classes: Sequence[int] | None = None,
    held_out_classes: Sequence[int] | None = None,
    outputs: int = 10,
    hidden: Sequence[int] = (128, 128),
    activation: str = "sigmoid",
    bias: bool = True,
    loss: Loss = "cross_entropy",
    mean: float = MEAN,
    deviation: float = DEVIATION,
    seed: int | None = None,
) -> Task:
    """Return the classification of MNIST's handwritten digits, or of other images, by a fully connected network.

    Images are rows of numbers from 0 to 1, less `mean`, over `deviation`. E is the mean cross-entropy, or the mean over samples
    of the sum over outputs of squared errors on one-hot targets. In single precision, unless another is asked for.

    Parameters
    ----------
    data : path of an .npz file with x_train, y_train, x_test and y_test, or of a folder with the four IDX files, gzipped or
        not. Default: what the environment variable SPINODAL_MNIST names, else MNIST itself, which is fetched once into the
        user's cache and checked.
    samples : number of images to train on. Default: all (60,000).
    held_out : number of images of the test part for held-out accuracy; 0 for none. Default: all (10,000).
    classes : labels of the classes to keep. Default: all. Labels and outputs stay as they are, so that models of different
        choices can be compared.
    held_out_classes : labels of the classes among the held-out images. Default: `classes`. With others, a map shows the recall
        of classes that are not trained on, too, and the living classes are those of the held-out images.
    outputs : number of outputs, at least 2; labels are 0 to `outputs - 1`. Default 10.
    hidden : widths of hidden layers. Default (128, 128).
    activation : one of the activations of `gaussian`. Default "sigmoid".
    bias : whether layers have biases. Default True.
    loss : "cross_entropy" or "squared_error". Default "cross_entropy".
    mean, deviation : of the pixels. Default .1307 and .3081.
    seed : of a random choice of the samples. Default: the first ones are taken.

    Raises
    ------
    SpinodalError
        For arguments of another kind or out of range, and for data that are not there, damaged, or do not fit.

    Notes
    -----
    With its defaults this is the network of arXiv 2512.11866.
    """
    layers, bias, kind = hidden_widths(hidden), switch("bias", bias), activation_named(activation)
    outputs = whole_number("outputs", outputs, least=2, do="give the number of classes")
    seed = None if seed is None else seed_number(seed)
    scale = _scale(mean, deviation)
    if loss not in LOSSES:
        raise unknown_name("loss", str(loss), LOSSES)
    images = read_images(mnist_place() if data is None else _path(data), outputs=outputs)
    kept = chosen_classes("classes", classes, _known(images.train), least=2)
    apart = chosen_classes("held_out_classes", held_out_classes, _known(images.test), least=1)
    train = _sampled("samples", images.train, samples, kept, seed, least=1)
    test = _sampled("held_out", images.test, held_out, apart or kept, seed, least=0)
    error, tensors = LOSSES[loss]
    return Task(
        network([train.pixels, *layers, outputs], kind, bias),
        error,
        tensors(train, outputs, *scale),
        held_out=tensors(test, outputs, *scale) if len(test) else None,
        name="mnist",
        settings={
            "data": data, "samples": samples, "held_out": held_out, "classes": kept, "outputs": outputs, "hidden": layers,
            "activation": activation, "bias": bias, "loss": loss, "mean": scale[0], "deviation": scale[1], "seed": seed,
            **({} if apart is None else {"held_out_classes": apart}),
        },
        dtype="float32",
    )  # fmt: skip


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the outputs, natural logarithm."""
    inputs, targets = batch
    return nn.functional.cross_entropy(model(inputs), targets)


def _with_labels(part: Labelled, outputs: int, mean: float, deviation: float) -> tuple[Tensor, Tensor]:
    """Return images as rows, shape (n, pixels), in single precision, and labels, shape (n,)."""
    return torch.from_numpy(part.rows()).sub_(mean).div_(deviation), torch.from_numpy(part.classes)


def _with_one_hot(part: Labelled, outputs: int, mean: float, deviation: float) -> tuple[Tensor, Tensor]:
    """Return images as rows, and targets as one-hot rows, shape (n, outputs)."""
    rows, labels = _with_labels(part, outputs, mean, deviation)
    return rows, nn.functional.one_hot(labels, outputs).to(rows)


LOSSES: dict[str, tuple[Callable[[nn.Module, Batch], Tensor], Callable[..., tuple[Tensor, Tensor]]]] = {
    "cross_entropy": (cross_entropy, _with_labels),
    "squared_error": (squared_error, _with_one_hot),
}


def _path(data: str | Path) -> Path:
    if not isinstance(data, str | Path) or not str(data):
        raise SpinodalError(got=f"data = {data!r}", allowed="the path of a file or folder is allowed", do="give a path")
    return Path(data)


def _scale(mean: float, deviation: float) -> tuple[float, float]:
    numbers = real_number(mean), real_number(deviation)
    if not (math.isfinite(numbers[0]) and 0 < numbers[1] < math.inf):
        raise SpinodalError(
            got=f"mean = {mean!r}, deviation = {deviation!r}",
            allowed="finite numbers, and a deviation > 0, are allowed",
            do=f"try {MEAN} and {DEVIATION}, or 0 and 1 to leave the pixels as they are",
        )
    return numbers


def _known(part: Labelled) -> list[int]:
    """Return the labels that occur."""
    return [int(label) for label in np.unique(part.classes)]


def _sampled(
    name: str, part: Labelled, count: int | None, classes: list[int] | None, seed: int | None, *, least: int
) -> Labelled:
    """Return so many of the images of some classes: the first, or a random choice; all where no number is given."""
    places = np.arange(len(part)) if classes is None else places_of(part, classes)
    if count is None:
        return part if classes is None else part.chosen(places)
    count = whole_number(name, count, least=least, do="give the number of images, or none for all")
    if count > len(places):
        raise SpinodalError(
            got=f"{name} = {count:,}",
            allowed=f"up to {len(places):,} images are there",
            do="lower it, or leave it out for all",
        )
    order = places if seed is None else np.random.default_rng(seed).permutation(places)
    return part.chosen(np.sort(order[:count]))
