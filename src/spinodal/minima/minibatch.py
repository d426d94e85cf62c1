"""Training in mini-batches as a solver: Adam or SGD for a number of epochs, as published protocols train."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinodal.arguments import real_number, seed_number, whole_number
from spinodal.definitions import BRACKET_ROUGH
from spinodal.errors import SpinodalError, unknown_name
from spinodal.landscape import Landscape
from spinodal.landscape.batches import is_of_samples, size_of
from spinodal.landscape.objective import Regularised
from spinodal.landscape.structure import mapped
from spinodal.minima.solution import Solution
from spinodal.minima.solver import Search, Solver

TRAINERS = ("adam", "sgd")
MOMENTUM = 0.9  # of sgd


@dataclass(frozen=True)
class Training:
    """How a model is trained at one beta; the defaults are those of the published protocol (arXiv 2512.11866).

    Attributes
    ----------
    epochs : int
        Passes over the samples, at most.
    batch_size : int
        Samples of a mini-batch; as many as there are where there are fewer.
    learning_rate : float
    patience : int
        Training ends when the mean of L over an epoch has not fallen for so many epochs.
    seed : int
        Of the order of the samples, which is another one in every epoch and at every beta.
    """

    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        whole_number("epochs", self.epochs, least=1, do="try 50")
        whole_number("batch_size", self.batch_size, least=1, do="try 64")
        whole_number("patience", self.patience, least=1, do="try 5")
        if not 0.0 < real_number(self.learning_rate) < math.inf:
            raise SpinodalError(
                got=f"learning_rate = {self.learning_rate!r}", allowed="a finite number > 0 is allowed", do="try 1.5e-3"
            )
        seed_number(self.seed)


def trainer(name: str, training: Training = Training()) -> Solver:
    """Return Adam ("adam") or SGD with a momentum of .9 ("sgd"), both PyTorch's, as a solver; its state is new in every run.

    It ends where its epochs end, at no minimum: the status says so, the residual tells how far from one, and nothing is
    certified.

    Examples
    --------
    >>> from spinodal import tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(2,), samples=20)
    >>> E = task.landscape()
    >>> found = trainer("adam", Training(epochs=3)).run(Regularised(E, 0.1), task.initial(0), Search(1e-3, 1.0))
    >>> found.iterations, found.stop
    (3, 'trained')
    """
    if name not in TRAINERS:
        raise unknown_name("trainer", name, TRAINERS)

    def run(loss: Regularised, start: Tensor, search: Search) -> Solution:
        return _train(loss, start, _OPTIMISERS[name], training)

    return Solver(
        name=name, run=run, tolerance=1e-3, float32_tolerance=1e-3, bracket=BRACKET_ROUGH, sees_kinks=False, is_dense=False,
        takes_factors=False, escapes=1, margin_steps=0, tangent=(1.0, 0), certifies=False,
    )  # fmt: skip


def refuse_without_samples(landscape: Landscape) -> None:
    """Refuse data from which no mini-batches can be drawn."""
    batches = landscape.batches
    if batches.count != 1 or not is_of_samples(next(iter(batches))):
        raise SpinodalError(
            got=f"data in {batches.count} batches, or not made of samples",
            allowed="mini-batches are drawn from one batch whose tensors all have one row for each sample",
            do="give the data as one batch, or take a solver of the whole sample",
        )


def _adam(theta: Tensor, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam([theta], lr=rate)


def _sgd(theta: Tensor, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([theta], lr=rate, momentum=MOMENTUM)


_OPTIMISERS: dict[str, Callable[[Tensor, float], torch.optim.Optimizer]] = {"adam": _adam, "sgd": _sgd}


def _train(
    loss: Regularised, start: Tensor, optimiser_of: Callable[[Tensor, float], torch.optim.Optimizer], how: Training
) -> Solution:
    """Train until the epochs are over, or L has not fallen for long."""
    theta = start.detach().clone().requires_grad_(True)
    optimiser = optimiser_of(theta, how.learning_rate)
    orders = _orders(how.seed, loss.beta, size_of(next(iter(loss.landscape.batches))))
    best, since, epoch = math.inf, 0, 0
    while epoch < how.epochs and since < how.patience:
        mean = _epoch(loss, theta, optimiser, torch.split(next(orders), how.batch_size))
        best, since, epoch = (mean, 0, epoch + 1) if mean < best else (best, since + 1, epoch + 1)
        if not math.isfinite(mean):
            break
    ended = theta.detach()
    value, gradient = loss.value_and_gradient(ended)
    return Solution(ended, value, gradient, epoch, "trained" if math.isfinite(value) else "not finite")


def _epoch(loss: Regularised, theta: Tensor, optimiser: torch.optim.Optimizer, parts: tuple[Tensor, ...]) -> float:
    """Take one step for each mini-batch, and return the mean of L over the samples, each as it was met."""
    landscape, total, count = loss.landscape, theta.new_zeros(()), sum(map(len, parts))
    batch = next(iter(landscape.batches))
    for part in parts:
        chosen = part.to(theta.device)
        some = mapped(lambda leaf: leaf[chosen] if isinstance(leaf, Tensor) else leaf, batch)  # noqa: B023 - called at once
        error = landscape.call(theta, some)
        (gradient,) = torch.autograd.grad(error, theta)
        conjugate, force = loss.control.conjugate_and_force(theta.detach())
        theta.grad = gradient + loss.beta * force
        total += (error.detach() + loss.beta * conjugate) * (len(part) / count)
        optimiser.step()
    landscape.ledger.charge(gradient_evaluations=1)
    return float(total)


def _orders(seed: int, beta: float, samples: int) -> Iterator[Tensor]:
    """Yield an order of the samples for every epoch; it depends on seed and beta alone, not on what was trained before."""
    words = struct.unpack("<2I", struct.pack("<d", beta))
    mixed = np.random.SeedSequence([abs(seed), *words]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))
    while True:
        yield torch.randperm(samples, generator=generator)
