"""Does the range that a map finds by itself hold what happens, and little else?

    python bench/ranges.py                       # ten networks and two adapters: six minutes of one core
    python bench/ranges.py --network perceptron

Every network is mapped with its own range. E changes by all but 1 % on either side within a *stretch*: it begins where E has
risen by 1 % of its change over the map, and ends where 1 % of that is left, or at the last transition. Columns: the range;
the stretch; macroscopic transitions, and how many of them lie inside the range with a point on either side; points, and
those outside the stretch; their part, whose bar is a third; processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from hardware import print_row, print_table
from pre_norm import offered
from pre_norm import task as pre_norm
from script import run
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn

import spinodal as sp
from spinodal.definitions import MACROSCOPIC
from spinodal.tasks.registry import make_task

HEADER = ["network", "range", "stretch", "transitions", "inside", "points", "outside", "part", "seconds"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--network", choices=["all", *NETWORKS], default="all")


def main(options: argparse.Namespace) -> None:
    """Print a line for every network."""
    print_table(HEADER, [])
    for name in NETWORKS if options.network == "all" else [options.network]:
        print_row(row(name))


def row(name: str) -> list[str]:
    """Return what the map of a network is worth."""
    began = time.process_time()
    diagram = sp.map_phases(NETWORKS[name]())
    seconds = time.process_time() - began
    begin, end = stretch(diagram)
    total, outside = len(diagram.points), sum(not begin <= point.beta <= end for point in diagram.points)
    low, high = diagram.points[0].beta, diagram.points[-1].beta
    inside = sum(low < found.bracket[0] <= found.bracket[1] < high for found in diagram.macroscopic)
    counts = f"{len(diagram.macroscopic)}", f"{inside}", f"{total}", f"{outside}", f"{outside / total:.2f}"
    return [name, f"{low:.3g} to {high:.3g}", f"{begin:.3g} to {end:.3g}", *counts, f"{seconds:.0f}"]


def stretch(diagram: sp.PhaseDiagram) -> tuple[float, float]:
    """Return where all but 1 % of the change of E begins and ends, the last transition included."""
    points = diagram.points
    errors = [point.error for point in points]
    far = MACROSCOPIC * (max(errors) - min(errors))
    begin = max(point.beta for point in points if point.error <= min(errors) + far)
    end = min(point.beta for point in points if point.error >= max(errors) - far)
    return begin, max([end, *(found.bracket[1] for found in diagram.macroscopic)])


# -- networks --------------------------------------------------------------------------------


def example(name: str, function: str = "task") -> sp.Task:
    """Return a network of the gallery."""
    return make_task(f"examples/{name}.py:{function}", {})


def standardised(x: Tensor) -> Tensor:
    """Return measurements of mean 0 and variance 1."""
    return (x - x.mean(0)) / x.std(0)


def perceptron() -> sp.Task:
    """One layer on two classes, which has no transition."""
    x, y = (torch.tensor(part) for part in load_breast_cancer(return_X_y=True))
    return sp.Task(nn.Linear(30, 2), nn.CrossEntropyLoss(), (standardised(x), y))


class PostNorm(nn.Module):
    """Two blocks, each of which normalises the sum of its input and of what it makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.ModuleList(nn.Linear(8, 6) for _ in range(2))
        self.write = nn.ModuleList(nn.Linear(6, 8) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for read, write in zip(self.read, self.write, strict=True):
            x = self.norm(x + write(torch.tanh(read(x))))
        return self.head(x)


class Recurrent(nn.Module):
    """Reads the rows of an image one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.RNN(8, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


def images(net: nn.Module, *, flat: bool) -> sp.Task:
    """Return the task of telling three digits apart; flat ones are eight columns of a fixed projection."""
    x, y = (torch.tensor(part) for part in load_digits(n_class=3, return_X_y=True))
    x, y = x[:150] / 8 - 1, y[:150]
    if flat:
        x = standardised(x @ torch.randn(64, 8, generator=torch.Generator().manual_seed(0), dtype=x.dtype))
    return sp.Task(net, nn.CrossEntropyLoss(), (x if flat else x.view(-1, 8, 8), y))


class Adapted(nn.Module):
    """A frozen layer with an adapter of low rank beside it."""

    def __init__(self, frozen: Tensor, rank: int) -> None:
        super().__init__()
        self.frozen = nn.Parameter(frozen, requires_grad=False)
        self.down, self.up = nn.Linear(6, rank, bias=False), nn.Linear(rank, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.frozen.T + self.up(self.down(x))


def adapters(rank: int) -> sp.Task:
    """Return whitened inputs, and targets that the frozen layer misses by modes of 1.1, .7 and .4."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, frozen = torch.linalg.qr(normal(60, 6))[0] * 60**0.5, normal(5, 6)
    modes = torch.linalg.qr(normal(5, 5))[0][:, :3] @ torch.diag(torch.tensor([1.1, 0.7, 0.4], dtype=torch.float64))
    y = x @ (frozen + modes @ torch.linalg.qr(normal(6, 6))[0][:, :3].T).T
    return sp.Task(Adapted(frozen, rank), lambda model, b: (model(b[0]) - b[1]).square().sum(1).mean(), (x, y))


NETWORKS: dict[str, Callable[[], sp.Task]] = {
    "mlp": lambda: example("mlp"),
    "cnn": lambda: example("cnn"),
    "transformer": lambda: example("transformer"),
    "batchnorm": lambda: example("batchnorm", "task_masked"),
    "autoencoder": lambda: make_task("autoencoder", {}),
    "gaussian": lambda: make_task("gaussian", {"samples": "200"}),
    "pre-norm": lambda: pre_norm(offered(pre_norm())),
    "post-norm": lambda: images(PostNorm(), flat=True),
    "recurrent": lambda: images(Recurrent(), flat=False),
    "perceptron": perceptron,
    "adapter of rank 1": lambda: adapters(1),
    "adapter of rank 2": lambda: adapters(2),
}

if __name__ == "__main__":
    run(main, arguments)
