"""Lines and checkers: images of 4 x 4 pixels, told apart by a small convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from spinodal.arguments import number_from_zero, seed_number, sequence, switch, whole_number
from spinodal.errors import SpinodalError
from spinodal.tasks.gaussian import activation_named
from spinodal.tasks.mnist import cross_entropy
from spinodal.tasks.task import Task

SIDE, CLASSES, KERNEL = 4, 3, 3
NUMBER = "give the number of images"


def patterns(
    *,
    samples: int = 300,
    held_out: int = 300,
    noise: float = 0.3,
    channels: Sequence[int] = (8, 16),
    activation: str = "tanh",
    bias: bool = True,
    seed: int = 0,
) -> Task:
    """Return the classification of horizontal lines, vertical lines and checkers by a convolutional network.

    One row, one column, or every second pixel is 1, the others 0, plus Gaussian noise; the classes take turns, and in each of
    them the four places of a line, or the two of the checkers. Padded convolutions of 3 x 3, and one layer from all their
    outputs to the three classes. E is the mean cross-entropy. Lines are told from checkers by more pixels than from each
    other: the phases have accuracies of about 1, 2/3 and 1/3.

    Parameters
    ----------
    samples : number of images to train on, at least 3. Default 300.
    held_out : number of images for held-out accuracy; 0 for none. Default 300.
    noise : standard deviation per pixel. Default 0.3.
    channels : of the convolutions. Default (8, 16).
    activation : one of the activations of `gaussian`. Default "tanh".
    bias : whether layers have biases. Default True.
    seed : of the images, >= 0. Default 0.

    Raises
    ------
    SpinodalError
        For arguments of another kind or out of range.

    Examples
    --------
    >>> images, labels = patterns(noise=0.0).data
    >>> images[:3, 0].sum((1, 2)).tolist(), labels.bincount().tolist()
    ([4.0, 4.0, 8.0], [100, 100, 100])
    """
    count = whole_number("samples", samples, least=CLASSES, do=NUMBER)
    kept = whole_number("held_out", held_out, least=0, do=NUMBER)
    deviation, bias, seed = number_from_zero("noise", noise, do="try 0.3"), switch("bias", bias), seed_number(seed)
    widths = _channels(channels)
    generator = torch.Generator().manual_seed(seed)
    return Task(
        _network(widths, activation_named(activation), bias),
        cross_entropy,
        _images(count, deviation, generator),
        held_out=_images(kept, deviation, generator) if kept else None,
        name="patterns",
        settings={
            "samples": count,
            "held_out": kept,
            "noise": deviation,
            "channels": widths,
            "activation": activation,
            "bias": bias,
            "seed": seed,
        },
    )


def _channels(channels: Sequence[int]) -> list[int]:
    do = "for example (8, 16)"
    given = sequence("channels", channels, of="whole numbers >= 1", do=do)
    widths = [whole_number("channels", width, least=1, do=do) for width in given]
    if not widths:
        raise SpinodalError(got="channels = ()", allowed="at least one convolution is needed", do=do)
    return widths


def _images(count: int, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images, shape (n, 1, 4, 4), and their classes, shape (n,); every class has every line equally often."""
    classes, lines = torch.arange(count) % CLASSES, torch.arange(count) // CLASSES % SIDE
    rows = nn.functional.one_hot(torch.arange(SIDE), SIDE)[:, :, None].expand(SIDE, SIDE, SIDE)
    squares = (torch.arange(SIDE)[:, None, None] + torch.arange(SIDE)[None, :, None] + torch.arange(SIDE)) % 2
    clean = torch.stack([rows, rows.transpose(1, 2), squares]).double()
    disturbance = torch.randn(count, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return (clean[classes, lines] + noise * disturbance)[:, None], classes


def _network(widths: Sequence[int], activation: type[nn.Module], bias: bool) -> nn.Sequential:
    """Return the convolutions, each with its activation, and the layer to the classes, in float64."""
    layers: list[nn.Module] = []
    for ingoing, outgoing in pairwise([1, *widths]):
        convolution = nn.Conv2d(ingoing, outgoing, KERNEL, padding=KERNEL // 2, bias=bias, dtype=torch.float64)
        layers += [convolution, activation()]
    readout = nn.Linear(widths[-1] * SIDE**2, CLASSES, bias=bias, dtype=torch.float64)
    return nn.Sequential(*layers, nn.Flatten(), readout)
