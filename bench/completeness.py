"""Does a walk miss a transition? Random linear nets against closed forms, random small tasks against brute force.

    python bench/completeness.py                          # 300 linear nets and 60 tasks: an hour of one core
    python bench/completeness.py --part linear --count 20
    python bench/completeness.py --part tasks --first 7 --count 1

`linear`: nets of one and two hidden layers with singular values at least 3 % apart. A map must list as many transitions as
the closed form has, and every bracket must hold its exact value.

`tasks`: feed-forward, recurrent, convolutional and attention networks, regression and classification, smooth activations.
Between consecutive points of a map, the dense solver follows the branch in steps of .5 %, and halves those in which E
changes much. A jump of E above 1.2 % of its range that is on no list is lost; one on the list below .8 % is none.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from hardware import print_row, print_table
from script import run
from torch import Tensor, nn

import spinodal as sp
from spinodal.tasks import gaussian
from spinodal.theory import deep_linear

LOST, LISTED = 0.012, 0.008  # of the range of E
STEP, NARROW = 0.005, 1e-4  # relative steps of the brute force, and where it stops halving them


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--part", choices=["all", "linear", "tasks"], default="all")
    parser.add_argument("--first", type=int, default=0, help="Number of the first net or task.")
    parser.add_argument("--count", type=int, default=0, help="How many; default 300 linear nets, 60 tasks.")


def main(options: argparse.Namespace) -> None:
    """Print a line for every map, and how many are wrong."""
    if options.part in ("all", "linear"):
        header = ["net", "singular values", "exact", "found", "wrong"]
        wrong = counted(header, (linear_row(k) for k in range(options.first, options.first + (options.count or 300))))
        print(f"{wrong} linear nets wrong")
    if options.part in ("all", "tasks"):
        header = ["task", "parameters", "points", "listed", "incomplete", "listed below .8 %", "lost"]
        wrong = counted(header, (task_row(k) for k in range(options.first, options.first + (options.count or 60))))
        print(f"{wrong} tasks wrong")


def counted(header: list[str], rows: Iterator[list[str]]) -> int:
    """Print rows as they are made, and return how many do not end in "-"."""
    print_table(header, [])
    wrong = 0
    for row in rows:
        print_row(row)
        wrong += row[-1] != "-"
    return wrong


# -- linear nets ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linear:
    """A linear net with its exact transitions, at most as many as its narrowest layer."""

    values: tuple[float, ...]
    hidden: tuple[int, ...]
    high: float
    seed: int

    @property
    def exact(self) -> list[float]:
        """Return where the transitions lie on the way up, rising."""
        found = deep_linear(self.values, matrices=len(self.hidden) + 1)
        return sorted(sorted((item.beta for item in found), reverse=True)[: min(self.hidden)])

    def map(self) -> sp.PhaseDiagram:
        """Return the map of the net, from below its first transition to beyond its last."""
        size = max(3, len(self.values))
        task = gaussian(
            activation="linear", hidden=self.hidden, singular_values=self.values, inputs=size, outputs=size, samples=50
        )
        return sp.map_phases(task, beta=(0.1 * self.exact[0], self.high * self.exact[-1]), seed=self.seed)


def random_linear(k: int) -> Linear:
    """Return net k: one to four modes, one or two hidden layers."""
    draw = random.Random(k)
    while True:
        values = sorted((draw.uniform(0.3, 1.0) for _ in range(draw.randint(1, 4))), reverse=True)
        if all(a > 1.03 * b for a, b in pairwise(values)):
            break
    width = draw.randint(max(1, len(values) - 1), len(values) + 2)
    return Linear(tuple(values), (width,) * draw.randint(1, 2), draw.uniform(1.05, 1.6), k)


def linear_row(k: int) -> list[str]:
    """Map net k and compare; the last cell says what is wrong, "-" if nothing is."""
    net = random_linear(k)
    brackets = sorted(item.bracket for item in net.map().transitions)
    held = len(brackets) == len(net.exact) and all(
        low <= exact <= high for (low, high), exact in zip(brackets, net.exact, strict=True)
    )
    found = " ".join(f"{low:.6f}-{high:.6f}" for low, high in brackets)
    values = " ".join(f"{value:.4f}" for value in net.values)
    exact = " ".join(f"{value:.6f}" for value in net.exact)
    return [f"{k} {net.hidden}", values, exact, found, "-" if held else "wrong"]


# -- small tasks ------------------------------------------------------------------------------

ACTIVATIONS = (nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Softplus)


class Recurrent(nn.Module):
    """A recurrent layer, read out at its last step."""

    def __init__(self, kind: type[nn.Module], inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.layer, self.out = kind(inputs, width, batch_first=True), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape (samples, outputs), of sequences, shape (samples, steps, inputs)."""
        outputs: Tensor = self.out(self.layer(x)[0][:, -1])
        return outputs


class Attention(nn.Module):
    """One head of attention, whose values are averaged over the sequence."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(inputs, width) for _ in range(3))
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape (samples, outputs), of sequences, shape (samples, steps, inputs)."""
        weights = (self.query(x) @ self.key(x).transpose(1, 2) / self.query.out_features**0.5).softmax(-1)
        outputs: Tensor = self.out(torch.tanh(weights @ self.value(x)).mean(1))
        return outputs


def random_task(k: int) -> sp.Task:
    """Return task k: the kind of network by k, all else at random."""
    draw = random.Random(k)
    kind = ("feed-forward", "recurrent", "convolutional", "attention")[k % 4]
    generator = torch.Generator().manual_seed(k)
    outputs, width, classes = draw.randint(2, 3), draw.randint(2, 4), draw.random() < 0.5
    torch.manual_seed(k)
    if kind == "feed-forward":
        activation = draw.choice(ACTIVATIONS)
        model: nn.Module = nn.Sequential(
            nn.Linear(3, width + 2), activation(), nn.Linear(width + 2, width), activation(), nn.Linear(width, outputs)
        )
        x = torch.randn(60, 3, generator=generator)
    elif kind == "convolutional":
        activation = draw.choice(ACTIVATIONS)
        model = nn.Sequential(
            nn.Conv1d(1, width, 3), activation(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(3 * width, outputs)
        )
        x = torch.randn(60, 1, 8, generator=generator)
    else:
        cells = (nn.RNN, nn.GRU, nn.LSTM)
        model = Recurrent(draw.choice(cells), 2, width, outputs) if kind == "recurrent" else Attention(2, width, outputs)
        x = torch.randn(60, 4, 2, generator=generator)
    flat = x.reshape(60, -1)
    signal = flat[:, :outputs] + 0.5 * torch.tanh(flat.roll(1, 1)[:, :outputs] * flat[:, :outputs])
    if classes:
        return sp.Task(model, _cross_entropy, (x, signal.argmax(1)))
    return sp.Task(model, _squared_error, (x, signal + 0.1 * torch.randn(60, outputs, generator=generator)))


def _cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def _squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) - batch[1]).square().sum(1).mean()


def task_row(k: int, step: float = STEP) -> list[str]:
    """Map task k and follow its branch again by brute force, in relative steps of at most `step`."""
    task = random_task(k)
    diagram = sp.map_phases(task, seed=k, starts=2)
    errors = [point.error for point in diagram.points]
    extent = max(errors) - min(errors)
    lost = [f"{beta:.6f} ({100 * jump:.2f} %)" for beta, jump in lost_jumps(task.landscape(), diagram, extent, step)]
    jumps = [(t.beta, abs(t.after.error - t.before.error) / extent) for t in diagram.macroscopic if t.jumps]
    weak = [f"{beta:.6f} ({100 * jump:.2f} %)" for beta, jump in jumps if jump < LISTED]
    listed = " ".join(f"{t.beta:.5f}" for t in diagram.macroscopic)
    size = str(diagram.spent.parameters)
    incomplete = str(len(diagram.incomplete))
    return [str(k), size, str(len(errors)), listed, incomplete, " ".join(weak) or "-", " ".join(lost or weak) or "-"]


def lost_jumps(
    landscape: sp.Landscape, diagram: sp.PhaseDiagram, extent: float, step: float = STEP
) -> Iterator[tuple[float, float]]:
    """Yield beta and size, over the range of E, of the jumps between consecutive points that are on no list."""
    listed = {(item.before.index, item.after.index) for item in diagram.macroscopic}
    for a, b in pairwise(diagram.points):
        if (a.index, b.index) in listed or abs(b.error - a.error) < LOST * extent:
            continue  # E only rises along a branch of minima
        for low, high in _narrowed(landscape, a.minimum, b.beta, extent, step):
            yield high.beta, abs(high.error - low.error) / extent


def _narrowed(
    landscape: sp.Landscape, start: sp.Minimum, to: float, extent: float, longest: float
) -> Iterator[tuple[sp.Minimum, sp.Minimum]]:
    """Yield the steps of `NARROW` or less in which E still changes by `LOST` of its range."""
    here, step = start, longest
    while abs(math.log(to / here.beta)) > 1e-12:
        distance = math.log(to / here.beta)
        there = _at(landscape, here, here.beta * math.exp(math.copysign(min(step, abs(distance)), distance)))
        if abs(there.error - here.error) >= LOST * extent:
            if step > NARROW:
                step *= 0.5
                continue
            yield here, there
        here, step = there, min(2.0 * step, longest)


def _at(landscape: sp.Landscape, minimum: sp.Minimum, beta: float) -> sp.Minimum:
    return sp.minimise(landscape, beta=beta, start=minimum.theta, solver="newton")


if __name__ == "__main__":
    run(main, arguments)
