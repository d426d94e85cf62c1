"""Addition of whole numbers modulo a prime: networks remember the pairs first, and find the rule later."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spinodal.arguments import real_number, seed_number, switch, whole_number
from spinodal.errors import SpinodalError
from spinodal.tasks.gaussian import activation_named, hidden_widths, network, squared_error
from spinodal.tasks.task import Task

SQUARE = "square"


class Square(nn.Module):
    """The activation `x^2`, with which two layers can add exactly."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the squares."""
        return x * x


def modular(
    *,
    p: int = 11,
    part: float = 0.75,
    hidden: Sequence[int] = (64,),
    activation: str = SQUARE,
    bias: bool = False,
    seed: int = 0,
) -> Task:
    """Return the classification of pairs (a, b) by `(a + b) mod p` by a fully connected network.

    Inputs are the one-hot rows of a and b, side by side; targets are one-hot rows. E is the mean over pairs of the sum over the
    p outputs of squared errors. Of the `p^2` pairs a part is trained on, and the others are held out.

    Parameters
    ----------
    p : at least 2. Default 11.
    part : share of the pairs that is trained on, above 0 and up to 1. Default .75.
    hidden : widths of hidden layers. Default (64,).
    activation : "square", with which two layers suffice, or one of the activations of `gaussian`. Default "square".
    bias : whether layers have biases. Default False.
    seed : of the choice of pairs, >= 0. Default 0.

    Raises
    ------
    SpinodalError
        For arguments of another kind or out of range.

    Examples
    --------
    >>> x, y = modular(p=5, part=1.0).data
    >>> a, b = x[:, :5].argmax(1), x[:, 5:].argmax(1)
    >>> len(x), bool((y.argmax(1) == (a + b) % 5).all())
    (25, True)
    """
    layers, bias, seed = hidden_widths(hidden), switch("bias", bias), seed_number(seed)
    modulus = whole_number("p", p, least=2, do="give a small prime")
    share = real_number(part)
    if not 0.0 < share <= 1.0 or round(share * modulus**2) < 1:
        raise SpinodalError(
            got=f"part = {part!r} of {modulus**2} pairs", allowed="a share above 0 and up to 1 is allowed", do="try 0.75"
        )
    kind = Square if activation == SQUARE else activation_named(activation)
    train, test = _pairs(modulus, round(share * modulus**2), seed)
    return Task(
        network([2 * modulus, *layers, modulus], kind, bias),
        squared_error,
        train,
        held_out=test if len(test[0]) else None,
        name="modular",
        settings={"p": modulus, "part": share, "hidden": layers, "activation": activation, "bias": bias, "seed": seed},
    )


def _pairs(p: int, count: int, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the pairs to train on and the others, as inputs, shape (n, 2p), and targets, shape (n, p)."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    rows = nn.functional.one_hot(torch.stack([a, b, (a + b) % p]), p).double()
    order = torch.randperm(p**2, generator=torch.Generator().manual_seed(seed))
    inputs, targets = torch.cat([rows[0], rows[1]], 1)[order], rows[2][order]
    return (inputs[:count], targets[:count]), (inputs[count:], targets[count:])
