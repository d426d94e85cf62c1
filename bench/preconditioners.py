"""What Kronecker factors save on MNIST: gradients after a step in beta, with and without them.

    python bench/preconditioners.py --data mnist.npz [--betas .005 .01 .02] [--steps .02 .06 .15] [--samples 10000]

784-128-128-10 sigmoid, cross-entropy, float32. From a minimum at beta, each search ends at
`||grad L|| <= 1e-3 * 2 beta ||theta||` of the next beta. A line a step, the median at the end.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from script import run
from torch import Tensor, nn

import spinodal as sp
from spinodal.landscape.objective import Regularised
from spinodal.minima.kronecker import kronecker
from spinodal.minima.lbfgs import Preconditioned, lbfgs

TOLERANCE = 1e-3


def landscape(path: Path, samples: int) -> sp.Landscape:
    """Return E of the network on the first images."""
    stored = np.load(path)
    images = torch.from_numpy(stored["x_train"][:samples].reshape(samples, -1)).float() / 255.0
    images, classes = (images - 0.1307) / 0.3081, torch.from_numpy(stored["y_train"][:samples]).long()
    torch.manual_seed(0)
    layers = [nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 128), nn.Sigmoid(), nn.Linear(128, 10)]
    loss = nn.functional.cross_entropy
    data = (images, classes)
    return sp.Landscape(nn.Sequential(*layers), lambda net, batch: loss(net(batch[0]), batch[1]), data, dtype=torch.float32)


def gradients(loss: Regularised, start: Tensor, *, aided: bool, near: Tensor) -> tuple[Tensor, int, float]:
    """Return the end of a search, its cost in gradients (that of the factors included), and L there."""
    counts = loss.landscape.counts
    before, price, memory = counts.gradient_evaluations, 0, None
    if aided and (found := kronecker(loss.landscape, near)) is not None:
        price, memory = found.price, Preconditioned(start, found.at_beta(loss.beta), 1e9)
    end = lbfgs(loss, start, tolerance=TOLERANCE, memory=memory)
    return end.theta, counts.gradient_evaluations - before + price, end.value


def minimum(error: sp.Landscape, beta: float, start: Tensor) -> Tensor:
    """Return a minimum at beta, refreshing the factors on the way."""
    loss, theta = Regularised(error, beta), start
    for tolerance in (0.3, 0.1, 0.03, 0.01, TOLERANCE):
        found = kronecker(error, theta)
        memory = None if found is None else Preconditioned(theta, found.at_beta(beta), 1e9)
        theta = lbfgs(loss, theta, tolerance=tolerance, memory=memory, iterations=300).theta
    return theta


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--betas", type=float, nargs="+", default=[0.005, 0.01, 0.02])
    parser.add_argument("--steps", type=float, nargs="+", default=[0.02, 0.06, 0.15])
    parser.add_argument("--samples", type=int, default=10_000)


def main(options: argparse.Namespace) -> None:
    """Walk up through the betas, and step from each."""
    error = landscape(options.data, options.samples)
    theta, gains = error.initial, []
    for beta in options.betas:
        theta = minimum(error, beta, theta)
        print(f"beta {beta:g}: E {error.value(theta):.5f} after {error.counts.gradient_evaluations} gradients", flush=True)
        for step in options.steps:
            loss = Regularised(error, beta * (1.0 + step))
            _, aided, low = gradients(loss, theta, aided=True, near=theta)
            print(f"  to {1 + step:g} beta: {aided} with factors, L {low:.6f}", end="; ", flush=True)
            _, plain, value = gradients(loss, theta, aided=False, near=theta)
            gains.append(plain / aided)
            print(f"{plain} without, L {value:.6f}: {gains[-1]:.1f} times fewer", flush=True)
    print(f"median {statistics.median(gains):.1f}")


if __name__ == "__main__":
    run(main, arguments)
