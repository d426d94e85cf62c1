"""Handwritten digits: the 1,797 images of 8 x 8 pixels that scikit-learn ships."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spinodal.arguments import real_number, seed_number, switch
from spinodal.errors import SpinodalError
from spinodal.tasks.classes import chosen_classes
from spinodal.tasks.gaussian import activation_named, hidden_widths, network, squared_error
from spinodal.tasks.task import Task


def digits(
    *,
    hidden: Sequence[int] = (16, 16),
    activation: str = "tanh",
    bias: bool = True,
    held_out: float = 0.0,
    seed: int = 0,
    classes: Sequence[int] | None = None,
    held_out_classes: Sequence[int] | None = None,
) -> Task:
    """Return the classification of handwritten digits with squared error on one-hot targets.

    Images are centred pixel by pixel and scaled by one standard deviation over all pixels (both of
    the training part). E is the mean over samples of the sum over the 10 outputs.

    Parameters
    ----------
    hidden : widths of hidden layers. Default (16, 16).
    activation : one of the activations of `gaussian`. Default "tanh".
    bias : whether layers have biases. Default True.
    held_out : fraction of images kept for held-out accuracy, 0 to 0.9. Default 0: all 1,797 train.
    seed : of the split, >= 0. Default 0.
    classes : labels of the classes to train on. Default: all. Images are scaled, and outputs stay, as they are with all.
    held_out_classes : labels of the classes among the held-out images. Default: `classes`.

    Raises
    ------
    SpinodalError
        For arguments of another kind, widths below 1, and a fraction that is not allowed.

    Examples
    --------
    >>> x, y = digits().data
    >>> tuple(x.shape), tuple(y.shape), round(float(x.std(correction=0)), 12)
    ((1797, 64), (1797, 10), 1.0)
    """
    layers, bias, seed = hidden_widths(hidden), switch("bias", bias), seed_number(seed)
    kind, fraction = activation_named(activation), real_number(held_out)
    if not 0.0 <= fraction <= 0.9:
        raise SpinodalError(got=f"held_out = {held_out!r}", allowed="a fraction from 0 to 0.9 is allowed", do="try 0.2")
    kept = chosen_classes("classes", classes, range(10), least=2)
    apart = chosen_classes("held_out_classes", held_out_classes, range(10), least=1)
    train, test = _split(fraction, seed)
    chosen = {"classes": kept, "held_out_classes": apart}
    return Task(
        network([64, *layers, 10], kind, bias),
        squared_error,
        _of(train, kept),
        held_out=None if test is None else _of(test, apart or kept),
        name="digits",
        settings={
            "hidden": layers, "activation": activation, "bias": bias, "held_out": fraction, "seed": seed,
            **{name: labels for name, labels in chosen.items() if labels is not None},
        },
    )  # fmt: skip


def _split(held_out: float, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]:
    """Return the training and held-out parts as (images, one-hot targets)."""
    images, classes = _images()
    targets = nn.functional.one_hot(classes, 10).double()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    test = torch.zeros(len(images), dtype=torch.bool)
    test[order[: round(held_out * len(images))]] = True
    images = _standardised(images, ~test)
    split = (images[~test], targets[~test]), (images[test], targets[test])
    return split[0], split[1] if held_out > 0 else None


def _of(part: tuple[Tensor, Tensor], classes: list[int] | None) -> tuple[Tensor, Tensor]:
    """Return the images of some classes."""
    if classes is None:
        return part
    rows = part[1][:, classes].any(1)
    return part[0][rows], part[1][rows]


def centred_images() -> Tensor:
    """Return all images, shape (1797, 64), centred pixel by pixel and scaled by one standard deviation."""
    images, _ = _images()
    return _standardised(images, torch.ones(len(images), dtype=torch.bool))


def _images() -> tuple[Tensor, Tensor]:
    """Return the images as they come, shape (1797, 64), and their classes."""
    from sklearn.datasets import load_digits  # slow to import, and needed by these tasks only

    bunch = load_digits()
    return torch.from_numpy(bunch.data).double(), torch.from_numpy(bunch.target).long()


def _standardised(images: Tensor, train: Tensor) -> Tensor:
    """Return images centred and scaled by the statistics of the training part."""
    mean = images[train].mean(0)
    return (images - mean) / (images[train] - mean).std(correction=0)
