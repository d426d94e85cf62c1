"""Gaussian inputs, linear targets: the synthetic task of the literature, made exact on the sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from spinodal.batches import Batch
from spinodal.errors import SpinodalError, unknown_name
from spinodal.tasks.task import Task
from spinodal.theory import deep_linear

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
    seed : of the data. Default 0.

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
    widths = [_width("inputs", inputs), *(_width("hidden", width) for width in hidden), _width("outputs", outputs)]
    strengths = _strengths(singular_values, inputs, outputs)
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    if samples < inputs + outputs + 2:
        raise SpinodalError(
            got=f"samples = {samples}",
            allowed=f"at least {inputs + outputs + 2} samples are needed to centre and whiten",
            do="raise samples",
        )
    if not 0 <= noise < math.inf:
        raise SpinodalError(got=f"noise = {noise}", allowed="a finite number >= 0 is allowed", do="try 0.1")
    data = _data(strengths, inputs, outputs, samples, noise, seed)
    live = sorted(strengths, reverse=True)[: min(widths)]
    return Task(
        network(widths, ACTIVATIONS[activation], bias),
        squared_error,
        data,
        name="gaussian",
        settings={
            "singular_values": strengths,
            "inputs": inputs,
            "outputs": outputs,
            "hidden": list(hidden),
            "activation": activation,
            "bias": bias,
            "samples": samples,
            "noise": noise,
            "seed": seed,
        },
        exact=deep_linear(live, matrices=len(widths) - 1) if activation == "linear" else (),
    )


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over samples of the sum over outputs of squared errors."""
    inputs, targets = batch
    residual: Tensor = model(inputs) - targets
    return residual.square().sum(1).mean()


def network(widths: Sequence[int], activation: type[nn.Module], bias: bool) -> nn.Sequential:
    """Return a fully connected network in float64, with the activation between layers only."""
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        if index:
            layers.append(activation())
        layers.append(nn.Linear(fan_in, fan_out, bias=bias, dtype=torch.float64))
    return nn.Sequential(*layers)


def _data(strengths: list[float], inputs: int, outputs: int, samples: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = draw(samples, inputs)
    x = x - x.mean(0)
    x = torch.linalg.qr(x).Q * math.sqrt(samples)
    rank = len(strengths)
    left = torch.linalg.qr(draw(outputs, outputs)).Q[:, :rank]
    right = torch.linalg.qr(draw(inputs, inputs)).Q[:, :rank]
    signal = x @ right * torch.tensor(strengths, dtype=torch.float64) @ left.T
    disturbance = draw(samples, outputs)
    disturbance = disturbance - disturbance.mean(0)
    disturbance = disturbance - x @ (x.T @ disturbance) / samples
    disturbance = disturbance * math.sqrt(samples) / disturbance.norm(dim=0)
    return x, signal + noise * disturbance


def _width(name: str, width: int) -> int:
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise SpinodalError(got=f"{name} = {width!r}", allowed="whole numbers >= 1 are allowed", do="give the number of units")
    return width


def _strengths(singular_values: Sequence[float], inputs: int, outputs: int) -> list[float]:
    strengths = [float(value) for value in singular_values]
    if not strengths or len(strengths) > min(inputs, outputs):
        raise SpinodalError(
            got=f"{len(strengths)} singular values for {inputs} inputs and {outputs} outputs",
            allowed=f"1 to {min(inputs, outputs)} values fit",
            do="drop values or raise inputs and outputs",
        )
    if not all(0 < value < math.inf for value in strengths):
        raise SpinodalError(
            got=f"singular_values = {strengths}", allowed="finite values > 0 are allowed", do="remove the others"
        )
    return strengths
