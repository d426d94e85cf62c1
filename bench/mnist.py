"""The last transition of a network with 118,282 parameters on MNIST: its complete S-curve, by walking at fixed norm.

    python bench/mnist.py MNIST.npz                 # from the deep phase to the trivial one, and coexistence
    python bench/mnist.py MNIST.npz --second        # then also the second rank-1 minimum, with another spinodal
    python bench/mnist.py MNIST.npz --images 1000   # a check of the script, not of the method

MNIST.npz holds x_train (images of bytes) and y_train (digits). 784-128-128-10, sigmoid, biases, cross-entropy, float32, inputs
normalised by (.1307, .3081), full batch. `w = 2 beta` is PyTorch's weight_decay, `r = ||theta||`.

Preparation. A random start is minimised on the small sphere r = 1, where all starts tried end in one minimum: a point of the
saddle branch behind the last transition. Scaled to r = 2.82 and minimised there it is in the deep phase, at w = .075. All of
that is in the seconds printed. Then one walk goes down from
w = .075 through the spinodal and along the saddle branch to w = .0196. From its end the trivial phase is minimised.
Coexistence is printed by two routes: equal L of the deep and the trivial phase, and equal areas along the branch.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from hardware import print_table
from script import run
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from spinodal import Branch, StationaryPoint
from spinodal.branches.fixed_norm.sphere import Sphere
from spinodal.branches.fixed_norm.trace import FixedNorm
from spinodal.landscape.penalty import Penalty

MEAN, DEVIATION = 0.1307, 0.3081
SMALL, LARGE = 1.0, 3.2  # norms at which random starts are minimised
MIDDLE = 2.82  # norm of the deep phase at about w = .075
STABLE, SADDLE = 0.0375, 0.0098  # beta at which the walk begins, on the stable branch, and ends, on the saddle branch
ROUGH, CLOSE = 1e-2, 2e-2  # ||grad L|| / (2 beta r) of the two minima of the preparation
SECOND = 0.025  # beta at which a random start ends in another rank-1 minimum
STARTS = 8  # that are tried for it
TRIVIAL = 0.02  # the same of the trivial phase, whose gradient is little more than rounding
GUESS = 0.04  # beta that residuals are measured with there


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("data", help="path of an .npz file with x_train and y_train")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--second", action="store_true", help="also look for the second rank-1 minimum")
    parser.add_argument("--second-seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")


def main(options: argparse.Namespace) -> None:
    """Print the curve, the spinodal, the coexistence point, and the cost."""
    landscape = load(options.data, options.images, options.device)
    gradient = seconds_per_gradient(landscape)
    print(f"{landscape.size:,} parameters, {options.images:,} images, one gradient {1e3 * gradient:.0f} ms\n", flush=True)
    began, spent = time.perf_counter(), landscape.counts.copy()
    top = prepared(landscape, options.seed)
    print(f"prepared: {time.perf_counter() - began:.1f} s, {landscape.counts.gradient_evaluations} gradients\n", flush=True)
    branch = followed(landscape, top, SADDLE)
    trivial = sp.minimise(landscape, beta=branch.folds[0].beta, start=branch.points[-1].theta, tolerance=TRIVIAL)
    found = sp.coexistence(landscape, branch, trivial)
    seconds, cost = time.perf_counter() - began, landscape.counts - spent
    show(branch)
    print(f"trivial phase: {trivial}")
    print("no coexistence found" if found is None else f"w = {2 * found.beta:.6f}: {found}")
    print(f"\n{seconds:.1f} s, {cost.gradient_evaluations} gradients and {cost.hessian_products} Hessian products")
    if options.second:
        second_minimum(landscape, options.second_seed)


def load(path: str, images: int, device: str) -> sp.Landscape:
    """Return E of the network on the first images."""
    with np.load(path) as data:
        x, y = data["x_train"][:images], data["y_train"][:images]
    inputs = (torch.from_numpy(x.reshape(len(x), -1)).float() / 255 - MEAN) / DEVIATION
    targets = torch.from_numpy(y.astype(np.int64))
    return sp.Landscape(network(0), cross_entropy, (inputs, targets), dtype=torch.float32, device=device)


def network(seed: int) -> nn.Sequential:
    """Return the network with the weights of a seed."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 128), nn.Sigmoid(), nn.Linear(128, 10))


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy."""
    return functional.cross_entropy(model(batch[0]), batch[1])


def random_start(landscape: sp.Landscape, seed: int, norm: float) -> Tensor:
    """Return the weights of a seed, scaled to a norm."""
    theta = landscape.vector(network(seed))
    return theta * (norm / float(theta.norm()))


def prepared(landscape: sp.Landscape, seed: int) -> StationaryPoint:
    """Return a point of the deep phase at w = .075, from a random start."""
    theta = random_start(landscape, seed, SMALL)
    for norm, tolerance in ((SMALL, ROUGH), (MIDDLE, CLOSE)):
        sphere = Sphere(landscape, Penalty(), norm**2, GUESS)
        found = sphere.minimise(theta * (norm / float(theta.norm())), tolerance=tolerance, second_order=False)
        theta = sphere.theta(found.theta)
    return list(FixedNorm(landscape, theta, GUESS, to=STABLE, bounds=(STABLE, 0.05), down=False))[-1]


def followed(landscape: sp.Landscape, start: StationaryPoint, to: float) -> Branch:
    """Return the branch from a stable point through its fold, as the norm falls, with a line for every point."""
    return sp.continue_branch(
        landscape, start, to=0.05, bounds=(to, 0.05), method="fixed_norm", on_point=lambda point: told(landscape, point)
    )


def told(landscape: sp.Landscape, point: StationaryPoint) -> None:
    """Print a point and what was spent so far."""
    spent = landscape.counts
    values = f"w = {2 * point.beta:.6f}  E = {point.error:.6f}  L = {point.loss:.6f}  index {point.index_text}"
    cost = f"{spent.gradient_evaluations} gradients, {spent.hessian_products} products"
    print(f"  r = {point.norm_squared**0.5:.4f}  {values}, {cost}", flush=True)


def show(branch: Branch) -> None:
    """Print the branch as a table, and its folds."""
    print()
    header = ["w = 2 beta", "r", "E", "L", "index", "residual / (w r)"]
    print_table(header, [
        [f"{2 * p.beta:.6f}", f"{p.norm_squared**0.5:.4f}", f"{p.error:.6f}", f"{p.loss:.6f}", p.index_text,
         f"{p.residual / (2 * p.beta * p.norm_squared**0.5):.1e}"]
        for p in branch.points
    ])  # fmt: skip
    print(f"\n{branch.status}; {branch.area}")
    for fold in branch.folds:
        print(f"w = {2 * fold.beta:.6f}: {fold}")


def second_minimum(landscape: sp.Landscape, seed: int) -> None:
    """Minimise random starts at w = .1 / 2 until one is alive, and follow it: another rank-1 minimum, another spinodal.

    Many starts fall to the trivial phase; which ones is decided by rounding.
    """
    began, spent = time.perf_counter(), landscape.counts.copy()
    for tried in range(seed, seed + STARTS):
        start = sp.minimise(landscape, beta=SECOND, start=landscape.vector(network(tried)), tolerance=ROUGH)
        alive = float(start.theta.norm()) > SMALL
        print(f"\nseed {tried} at w = {2 * SECOND:g}: {'alive' if alive else 'trivial'}, {start}", flush=True)
        if alive:
            break
    else:
        return
    branch = followed(landscape, start, 0.5 * SECOND)
    for fold in branch.folds:
        print(f"w = {2 * fold.beta:.6f}: {fold}")
    cost = landscape.counts - spent
    print(f"{time.perf_counter() - began:.1f} s, {cost.gradient_evaluations} gradients, {cost.hessian_products} products")


def seconds_per_gradient(landscape: sp.Landscape) -> float:
    """Return the seconds of one gradient, the least of ten."""
    theta, seconds = landscape.initial, []
    for _ in range(10):
        began = time.perf_counter()
        landscape.value_and_gradient(theta)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    run(main, arguments, threads=2)
