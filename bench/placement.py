"""A model trained by an ordinary PyTorch loop, placed on the map, and the transition predicted for it confirmed by training on.

    python bench/placement.py                 # the handwritten digits, full batches and batches of 256
    python bench/placement.py --quick         # a linear net, seconds

A network is trained with `torch.optim.SGD(..., weight_decay=W)`. `spinodal.place` names its phase and the
next transition at W*. The same training goes on from the checkpoint at .97 W* and at 1.03 W*: the rank must
stay in the first and fall in the second.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass

import torch
from hardware import print_table
from script import run
from torch import nn

import spinodal as sp
from spinodal.observe import Observation, Observer


@dataclass(frozen=True)
class Case:
    """A task and how it is trained; `hold` is the number of epochs given to a model to fall."""

    task: sp.Task
    decay: float
    batch: int
    rate: float
    epochs: int
    hold: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights and of the batches")
    parser.add_argument("--quick", action="store_true", help="a linear net instead of the digits")


def main(options: argparse.Namespace) -> None:
    """Print one row per training."""
    header = ["task", "batch", "weight_decay", "placed", "predicted", "rank", "at .97", "at 1.03", "E predicted"]
    print_table(header, [row(case, diagram, options.seed) for case, diagram in cases(quick=options.quick)])


def cases(*, quick: bool) -> list[tuple[Case, sp.PhaseDiagram]]:
    """Return the trainings, each with the map of its task."""
    if quick:
        task = sp.tasks.gaussian(activation="linear", hidden=(4, 4), singular_values=(0.9,), samples=50)
        return [(Case(task, 0.1, 0, 0.05, 3000, 3000), sp.map_phases(task))]
    task = sp.tasks.digits()
    diagram = sp.map_phases(task)
    print(f"map: {diagram.seconds:.0f} s, " + ", ".join(f"{2 * found.beta:.4f}" for found in diagram.macroscopic) + "\n")
    return [(Case(task, 0.08, 0, 0.2, 4000, 8000), diagram), (Case(task, 0.12, 256, 0.05, 1500, 2000), diagram)]


def row(case: Case, diagram: sp.PhaseDiagram, seed: int) -> list[str]:
    """Train, place, and train on below and above the predicted transition."""
    torch.manual_seed(seed)
    model = copy.deepcopy(case.task.model)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    train(case, model, case.decay, case.epochs)
    placement = sp.place(diagram, model, weight_decay=case.decay, task=case.task)
    print(placement, "\n", flush=True)
    found = placement.next
    if found is None:
        return [case.task.name, str(case.batch or "all"), f"{case.decay:g}", placement.answer(), *["-"] * 5]
    ends = [trained_on(case, model, factor * 2.0 * found.beta) for factor in (0.97, 1.03)]
    before, after = found.before, found.after
    return [
        case.task.name,
        str(case.batch or "all"),
        f"{case.decay:g}",
        "off the map" if placement.phase is None else f"phase {placement.phase}",
        f"{2 * found.beta:.5f}",
        f"{before.observation.rank} -> {after.observation.rank}",
        *(f"rank {view.rank}, E {error:.4f}" for view, error in ends),
        f"{before.error:.4f} -> {after.error:.4f}",
    ]


def trained_on(case: Case, model: nn.Module, decay: float) -> tuple[Observation, float]:
    """Return rank and E after the training went on at another weight_decay."""
    copied = copy.deepcopy(model)
    train(case, copied, decay, case.hold)
    landscape = case.task.landscape()
    theta = landscape.vector(copied)
    return Observer(landscape, sp.Penalty(), case.task)(theta), landscape.value(theta)


def train(case: Case, model: nn.Module, decay: float, epochs: int) -> None:
    """Run an ordinary training loop."""
    optimiser = torch.optim.SGD(model.parameters(), lr=case.rate, weight_decay=decay)
    inputs, targets = case.task.data
    size = case.batch or len(inputs)
    for _ in range(epochs):
        order = torch.randperm(len(inputs)) if case.batch else torch.arange(len(inputs))
        for rows in order.split(size):
            optimiser.zero_grad()
            case.task.loss(model, (inputs[rows], targets[rows])).backward()
            optimiser.step()


if __name__ == "__main__":
    run(main, arguments)
