"""The last transition of a network with 118,282 parameters on MNIST: its complete S-curve, by walking at fixed norm.

    python bench/mnist.py MNIST.npz                 # from the deep phase to the trivial one, and coexistence
    python bench/mnist.py MNIST.npz --second        # then also the second rank-1 minimum, with another spinodal
    python bench/mnist.py MNIST.npz --images 1000   # a check of the script, not of the method

MNIST.npz holds x_train (images of bytes) and y_train (digits). 784-128-128-10, sigmoid, biases, cross-entropy, float32, inputs
normalised by (.1307, .3081), full batch. `w = 2 beta` is PyTorch's weight_decay, `r = ||theta||`.

Preparation. A random start is minimised on the small sphere r = 1, where all starts tried end in one minimum: a point of the
saddle branch behind the last transition. Scaled to r = 2 and minimised there it is near the spinodal of the deep phase. From
there the walk goes up along the stable branch, and then, from the same point, down the saddle branch into the trivial phase.
Both halves are joined to one branch. Nothing else is prepared, so the seconds printed are those from the random start on.
Coexistence is printed by two routes: equal L on the stable part and on the trivial phase, and equal areas under beta over rho.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from hardware import hardware_line, print_table, use_threads
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from spinodal import Branch, StationaryPoint
from spinodal.continuation.fixed_norm import FixedNorm
from spinodal.continuation.sphere import Sphere
from spinodal.penalty import Penalty

MEAN, DEVIATION = 0.1307, 0.3081
SMALL, LARGE = 1.0, 3.2  # norms at which random starts are minimised
MIDDLE = 2.0  # norm, near the spinodal, from which the walk goes both ways
LOW, HIGH = 0.025, 0.046  # beta: the lowest on the stable branch, and the one at which the trivial phase is left alone
TOLERANCE = 3e-3  # ||grad L|| / (2 beta r), at which w is known to about .2 %
GUESS = 0.03  # of beta at a random start, for the size of residuals


def main() -> None:
    """Print the curve, the spinodal, the coexistence point, and the cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="path of an .npz file with x_train and y_train")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--second", action="store_true", help="also look for the second rank-1 minimum")
    parser.add_argument("--second-seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    use_threads(options.threads)
    print(hardware_line() + "\n", flush=True)
    landscape = load(options.data, options.images, options.device)
    gradient = seconds_per_gradient(landscape)
    print(f"{landscape.size:,} parameters, {options.images:,} images, one gradient {1e3 * gradient:.0f} ms\n", flush=True)
    began, spent, processor = time.perf_counter(), landscape.counts.copy(), time.process_time()
    deep = s_curve(landscape, options.seed)
    seconds, cost = time.perf_counter() - began, landscape.counts - spent
    show(deep)
    coexistence(deep)
    evaluations = f"{cost.gradient_evaluations} gradients and {cost.hessian_products} Hessian products"
    price = f"{gradient_cost(cost, gradient):.1f} s at the price of a gradient"
    print(f"\n{seconds:.1f} s ({time.process_time() - processor:.1f} s of processors), {evaluations}; {price}")
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


def s_curve(landscape: sp.Landscape, seed: int) -> Branch:
    """Return the branch from the stable deep phase to the trivial phase."""
    small = Sphere(landscape, Penalty(), SMALL**2, GUESS)
    found = small.minimise(random_start(landscape, seed, SMALL), tolerance=1e-2, second_order=False)
    start = small.theta(found.theta) * (MIDDLE / SMALL)
    up = walked(FixedNorm(landscape, start, GUESS, to=LOW, bounds=(0.5 * LOW, 2 * HIGH), down=False, tolerance=TOLERANCE))
    middle = up.points[0]
    down = walked(FixedNorm(landscape, middle.theta, middle.beta, to=HIGH, bounds=(1e-6, HIGH), down=True, tolerance=TOLERANCE))
    return backwards(up).followed_by(down)


def walked(walk: FixedNorm) -> Branch:
    """Walk to the end, with a line for every point."""
    for point in walk:
        spent = walk.landscape.counts
        values = f"w = {2 * point.beta:.6f}  E = {point.error:.6f}  L = {point.loss:.6f}  index {point.index_text}"
        cost = f"{spent.gradient_evaluations} gradients, {spent.hessian_products} products"
        print(f"  r = {point.norm_squared**0.5:.4f}  {values}, {cost}", flush=True)
    branch = walk.branch()
    jump = "" if walk.jump is None else f" (r between {walk.jump[1] ** 0.5:.4f} and {walk.jump[0] ** 0.5:.4f})"
    print(f"  {branch.status}{jump}")
    return branch


def backwards(branch: Branch) -> Branch:
    """Return a branch in the other direction."""
    turned = {id(point): _turned(point) for point in branch.points}
    folds = tuple(replace(fold, point=turned[id(fold.point)], index=fold.index[::-1]) for fold in branch.folds[::-1])
    return replace(branch, points=tuple(turned[id(point)] for point in branch.points[::-1]), folds=folds)


def _turned(point: StationaryPoint) -> StationaryPoint:
    return replace(point, tangent=-point.tangent, beta_rate=-point.beta_rate, norm_rate=-point.norm_rate)


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


def coexistence(branch: Branch) -> None:
    """Print where the stable part and the trivial phase have equal L, and equal areas."""
    upper = [fold.point for fold in branch.folds if fold.side == "upper"]
    lower = [fold.point for fold in branch.folds if fold.side == "lower"]
    if not upper or not lower:
        print("no coexistence: the branch has not both folds")
        return
    stable = branch.points[: _place(branch, upper[0]) + 1]
    trivial = branch.points[_place(branch, lower[-1]) :]
    by_loss = _zero(lambda beta: _loss_at(stable, beta) - _loss_at(trivial, beta), stable, trivial)
    by_area = _zero(lambda beta: _excess(branch, beta), stable, trivial)
    equal = f"w = {2 * by_loss:.6f} by equal L = {_loss_at(trivial, by_loss):.6f}"
    print(f"coexistence: {equal}, w = {2 * by_area:.6f} by equal areas")


def _place(branch: Branch, point: StationaryPoint) -> int:
    return next(k for k, other in enumerate(branch.points) if other is point)


def _loss_at(points: Sequence[StationaryPoint], beta: float) -> float:
    """Return L on a part of the branch along which beta is monotone; its slope is rho exactly (cubic between points)."""
    for a, b in pairwise(points):
        if (a.beta - beta) * (b.beta - beta) <= 0:
            width, x = b.beta - a.beta, (beta - a.beta) / (b.beta - a.beta)
            ends = (1 + 2 * x) * (1 - x) ** 2 * a.loss + x * x * (3 - 2 * x) * b.loss
            return ends + width * x * (1 - x) * ((1 - x) * a.norm_squared - x * b.norm_squared)
    raise ValueError(f"no point at beta = {beta}")


def _excess(branch: Branch, beta: float) -> float:
    """Return the integral of `beta(rho) - beta` from the trivial phase to the stable one."""
    t = np.array([point.norm_squared for point in branch.points[::-1]])
    heights = np.array([point.beta for point in branch.points[::-1]])
    slopes = np.array([point.beta_rate / point.norm_rate for point in branch.points[::-1]])
    fine = np.unique(np.concatenate([np.linspace(a, b, 40) for a, b in pairwise(t)]))
    curve = _cubic(t, heights, slopes, fine)
    inside = np.flatnonzero(curve >= beta)
    first_low = np.flatnonzero(curve < beta)[0]
    return float(np.trapezoid((curve - beta)[first_low : inside[-1] + 1], fine[first_low : inside[-1] + 1]))


def _cubic(x: np.ndarray, y: np.ndarray, slopes: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy.interpolate import CubicHermiteSpline

    values: np.ndarray = CubicHermiteSpline(x, y, slopes)(at)
    return values


def _zero(function: Callable[[float], float], stable: Sequence[StationaryPoint], trivial: Sequence[StationaryPoint]) -> float:
    low = max(min(p.beta for p in stable), min(p.beta for p in trivial))
    high = min(max(p.beta for p in stable), max(p.beta for p in trivial))
    sign = function(low) > 0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (function(middle) > 0) == sign else (low, middle)
    return 0.5 * (low + high)


def second_minimum(landscape: sp.Landscape, seed: int) -> None:
    """Minimise a random start on a large sphere and walk down from there: another rank-1 minimum, another spinodal."""
    began, spent = time.perf_counter(), landscape.counts.copy()
    print(f"\nSecond rank-1 minimum: seed {seed}, minimised at r = {LARGE}")
    branch = walked(
        FixedNorm(
            landscape, random_start(landscape, seed, LARGE), GUESS, to=HIGH, bounds=(LOW, HIGH), down=True, tolerance=TOLERANCE
        )
    )
    for fold in branch.folds:
        print(f"w = {2 * fold.beta:.6f}: {fold}")
    cost = landscape.counts - spent
    print(
        f"{time.perf_counter() - began:.1f} s, {cost.gradient_evaluations} gradients, {cost.hessian_products} Hessian products"
    )


def seconds_per_gradient(landscape: sp.Landscape) -> float:
    """Return the seconds of one gradient, the least of ten."""
    theta, seconds = landscape.initial, []
    for _ in range(10):
        began = time.perf_counter()
        landscape.value_and_gradient(theta)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def gradient_cost(cost: sp.Counts, gradient: float) -> float:
    """Return the seconds that gradients and products (1.4 gradients each, as measured) cost where nothing else runs."""
    return gradient * (cost.gradient_evaluations + 1.4 * cost.hessian_products)


if __name__ == "__main__":
    main()
