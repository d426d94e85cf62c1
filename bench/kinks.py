"""Are the transitions that a softened map extrapolates those of the network with kinks?

    python bench/kinks.py                        # five networks: ten minutes of one core
    python bench/kinks.py --network breast_cancer --steps 15000

Each network is mapped with `soften=(20, 320)`. Then a program that knows nothing of softening, heavy-ball descent in plain
PyTorch on the network **with its kinks**, starts in the phase before each transition, is led up to it and run at
`limit - error` and at `limit + error`: it must stay at the first and leave at the second. Columns: points of the map and how
many of them converged; cost of the map in gradients, and its processor time; for every transition beta at sharpness 20, its
limit and error, and E where the descents ended, between E of the two phases. `--plain` also maps without softening.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from hardware import print_row, print_table
from script import run
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from torch import Tensor, nn

import spinodal as sp

SOFTEN = (20.0, 320.0)
RATE, MOMENTUM, LAST = 0.1, 0.9, 0.01  # of the descents; in their second half the rate falls to this part of itself
BACK = 0.03  # part of beta before a transition from which they start
RUNGS = 5  # values of beta on the way from there to the transition


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--network", choices=["all", *NETWORKS], default="all")
    parser.add_argument("--steps", type=int, default=15_000, help="Of every descent.")
    parser.add_argument("--plain", action="store_true", help="Also map without softening.")


def main(options: argparse.Namespace) -> None:
    """Print a line for every transition."""
    header = [
        "network",
        "parameters",
        "points",
        "converged",
        "gradients",
        "seconds",
        "beta at 20",
        "limit",
        "error",
        "stays",
        "leaves",
        "agrees",
    ]
    print_table(header, [])
    for name in NETWORKS if options.network == "all" else [options.network]:
        for row in rows(name, options.steps):
            print_row(row)
    if options.plain:
        print_plain(list(NETWORKS) if options.network == "all" else [options.network])


def rows(name: str, steps: int) -> Iterator[list[str]]:
    """Yield one row for every macroscopic transition of a network."""
    task, began = NETWORKS[name](), time.process_time()
    diagram = sp.map_phases(task, soften=SOFTEN)
    seconds = time.process_time() - began
    converged = sum(point.minimum.converged for point in diagram.points)
    size, spent = len(diagram.points[0].minimum.theta), diagram.spent.gradient_equivalents
    first = [name, *map(str, (size, len(diagram.points), converged)), f"{spent:,.0f}", f"{seconds:.0f}"]
    for transition, limit in zip(diagram.macroscopic, diagram.limits, strict=True):
        if limit.limit is None or limit.error is None:
            yield [*first, f"{transition.beta:.5g}", limit.reason, "", "", "", ""]
            continue
        start = raised(task, before(diagram, transition), limit.limit - limit.error, steps)
        ends = [descended(task, start, limit.limit + side * limit.error, steps)[0] for side in (-1.0, 1.0)]
        middle = 0.5 * (transition.before.error + transition.after.error)
        agrees = ends[0] < middle < ends[1]
        yield [
            *first, f"{transition.beta:.5f}", f"{limit.limit:.5f}", f"{limit.error:.1e}", *(f"{end:.4f}" for end in ends),
            "yes" if agrees else "no",
        ]  # fmt: skip


def before(diagram: sp.PhaseDiagram, transition: sp.Transition) -> sp.Minimum:
    """Return the last followed point of the phase before a transition that is not close to it."""
    begins = max((found.beta for found in diagram.macroscopic if found.beta < transition.beta), default=0.0)
    phase = [point for point in diagram.points if begins < point.beta < transition.beta]
    far = [point for point in phase if point.beta <= (1.0 - BACK) * transition.beta]
    return (far[-1] if far else phase[0]).minimum


def raised(task: sp.Task, start: sp.Minimum, beta: float, steps: int) -> Tensor:
    """Return theta of the network with its kinks, led from a softened minimum up to a beta: one leap might leave the phase."""
    theta = start.theta
    for part in range(RUNGS):
        _, theta = descended(task, theta, start.beta * (beta / start.beta) ** (part / RUNGS), steps // 2)
    return theta


def descended(task: sp.Task, start: Tensor, beta: float, steps: int) -> tuple[float, Tensor]:
    """Return E and theta where heavy-ball descent on L of the network with its kinks ends."""
    model = task.model.double()
    named = [value for value in model.parameters() if value.requires_grad]
    with torch.no_grad():
        for value, part in zip(named, torch.split(start, [value.numel() for value in named]), strict=True):
            value.copy_(part.view_as(value))
    speeds = [torch.zeros_like(value) for value in named]
    for step in range(steps):
        loss = task.loss(model, task.data) + beta * sum(value.square().sum() for value in named)
        slopes = torch.autograd.grad(loss, named)
        rate = RATE * min(1.0, LAST ** (2.0 * step / steps - 1.0))
        with torch.no_grad():
            for value, speed, slope in zip(named, speeds, slopes, strict=True):
                value.add_(speed.mul_(MOMENTUM).sub_(rate * slope))
    return float(task.loss(model, task.data).detach()), torch.cat([value.detach().reshape(-1) for value in named])


def print_plain(names: list[str]) -> None:
    """Print what maps without softening come to."""
    print_table(["network, kinks as they are", "points", "converged", "transitions", "gradients", "seconds"], [])
    for name in names:
        began = time.process_time()
        diagram = sp.map_phases(NETWORKS[name]())
        converged = sum(point.minimum.converged for point in diagram.points)
        seconds = time.process_time() - began
        numbers = len(diagram.points), converged, len(diagram.macroscopic), diagram.spent.gradient_evaluations
        print_row([name, *map(str, numbers), f"{seconds:.0f}"])


# -- networks --------------------------------------------------------------------------------


def classified(net: nn.Module, x: Tensor, y: Tensor) -> sp.Task:
    """Return the task of telling classes apart."""
    return sp.Task(net, lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]), (x, y))


def breast_cancer() -> sp.Task:
    """Two hidden layers of ReLU, 338 parameters."""
    x, y = load_breast_cancer(return_X_y=True)
    x, y = torch.tensor((x - x.mean(0)) / x.std(0)), torch.tensor(y)
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:400]
    return classified(nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), x[some], y[some])


def images(classes: int, count: int) -> tuple[Tensor, Tensor]:
    """Return small images of digits, (count, 8, 8), scaled."""
    x, y = load_digits(n_class=classes, return_X_y=True)
    x, y = torch.tensor(x[:count]).view(-1, 8, 8), torch.tensor(y[:count])
    return (x - x.mean(0)) / x.std(), y


def digits() -> sp.Task:
    """Two hidden layers of ReLU on images of 4 by 4, 390 parameters."""
    x, y = images(10, 300)
    small = nn.functional.avg_pool2d(x[:, None], 2).flatten(1)
    return classified(nn.Sequential(nn.Linear(16, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10)), small, y)


def pooling() -> sp.Task:
    """A convolution, max pooling and a hidden layer on images of 4 by 4, 83 parameters."""
    x, y = images(3, 120)
    front = nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Tanh(), nn.Flatten()
    net = nn.Sequential(*front, nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    return classified(net, nn.functional.avg_pool2d(x[:, None], 2), y)


def leaky() -> sp.Task:
    """Two hidden layers of leaky ReLU, 147 parameters."""
    x, y = load_wine(return_X_y=True)
    x, y = torch.tensor((x - x.mean(0)) / x.std(0)), torch.tensor(y)
    net = nn.Sequential(nn.Linear(13, 6), nn.LeakyReLU(0.1), nn.Linear(6, 6), nn.LeakyReLU(0.1), nn.Linear(6, 3))
    return classified(net, x, y)


def hard() -> sp.Task:
    """Two hidden layers of hard tanh, 147 parameters."""
    task = leaky()
    net = nn.Sequential(*(nn.Hardtanh() if isinstance(part, nn.LeakyReLU) else part for part in task.model))
    return classified(net, *task.data)


NETWORKS: dict[str, Callable[[], sp.Task]] = {
    "breast_cancer": breast_cancer,
    "digits": digits,
    "pooling": pooling,
    "leaky": leaky,
    "hard": hard,
}

if __name__ == "__main__":
    run(main, arguments)
