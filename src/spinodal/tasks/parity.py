"""Sparse parity: the sign of a product of a few among many bits, the smallest task on which networks grok."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spinodal.arguments import seed_number, switch, whole_number
from spinodal.errors import SpinodalError
from spinodal.landscape.batches import Batch
from spinodal.tasks.gaussian import activation_named, hidden_widths, network, squared_error
from spinodal.tasks.task import Task


def parity(
    *,
    bits: int = 20,
    relevant: int = 3,
    samples: int = 400,
    held_out: int = 1000,
    hidden: Sequence[int] = (48,),
    activation: str = "relu",
    bias: bool = True,
    seed: int = 0,
) -> Task:
    """Return the regression of the product of the first few of many random signs, by a fully connected network.

    Inputs are -1 or 1, drawn independently; the target is the product of the `relevant` first of them. The class is the sign of
    the one output. E is the mean squared error.

    Parameters
    ----------
    bits : number of inputs. Default 20.
    relevant : number of those that matter, at most `bits`. Default 3.
    samples, held_out : numbers of samples to train on, and for held-out accuracy (0 for none). Default 400 and 1,000.
    hidden : widths of hidden layers. Default (48,).
    activation : one of the activations of `gaussian`. Default "relu".
    bias : whether layers have biases. Default True.
    seed : of the samples, >= 0. Default 0.

    Raises
    ------
    SpinodalError
        For arguments of another kind or out of range.

    Examples
    --------
    >>> x, y = parity(relevant=2).data
    >>> tuple(x.shape), bool((y[:, 0] == x[:, 0] * x[:, 1]).all())
    ((400, 20), True)
    """
    layers, bias, seed = hidden_widths(hidden), switch("bias", bias), seed_number(seed)
    count = whole_number("samples", samples, least=1, do="give the number of samples")
    kept = whole_number("held_out", held_out, least=0, do="give the number of samples")
    width = whole_number("bits", bits, least=1, do="give the number of inputs")
    telling = whole_number("relevant", relevant, least=1, do="give the number of bits that matter")
    if telling > width:
        raise SpinodalError(
            got=f"relevant = {telling} of {width} bits", allowed="as many as there are at most", do="lower it or raise bits"
        )
    generator = torch.Generator().manual_seed(seed)
    return Task(
        network([width, *layers, 1], activation_named(activation), bias),
        squared_error,
        _signs(count, width, telling, generator),
        held_out=_signs(kept, width, telling, generator) if kept else None,
        predict=_predict,
        labels=_classes,
        name="parity",
        settings={
            "bits": width,
            "relevant": telling,
            "samples": count,
            "held_out": kept,
            "hidden": layers,
            "activation": activation,
            "bias": bias,
            "seed": seed,
        },
    )


def _signs(count: int, bits: int, relevant: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return signs, shape (n, bits), and the products of the first of them, shape (n, 1)."""
    x = torch.randint(0, 2, (count, bits), generator=generator).double() * 2.0 - 1.0
    return x, x[:, :relevant].prod(1, keepdim=True)


def _predict(model: nn.Module, batch: Batch) -> Tensor:
    """Return a score for -1 and one for 1, shape (n, 2)."""
    output: Tensor = model(batch[0])
    return torch.cat([-output, output], 1)


def _classes(batch: Batch) -> Tensor:
    """Return 0 for -1 and 1 for 1, shape (n,)."""
    classes: Tensor = (batch[1][:, 0] > 0).long()
    return classes
