"""Ways out of a plateau, compared at equal cost; part of dynamics.py.

The default network of the gaussian task (3-10-10-2, tanh) with 100 samples, 20 random starts, prepared as `spinodal grok` does
it: in the intermediate and in the trivial phase, until 1e-2 is left of the dead modes. They are trained at learning rate .05,
at beta = 1e-5, where this is a slow plateau, and at beta = .02, where it is metastable. The cost is counted in epochs: a
gradient is one, an error .4, a Hessian product 2.5 of them. A run has arrived where E is .1; the best is .001 and .034 at the
two beta, the intermediate phase has .27 and more, the trivial one 1.08.

- patience: nothing but descent.
- rate: descent at four times the learning rate.
- kick: 100 epochs of Langevin noise at temperature 1e-3, then descent.
- curvature: a step along the lowest eigenvector of Hess L, of either sign, to the lowest of L at lengths .1, .2, .4 and .8.
- beta: 140 epochs at beta = -.25, below the lower spinodal, where dead modes grow, then descent.
- raise: singular values of every weight matrix below .3 raised to it, then descent (`spinodal.escape` does this).
- norm: the norm of every weight matrix held at that of a random start, until E has fallen.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from dynamics_tables import shown
from torch import Tensor, nn

import spinodal as sp
from spinodal.dynamics.gradients import Gradients
from spinodal.dynamics.observing import telling_slots
from spinodal.dynamics.raising import raised
from spinodal.dynamics.residual import until_residual

RUNS, RATE, MOST, AMPLITUDE, LEVEL = 20, 0.05, 6000, 1e-2, 0.1
PHASES = (("intermediate", 0.25, 1), ("trivial", 0.45, 0))  # name, beta of the preparation, rank
HEADER = ["beta", "start", "way", "arrived", "median epochs", "least and most"]


@dataclass(frozen=True)
class Plateau:
    """Starts on a plateau, and for how many epochs they are trained."""

    task: sp.Task
    landscape: sp.Landscape
    thetas: Tensor
    beta: float
    most: int

    def descent(self, thetas: Tensor, before: float | Tensor, rate: float = RATE) -> list[float]:
        """Return what every run costs until it has arrived, with what was spent before; infinity where it does not."""
        history = sp.train(
            self.landscape, thetas, beta=self.beta, learning_rate=rate, epochs=int(self.most * RATE / rate), floor=LEVEL
        )
        return (before + history.arrivals.nan_to_num(math.inf)).tolist()


def patience(here: Plateau) -> list[float]:
    """Wait."""
    return here.descent(here.thetas, 0.0)


def larger_rate(here: Plateau) -> list[float]:
    """Descend in larger steps."""
    return here.descent(here.thetas, 0.0, 4.0 * RATE)


def kick(here: Plateau) -> list[float]:
    """Add noise for a while."""
    history = sp.train(
        here.landscape, here.thetas, beta=here.beta, learning_rate=RATE, epochs=100, method="langevin", temperature=1e-3
    )
    return here.descent(history.theta, 100.0)


def curvature(here: Plateau) -> list[float]:
    """Step along the most negative curvature."""
    steps, costs = [], []
    for theta in here.thetas:
        with here.landscape.counting() as spent:
            lowest = sp.extreme_eigenvalues(
                here.landscape, theta, beta=here.beta, method="lanczos", tolerance=1e-2
            ).smallest.vectors[0]
            tried = [theta + sign * length * lowest for length in (0.1, 0.2, 0.4, 0.8) for sign in (1.0, -1.0)]
            steps.append(min(tried, key=lambda point: here.landscape.value(point) + here.beta * float(point.square().sum())))
        costs.append(spent.gradient_equivalents)
    return here.descent(torch.stack(steps), torch.tensor(costs, dtype=torch.float64))


def excursion(here: Plateau) -> list[float]:
    """Go below the lower spinodal in beta and come back."""

    def below(model: nn.Module, batch: object) -> Tensor:
        return here.task.loss(model, batch) - 0.25 * sum(value.square().sum() for value in model.parameters())

    away = sp.Landscape(here.task.model, below, here.task.data)
    history = sp.train(away, here.thetas, beta=0.0, learning_rate=RATE, epochs=140)
    return here.descent(history.theta, 140.0)


def raise_modes(here: Plateau) -> list[float]:
    """Make dead modes alive."""
    return here.descent(raised(here.landscape, here.thetas, 0.3), 0.0)


def hold_norms(here: Plateau) -> list[float]:
    """Descend with the norm of every weight matrix held."""
    thetas, slots, gradients = here.thetas.clone(), telling_slots(here.landscape), Gradients(here.landscape)
    norms = [here.task.initial(0)[start:stop].norm() for start, stop, _ in slots]
    costs = torch.full((len(thetas),), math.inf)
    for epoch in range(here.most):
        for (start, stop, _), norm in zip(slots, norms, strict=True):
            thetas[:, start:stop] *= norm / thetas[:, start:stop].norm(dim=1, keepdim=True)
        errors, slopes = gradients(thetas)
        costs = torch.where((errors <= LEVEL) & costs.isinf(), float(epoch), costs)
        if bool(costs.isfinite().all()):
            break
        thetas = thetas - RATE * (slopes + 2.0 * here.beta * thetas)
    return costs.tolist()


WAYS: dict[str, Callable[[Plateau], list[float]]] = {
    "patience": patience, "rate": larger_rate, "kick": kick, "curvature": curvature, "beta": excursion, "raise": raise_modes,
    "norm": hold_norms,
}  # fmt: skip


def ways(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    return HEADER, shown(_rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    runs = 3 if options.quick else RUNS
    task = sp.tasks.gaussian(samples=100)
    landscape = task.landscape()
    random = torch.stack([task.initial(options.seed * RUNS + run) for run in range(runs)])
    for name, beta, rank in PHASES:
        thetas = _prepared(landscape, _phase(landscape, random, beta) + random, beta, rank)
        for training in (1e-5, 0.02):
            here = Plateau(task, landscape, thetas, training, MOST // 20 if options.quick else MOST)
            for way, function in WAYS.items():
                yield [f"{training:g}", name, way, *_told(function(here))]


def _phase(landscape: sp.Landscape, random: Tensor, beta: float) -> Tensor:
    """Return the deepest minimum at a beta."""
    ends = sp.train(landscape, random[:3], beta=beta, learning_rate=RATE, epochs=1500).theta
    found = min((sp.minimise(landscape, beta=beta, start=end) for end in ends), key=lambda item: item.loss)
    return found.theta


def _prepared(landscape: sp.Landscape, thetas: Tensor, beta: float, rank: int) -> Tensor:
    """Train at a beta until the dead modes have shrunk."""
    return sp.train(
        landscape, thetas, beta=beta, learning_rate=RATE, epochs=20_000, until=until_residual(landscape, rank, AMPLITUDE)
    ).theta


def _told(costs: list[float]) -> list[str]:
    """Return how many arrived, and what it cost."""
    known = sorted(cost for cost in costs if math.isfinite(cost))
    middle = sorted(costs)[len(costs) // 2]
    return [f"{len(known)} of {len(costs)}", f"{middle:,.0f}" if math.isfinite(middle) else "-",
            f"{known[0]:,.0f} to {known[-1]:,.0f}" if known else "-"]  # fmt: skip
