"""Planted permutations and sign flips of trained networks: are they found, and is the function then the same to rounding?

    python bench/alignment.py                  # widths 16 to 512 and a small CNN, 100 trials each
    python bench/alignment.py --trials 5       # a check of the script

Networks (two hidden layers of tanh or ReLU; a CNN with two convolutions) are trained by Adam on scikit-learn's digits, float64.
In every trial all hidden units are permuted at random and, where the activation is odd, their signs flipped, through the layers
of the module: nothing of `spinodal.paths` takes part in that. `align` then brings the copy back; the straight line to what it
returns must have no barrier, E on it must differ by 1e-10 at most, and theta must be that of the network.
"""

from __future__ import annotations

import argparse
import copy
import time
from itertools import pairwise

import torch
from hardware import print_table
from script import run
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import spinodal as sp
from spinodal.paths import align

WIDTHS = (16, 32, 64, 128, 256, 512)
STEPS, RATE = 150, 2e-3
PLACES = 5  # on the straight line


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))


def main(options: argparse.Namespace) -> None:
    """Print one line for every network."""
    networks = [
        (f"{kind.__name__} {width}", mlp(width, kind)) for width in whole(options.widths) for kind in (nn.Tanh, nn.ReLU)
    ]
    rows = [
        trials(name, model, options.trials)
        for name, model in [*networks, ("CNN, tanh", cnn(nn.Tanh)), ("CNN, ReLU", cnn(nn.ReLU))]
    ]
    print_table(["network", "found", "trials", "largest barrier", "largest |dE|", "largest distance", "seconds each"], rows)


def whole(text: str) -> list[int]:
    """Return numbers with commas between."""
    return [int(part) for part in text.split(",") if part]


def trials(name: str, model: nn.Sequential, count: int) -> list[str]:
    """Plant and align again and again; return one line of the table."""
    x, y = data(model)
    train(model, x, y)
    landscape = sp.Landscape(model, lambda net, batch: functional.cross_entropy(net(batch[0]), batch[1]), (x, y))
    theta = landscape.initial
    error = landscape.value(theta)
    found, barriers, changes, distances = 0, [], [], []
    began = time.perf_counter()
    for seed in range(count):
        planted = landscape.vector(shuffled(model, seed))
        back = align(landscape, theta, planted).theta
        line = [landscape.value(torch.lerp(theta, back, part / (PLACES - 1))) for part in range(PLACES)]
        barriers.append(max(line) - max(line[0], line[-1]))
        changes.append(max(abs(value - error) for value in line))
        distances.append(float((back - theta).norm() / theta.norm()))
        found += barriers[-1] <= 1e-10 and changes[-1] <= 1e-10 and distances[-1] < 1e-10
    seconds = (time.perf_counter() - began) / count
    print(f"{name}: {found} of {count}, E = {error:.4f}", flush=True)
    return [
        name,
        f"{found}",
        f"{count}",
        f"{max(barriers):.1e}",
        f"{max(changes):.1e}",
        f"{max(distances):.1e}",
        f"{seconds:.2f}",
    ]


def data(model: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Return digits, as images where the network begins with a convolution."""
    digits = load_digits()
    x = torch.from_numpy(digits.data).double() / 16.0 - 0.5
    return x.reshape(-1, 1, 8, 8) if isinstance(model[0], nn.Conv2d) else x, torch.from_numpy(digits.target)


def train(model: nn.Sequential, x: Tensor, y: Tensor) -> None:
    """Take steps of Adam over batches."""
    optimiser, order = torch.optim.Adam(model.parameters(), lr=RATE), torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        places = torch.randint(len(x), (128,), generator=order)
        optimiser.zero_grad()
        functional.cross_entropy(model(x[places]), y[places]).backward()
        optimiser.step()


def mlp(width: int, kind: type[nn.Module]) -> nn.Sequential:
    """Return a network with two hidden layers."""
    torch.manual_seed(width)
    layers = nn.Linear(64, width), kind(), nn.Linear(width, width), kind(), nn.Linear(width, 10)
    return nn.Sequential(*layers).double()


def cnn(kind: type[nn.Module]) -> nn.Sequential:
    """Return a small convolutional network."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), kind(), nn.Conv2d(8, 16, 3), kind(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(64, 32), kind(), nn.Linear(32, 10),
    ).double()  # fmt: skip


def shuffled(model: nn.Sequential, seed: int) -> nn.Module:
    """Return a copy whose hidden units changed places, and signs where their activation is odd: the same function."""
    generator = torch.Generator().manual_seed(1000 + seed)
    other = copy.deepcopy(model)
    layers = [layer for layer in other if isinstance(layer, nn.Linear | nn.Conv2d)]
    odd = any(isinstance(layer, nn.Tanh) for layer in model)
    with torch.no_grad():
        for here, behind in pairwise(layers):
            count = here.weight.shape[0]
            order = torch.randperm(count, generator=generator)
            signs = 2.0 * torch.randint(2, (count,), generator=generator).double() - 1.0 if odd else torch.ones(count).double()
            here.weight.copy_(here.weight[order] * signs.reshape(-1, *[1] * (here.weight.dim() - 1)))
            here.bias.copy_(here.bias[order] * signs)
            each = behind.weight.shape[1] // count  # numbers that a channel becomes where it is flattened
            columns = (order[:, None] * each + torch.arange(each)).reshape(-1)
            scale = signs.repeat_interleave(each).reshape(1, -1, *[1] * (behind.weight.dim() - 2))
            behind.weight.copy_(behind.weight[:, columns] * scale)
    return other


if __name__ == "__main__":
    run(main, arguments)
