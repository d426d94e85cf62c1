"""The published MNIST transitions from one map: ranks, brackets, spinodals, coexistence points, and what an epoch costs.

    python bench/mnist_map.py MNIST.npz                          # 60,000 images
    python bench/mnist_map.py MNIST.npz --images 10000           # the first images
    python bench/mnist_map.py MNIST.npz --journal DIR            # points are kept, and gone on with
    python bench/mnist_map.py MNIST.npz --images 500 --hidden 32 32   # a check of the script, not of the method

784-128-128-10, sigmoid, biases, cross-entropy, float32, inputs normalised by (.1307, .3081), full batch: task `mnist`.
`w = 2 beta` is PyTorch's weight_decay. Columns: the effective rank on both sides; w with its bracket and relative width; the
residual `||grad L|| / (w ||theta||)` of the minimum before; w of the coexistence point (the bracket holds the
spinodal); the published value (arXiv 2512.11866: bisected in one run, batches of 64) and whether it lies between coexistence
and spinodal, or by how much it does not; E on both sides; accuracy on held-out images, averaged evenly over w from the point
behind the transition before.

An epoch of the published protocol (Adam, batches of 64) is timed before and after; the protocol needs at least 451 values of
w with six epochs each for a bracket of .0002.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import torch
from hardware import print_table
from mnist_phases import HEADER as PHASES
from mnist_phases import phase_row
from mnist_saddles import HEADER as SADDLES
from mnist_saddles import saddle_rows
from script import run

import spinodal as sp
from spinodal.store.journal import Journal
from spinodal.sweeps.memory import Memory
from spinodal.sweeps.point import Point
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.request import Request
from spinodal.sweeps.transition import Transition

PUBLISHED = {
    4: ("T1", 0.0248),
    3: ("T2", 0.03735),
    2: ("T3", 0.0590),
    1: ("T4", 0.0738),
    0: ("T5", 0.0844),
}  # by the rank after
EPOCHS = 451 * 6
BATCH, RATE = 64, 1.5e-3
HEADER = [
    "", "rank", "w", "bracket", "width", "residual", "coexistence", "published", "between?", "E", "held out",
]  # fmt: skip


def main(options: argparse.Namespace) -> None:
    """Map, and print the table and the cost."""
    task = sp.tasks.mnist(data=options.data, samples=options.images, hidden=options.hidden)
    epoch = seconds_per_epoch(task, options.device)
    diagram = sp.map_phases(
        task,
        beta=tuple(options.beta),
        starts=options.starts,
        seed=options.seed,
        branches=True,
        device=options.device,
        recorder=Telling.into(options.journal),
        lead=options.lead,
    )
    told = cost(diagram, min(epoch, seconds_per_epoch(task, options.device)))
    show(diagram, task.landscape(device=options.device), told, options)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("data", type=Path, help="an .npz file, or a folder of IDX files")
    parser.add_argument("--images", type=int, default=None, help="the first so many (default: all)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128])
    parser.add_argument("--beta", type=float, nargs=2, default=[0.005, 0.06], metavar=("LOW", "HIGH"))
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lead", type=int, default=None, help="images whose map leads (see spinodal.mapping.lead)")
    parser.add_argument("--phases", type=int, default=0, metavar="PRODUCTS", help="curvatures (see mnist_phases.py)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--journal", type=Path, default=None, metavar="FOLDER", help="where points are kept, to go on from")


def show(diagram: Any, landscape: sp.Landscape, told: str, options: argparse.Namespace) -> None:
    """Print what was found."""
    rows = [row(diagram, transition) for transition in diagram.macroscopic]
    print_table(HEADER, rows)
    minor = ", ".join(f"{2 * t.beta:.5f} ({ranks(t)})" for t in diagram.transitions if t.minor)
    print(f"\nminor: {minor or 'none'}; missing: {', '.join(map(str, diagram.missing)) or 'nothing'}\n{told}")
    print("\nsaddles\n", flush=True)
    print_table(SADDLES, saddle_rows(diagram))
    if options.phases:
        print("\nphases\n", flush=True)
        print_table(PHASES, [phase_row(phase, landscape, options.phases) for phase in diagram.phases[-6:]])


class Telling:
    """A recorder that prints every point as it is made, with what it cost, and keeps it in a journal if there is a folder."""

    def __init__(self, kept: Recorder) -> None:
        self.kept = kept

    @classmethod
    def into(cls, folder: Path | None) -> Telling:
        """Return one that keeps points in a folder, or in memory."""
        if folder is not None:
            folder.mkdir(exist_ok=True)
        return cls(Memory() if folder is None else Journal(folder))

    def beside(self, scope: str) -> Telling:
        """Tell of work beside the map as well."""
        print(f"-- {scope}", flush=True)
        return Telling(self.kept.beside(scope))

    def __getattr__(self, name: str) -> Any:
        """Do as the recorder that keeps."""
        return getattr(self.kept, name)

    def keep(self, request: Request, point: Point) -> None:
        """Record a point, and print it."""
        spent, observed = point.minimum.stats, point.observation
        origin = "" if point.origin is None else str(point.origin)
        margin = point.minimum.margin / (2 * point.beta)
        print(
            f"{point.index:3d} from {origin:>3} {request.verb:6} w = {2 * point.beta:.6f} E = {point.error:.5f} "
            f"rank {observed.rank} margin / w {margin:+.1e} {point.minimum.stop}: {spent.gradient_evaluations} gradients, "
            f"{spent.hessian_products} products, {spent.gradient_equivalents:.0f} in all",
            flush=True,
        )
        self.kept.keep(request, point)


def row(diagram: Any, transition: Transition) -> list[str]:
    """Return a transition as a row of the table."""
    before, after = transition.before, transition.after
    low, high = (2 * beta for beta in transition.bracket)
    meeting = coexistence(diagram, transition)
    name, published = PUBLISHED.get(after.observation.rank, ("", None))
    return [
        name,
        ranks(transition),
        f"{2 * transition.beta:.5f}",
        f"{low:.5f} to {high:.5f}",
        f"{(high - low) / high:.1e}",
        f"{before.minimum.residual / (2 * before.beta * before.observation.distance):.0e}",
        "" if meeting is None else f"{meeting:.5f}",
        "" if published is None else f"{published:.5f}",
        "" if published is None else between(published, meeting, high),
        f"{before.error:.3f} to {after.error:.3f}",
        held_out(diagram, transition),
    ]


def ranks(transition: Transition) -> str:
    """Return the ranks on both sides."""
    return f"{transition.before.observation.rank} to {transition.after.observation.rank}"


def coexistence(diagram: Any, transition: Transition) -> float | None:
    """Return w at which the phases on both sides are equally deep, None where it is not known."""
    step = diagram.step_of(transition)
    phases = None if step is None else set(step.phases)
    return next((2 * item.beta for item in diagram.coexistence if set(item.phases) == phases), None)


def between(published: float, low: float | None, high: float) -> str:
    """Tell whether a published value lies between coexistence and spinodal, or by how much it does not."""
    if published > high:
        return f"above by {100 * (published / high - 1):.1f} %"
    if low is not None and published < low:
        return f"below by {100 * (1 - published / low):.1f} %"
    return "yes" if low is not None else "below the spinodal"


def held_out(diagram: Any, transition: Transition) -> str:
    """Return the held-out accuracy of the phase before, averaged evenly over w."""
    step = diagram.step_of(transition)
    phase = None if step is None else next(item for item in diagram.phases if item.id == min(step.phases))
    mean = None if phase is None else phase.mean_accuracy("held_out")
    return "" if mean is None else f"{100 * mean:.1f} %"


def cost(diagram: Any, epoch: float) -> str:
    """Return what the map took, beside the least that the protocol takes."""
    protocol = EPOCHS * epoch
    spent = diagram.spent
    return (
        f"{diagram.seconds:.0f} s, {spent.gradient_equivalents:,.0f} gradient-equivalents ({spent.gradient_evaluations:,} "
        f"gradients, {spent.hessian_products:,} products) at {len(diagram.points)} points; an epoch of the protocol "
        f"{epoch:.2f} s, {EPOCHS:,} of them {protocol:,.0f} s: {protocol / diagram.seconds:.1f} times as long"
    )


def seconds_per_epoch(task: sp.Task, device: str) -> float:
    """Return the seconds of one epoch of the published protocol on this machine."""
    inputs, labels = (part.to(device) for part in task.data)
    model = copy.deepcopy(task.model).to(device=device, dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=0.05)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0)).to(device)
    began = time.perf_counter()
    for part in order.split(BATCH):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs[part]), labels[part]).backward()
        optimiser.step()
    if inputs.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    run(main, arguments, threads=2)
