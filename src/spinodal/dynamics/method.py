"""How a step follows from a gradient: descent, momentum, Adam, mini-batches, Langevin noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.arguments import positive_number, real_number, whole_number
from spinodal.errors import SpinodalError, unknown_name

METHODS = ("gd", "adam", "sgd", "langevin")
DECAYS, TINY = (0.9, 0.999), 1e-8  # of Adam, as PyTorch has them
Buffers = dict[str, Tensor]


@dataclass(frozen=True)
class Method:
    """One of `METHODS` with its numbers, on `L = E + beta ||theta - centre||^2`.

    Attributes
    ----------
    name : str
        "gd" and "adam" take the gradient over all samples, "sgd" that over `batch_size` of them drawn without
        replacement, "langevin" adds noise: `theta -= learning_rate grad L + sqrt(2 learning_rate temperature) xi`, whose
        stationary density is `exp(-L / temperature)` for small learning rates.
    learning_rate : float
    momentum : float
        Of "gd" and "sgd", as in `torch.optim.SGD`: `v = momentum v + grad L`, `theta -= learning_rate v`.
    batch_size : int or None
    temperature : float or None
    """

    name: str
    learning_rate: float
    momentum: float = 0.0
    batch_size: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit the method."""
        if self.name not in METHODS:
            raise unknown_name("method", str(self.name), METHODS)
        positive_number("learning_rate", self.learning_rate, do="try 0.01")
        if not 0.0 <= real_number(self.momentum) < 1.0 or (self.momentum and self.name not in ("gd", "sgd")):
            raise SpinodalError(
                got=f"momentum = {self.momentum!r} with method {self.name}",
                allowed="a number from 0 to below 1 is allowed, with gd and sgd",
                do="try 0.9",
            )
        _goes_with("batch_size", self.batch_size, self.name, "sgd")
        _goes_with("temperature", self.temperature, self.name, "langevin")
        if self.batch_size is not None:
            whole_number("batch_size", self.batch_size, least=1, do="give the number of samples of a mini-batch")
        if self.temperature is not None:
            positive_number("temperature", self.temperature, do="compare it with the barrier that is to be crossed")

    def begin(self, thetas: Tensor) -> Buffers:
        """Return what the method keeps from step to step, each of the shape of thetas, (k, n)."""
        names = ("moment", "square") if self.name == "adam" else ("velocity",) if self.momentum else ()
        return {name: torch.zeros_like(thetas) for name in names}

    def move(self, thetas: Tensor, gradients: Tensor, buffers: Mapping[str, Tensor], step: int) -> None:
        """Move thetas, shape (k, n), by one step, counted from 0, in place; noise is added elsewhere."""
        if self.name == "adam":
            self._move_adam(thetas, gradients, buffers, step + 1)
            return
        if self.momentum:
            gradients = buffers["velocity"].mul_(self.momentum).add_(gradients)
        thetas.sub_(gradients, alpha=self.learning_rate)

    @property
    def noise(self) -> float:
        """Return the standard deviation of what Langevin dynamics adds to every parameter in a step."""
        return math.sqrt(2.0 * self.learning_rate * self.temperature) if self.temperature is not None else 0.0

    def _move_adam(self, thetas: Tensor, gradients: Tensor, buffers: Mapping[str, Tensor], count: int) -> None:
        first, second = DECAYS
        buffers["moment"].lerp_(gradients, 1.0 - first)
        buffers["square"].mul_(second).addcmul_(gradients, gradients, value=1.0 - second)
        size = (buffers["square"] / (1.0 - second**count)).sqrt_().add_(TINY)
        thetas.addcdiv_(buffers["moment"], size, value=-self.learning_rate / (1.0 - first**count))


def _goes_with(name: str, value: object, method: str, needed_by: str) -> None:
    """Refuse a number that its method lacks, or that the method has no use for."""
    if (value is None) == (method == needed_by):
        got = f"no {name} with method {method}" if value is None else f"{name} = {value!r} with method {method}"
        raise SpinodalError(got=got, allowed=f"{name} goes with method {needed_by}", do="give both or neither")
