"""Gaussian inputs, linear targets: the synthetic task of the literature, made exact on the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from spinodal.arguments import number_from_zero, real_number, seed_number, sequence, switch, whole_number
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape.batches import Batch
from spinodal.tasks.task import Task
from spinodal.theory import deep_linear

UNITS = "give the number of units"
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "elu": nn.ELU,
}


def gaussian(
    *,
    singular_values: Sequence[float] = (0.9, 0.5),
    inputs: int = 3,
    outputs: int = 2,
    hidden: Sequence[int] = (10, 10),
    activation: str = "tanh",
    bias: bool = True,
    samples: int = 1000,
    noise: float = 0.1,
    held_out: int = 0,
    seed: int = 0,
) -> Task:
    """Return the regression of `y = C x + noise` on Gaussian x by a fully connected network.

    On the sample, exactly: inputs and targets are centred, inputs are white (`X^T X / n = 1`), the
    input-output covariance `Y^T X / n` has the given singular values, and the noise is orthogonal
    to the inputs. Closed forms therefore hold to rounding (activation "linear").

    Parameters
    ----------
    singular_values : of the input-output covariance. Default (0.9, 0.5).
    inputs, outputs, hidden : widths. Default 3, 2, (10, 10); `hidden=()` is linear regression.
    activation : one of `ACTIVATIONS`. Default "tanh".
    bias : whether layers have biases. Default True.
    samples : number of samples. Default 1000.
    noise : standard deviation per output of the noise. Default 0.1.
    held_out : number of further samples of the same law, white in the mean alone. Default 0: none.
    seed : of the data, >= 0. Default 0.

    Raises
    ------
    SpinodalError
        For arguments of another kind, widths below 1, more singular values than fit, too few samples
        to centre and whiten, and numbers that are negative or not finite.

    Notes
    -----
    E is the mean over samples of the **sum** over outputs of squared errors; noise adds
    `outputs * noise^2` to it and moves nothing.

    Examples
    --------
    >>> task = gaussian(activation="linear")
    >>> x, y = task.data
    >>> covariance = y.T @ x / len(x)
    >>> [round(float(s), 12) for s in torch.linalg.svdvals(covariance)]
    [0.9, 0.5]
    """
    layers, bias, seed = hidden_widths(hidden), switch("bias", bias), seed_number(seed)
    inputs, outputs = (
        whole_number(name, width, least=1, do=UNITS) for name, width in (("inputs", inputs), ("outputs", outputs))
    )
    widths = [inputs, *layers, outputs]
    strengths = _strengths(singular_values, inputs, outputs)
    kind = activation_named(activation)
    samples, noise = _samples(samples, inputs, outputs), number_from_zero("noise", noise, do="try 0.1")
    kept = whole_number("held_out", held_out, least=0, do="give the number of samples")
    data, further = _data(strengths, inputs, outputs, samples, noise, seed, kept)
    live = sorted(strengths, reverse=True)[: min(widths)]
    return Task(
        network(widths, kind, bias),
        squared_error,
        data,
        held_out=further if kept else None,
        name="gaussian",
        settings={
            "singular_values": strengths,
            "inputs": inputs,
            "outputs": outputs,
            "hidden": layers,
            "activation": activation,
            "bias": bias,
            "samples": samples,
            "noise": noise,
            "held_out": kept,
            "seed": seed,
        },
        exact=deep_linear(live, matrices=len(widths) - 1) if activation == "linear" else (),
    )


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over samples of the sum over outputs of squared errors."""
    inputs, targets = batch
    residual: Tensor = model(inputs) - targets
    return residual.square().sum(1).mean()


def hidden_widths(hidden: Sequence[int]) -> list[int]:
    """Return the widths of the hidden layers, or refuse them."""
    layers = sequence("hidden", hidden, of="whole numbers >= 1", do="for example (10, 10), or () for no hidden layer")
    return [whole_number("hidden", width, least=1, do=UNITS) for width in layers]


def activation_named(name: str) -> type[nn.Module]:
    """Return the class of one of `ACTIVATIONS`, or refuse the name."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown_name("activation", str(name), ACTIVATIONS)
    return ACTIVATIONS[name]


def network(widths: Sequence[int], activation: type[nn.Module], bias: bool) -> nn.Sequential:
    """Return a fully connected network in float64, with the activation between layers only."""
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        if index:
            layers.append(activation())
        layers.append(nn.Linear(fan_in, fan_out, bias=bias, dtype=torch.float64))
    return nn.Sequential(*layers)


def _data(
    strengths: list[float], inputs: int, outputs: int, samples: int, noise: float, seed: int, held_out: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the sample, and further ones of the same law; how many of these there are does not change the sample."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = draw(samples, inputs)
    x = x - x.mean(0)
    x = torch.linalg.qr(x).Q * math.sqrt(samples)
    rank = len(strengths)
    left = torch.linalg.qr(draw(outputs, outputs)).Q[:, :rank]
    right = torch.linalg.qr(draw(inputs, inputs)).Q[:, :rank]
    values = torch.tensor(strengths, dtype=torch.float64)
    disturbance = draw(samples, outputs)
    disturbance = disturbance - disturbance.mean(0)
    disturbance = disturbance - x @ (x.T @ disturbance) / samples
    disturbance = disturbance * math.sqrt(samples) / disturbance.norm(dim=0)
    further = draw(held_out, inputs)
    return (
        (x, x @ right * values @ left.T + noise * disturbance),
        (further, further @ right * values @ left.T + noise * draw(held_out, outputs)),
    )


def _samples(samples: int, inputs: int, outputs: int) -> int:
    count = whole_number("samples", samples, least=1, do="give the number of samples")
    if count < inputs + outputs + 2:
        raise SpinodalError(
            got=f"samples = {count}",
            allowed=f"at least {inputs + outputs + 2} samples are needed to centre and whiten",
            do="raise samples",
        )
    return count


def _strengths(singular_values: Sequence[float], inputs: int, outputs: int) -> list[float]:
    given = sequence("singular_values", singular_values, of="finite numbers > 0", do="for example (0.9, 0.5)")
    if not given or len(given) > min(inputs, outputs):
        raise SpinodalError(
            got=f"{len(given)} singular values for {inputs} inputs and {outputs} outputs",
            allowed=f"1 to {min(inputs, outputs)} values fit",
            do="drop values or raise inputs and outputs",
        )
    strengths = [real_number(value) for value in given]
    if not all(0 < value < math.inf for value in strengths):
        raise SpinodalError(got=f"singular_values = {given}", allowed="finite values > 0 are allowed", do="remove the others")
    return strengths
