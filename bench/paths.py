"""Joining two trained networks on MNIST: the L2 probe beside straight lines, Bezier curves, chains and bands, at equal cost.

    python bench/paths.py --data MNIST.npz                        # relu: 784-100-100-10, squared error, 4,000 images
    python bench/paths.py --data MNIST.npz --case sigmoid         # 784-128-128-10, cross-entropy, 10,000 images
    python bench/paths.py --data MNIST.npz --case sigmoid --images 60000 --trainings 5
    python bench/paths.py --data MNIST.npz --images 500 --budget 60   # a check of the script, not of the methods

MNIST.npz holds x_train, y_train, x_test, y_test (images of bytes, digits). Inputs are normalised by (.1307, .3081); float32.
relu: both ends by full-batch L-BFGS to E = 1e-3. sigmoid: both ends by Adam (1.5e-3, batches of 64) for 30 epochs, or, with
60,000 images (3e-3, batches of 256), until the training cross-entropy is .008, 50 epochs at most. All methods have the same
budget in gradients over the full sample; one training of an end is `--epochs` such gradients. The barrier is the largest E
between points too, above the larger end; accuracies are the least at 33 places evenly along the path and at its points. Ends
are kept in `--ends`, and used again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from hardware import print_table
from script import run
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from spinodal.minima.lbfgs import descend
from spinodal.tasks import Task

MEAN, DEVIATION = 0.1307, 0.3081
METHODS = (("straight", {}), ("l2", {}), ("walk", {}), ("bezier", {}), ("chain", {"bends": 3}), ("band", {"bends": 7}))
CLASSES, PLACES = 10, 32


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--data", required=True, help="path of an .npz file")
    parser.add_argument("--case", choices=("relu", "sigmoid"), default="relu")
    parser.add_argument("--images", type=int)
    parser.add_argument("--pairs", type=int, default=1, help="pairs of seeds: 0 and 1, 2 and 3, ...")
    parser.add_argument("--first", type=int, default=0, help="the first pair")
    parser.add_argument(
        "--tolerance", type=float, help="a path that rises by no more is not lowered any further; default: `connect`'s"
    )
    parser.add_argument("--budget", type=float, help="gradients over the full sample; default 1000")
    parser.add_argument("--trainings", type=float, help="the budget in trainings of an end, in its place")
    parser.add_argument("--epochs", type=int, default=50, help="gradients over the full sample that are one training")
    parser.add_argument("--methods", default=",".join(name for name, _ in METHODS))
    parser.add_argument("--ends", type=Path, default=Path("ends"), help="folder in which trained ends are kept")


def main(options: argparse.Namespace) -> None:
    """Print one table for every pair of seeds."""
    images = options.images or (4000 if options.case == "relu" else 10_000)
    task = made(options.data, options.case, images)
    budget = options.trainings * options.epochs if options.trainings else options.budget or 1000.0
    for pair in range(options.first, options.first + options.pairs):
        ends = [end(task, options.case, images, seed, options.ends) for seed in (2 * pair, 2 * pair + 1)]
        print(f"\n{options.case}, {images:,} images, seeds {2 * pair} and {2 * pair + 1}, budget {budget:g}\n", flush=True)
        compare(task, ends, (budget, options.tolerance), options.epochs, options.methods.split(","))


def compare(task: Task, ends: list[Tensor], limits: tuple[float, float | None], epochs: int, methods: list[str]) -> None:
    """Print the table of one pair of ends."""
    rows = []
    for name, settings in METHODS:
        if name in methods:
            landscape = task.landscape(dtype=torch.float32)
            began = time.perf_counter()
            path = sp.connect(landscape, *ends, method=name, budget=limits[0], tolerance=limits[1], task=task, **settings)
            seconds = time.perf_counter() - began
            rows.append(row(name, path, least_accuracy(path, task), epochs, seconds))
            print(path, flush=True)
    print()
    print_table(
        ["method", "barrier", "uncertainty", "largest E", "train accuracy >=", "test accuracy >=", "points", "gradients",
         "trainings", "seconds"], rows
    )  # fmt: skip


def row(name: str, path: sp.Path, least: list[float], epochs: int, seconds: float) -> list[str]:
    """Return one line of the table."""
    return [
        name, f"{path.barrier:.2e}", f"{path.uncertainty:.0e}", f"{path.max_error:.5f}", *(f"{value:.4f}" for value in least),
        f"{len(path.points)}", f"{path.evaluations:.0f}", f"{path.evaluations / epochs:.1f}", f"{seconds:.0f}",
    ]  # fmt: skip


def least_accuracy(path: sp.Path, task: Task) -> list[float]:
    """Return the smallest accuracy over the training and the held-out data, at places evenly along the path and its points."""
    places = sorted({*(place / PLACES for place in range(PLACES + 1)), *path.t})
    models = [path.at(t).module() for t in places]
    with torch.no_grad():
        return [min(accuracy(model, *part) for model in models) for part in (task.data, task.held_out)]


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the part of the samples that are classified as they should be."""
    classes = y if y.dim() == 1 else y.argmax(1)
    return float((model(x).argmax(1) == classes).double().mean())


def made(data: str, case: str, images: int) -> Task:
    """Return the task of a case."""
    with np.load(data) as held:
        x, y, x_test, y_test = (torch.from_numpy(held[name]) for name in ("x_train", "y_train", "x_test", "y_test"))
    train, test = (
        ((part.reshape(len(part), -1).float() / 255.0 - MEAN) / DEVIATION, classes.long())
        for part, classes in ((x[:images], y[:images]), (x_test, y_test))
    )
    if case == "sigmoid":
        return Task(network(128, nn.Sigmoid, 0), nn.CrossEntropyLoss(), train, held_out=test, name="mnist")
    hot = [(inputs, functional.one_hot(classes, CLASSES).float()) for inputs, classes in (train, test)]
    return Task(network(100, nn.ReLU, 0), squared, hot[0], held_out=hot[1], name="mnist")


def squared(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean over samples of the sum over outputs."""
    return ((model(batch[0]) - batch[1]) ** 2).sum(1).mean()


def network(width: int, activation: type[nn.Module], seed: int) -> nn.Module:
    """Return a network with two hidden layers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(784, width), activation(), nn.Linear(width, width), activation(), nn.Linear(width, CLASSES))


def end(task: Task, case: str, images: int, seed: int, folder: Path) -> Tensor:
    """Return a trained network, shape (n,), made if it is not there."""
    place = folder / f"{case}-{images}-{seed}.npy"
    if not place.exists():
        folder.mkdir(exist_ok=True)
        theta = by_adam(task, images, seed) if case == "sigmoid" else by_lbfgs(task, seed)
        np.save(place, theta.numpy())
    return torch.from_numpy(np.load(place))


def by_lbfgs(task: Task, seed: int) -> Tensor:
    """Minimise E by full-batch L-BFGS to 1e-3."""
    landscape = task.landscape(dtype=torch.float32)
    search = descend(
        landscape.vector(network(100, nn.ReLU, seed)), lambda theta, value, gradient: "deep" if value < 1e-3 else None, 2000
    )
    theta = next(search)
    try:
        while True:
            theta = search.send(landscape.value_and_gradient(theta))
    except StopIteration as found:
        print(f"seed {seed}: E = {found.value.value:.2e} after {landscape.counts.gradient_evaluations} gradients", flush=True)
        return found.value.theta


def by_adam(task: Task, images: int, seed: int) -> Tensor:
    """Train by Adam in batches."""
    size, rate = (256, 3e-3) if images > 10_000 else (64, 1.5e-3)
    model = network(128, nn.Sigmoid, seed)
    optimiser, order = torch.optim.Adam(model.parameters(), lr=rate), torch.Generator().manual_seed(seed)
    x, y = task.data
    error, epoch = float("inf"), 0
    for epoch in range(50 if images > 10_000 else 30):  # noqa: B007 - printed
        for places in torch.randperm(len(x), generator=order).split(size):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[places]), y[places]).backward()
            optimiser.step()
        with torch.no_grad():
            error = float(functional.cross_entropy(model(x), y))
        if images > 10_000 and error < 8e-3:
            break
    print(f"seed {seed}: E = {error:.2e} after {epoch + 1} epochs", flush=True)
    return torch.cat([value.detach().reshape(-1) for value in model.parameters()])


if __name__ == "__main__":
    run(main, arguments)
