"""Shares of basins: those of 64 starts lie within their intervals of those of 1,000, and what they cost on MNIST.

    OMP_NUM_THREADS=1 python bench/shares.py                     # a deep linear net, by gradient descent and by L-BFGS
    OMP_NUM_THREADS=1 python bench/shares.py --sets 20           # the same for 20 sets of 64 other starts
    OMP_NUM_THREADS=1 python bench/shares.py --data mnist.npz --out runs/shares    # MNIST with 10,000 images; can be resumed

Of the deep linear net every state is known in closed form: any set of modes may live. Bars: the deepest minimum of every
phase is one of them, to 1e-6 in E, and the intervals of 64 starts cover the shares of 1,000 others, but for one in 20.
Then the shares of L-BFGS from 64 starts are compared with the same 1,000 of gradient descent.
"""

from __future__ import annotations

import argparse
import time
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import torch
from hardware import print_table
from script import run

import spinodal as sp
from spinodal.shares.training import NAMES
from spinodal.store import RunFolder

VALUES = (0.9, 0.5)
DEEP: dict[str, Any] = {
    "activation": "linear", "hidden": (2, 2), "inputs": 2, "outputs": 2, "singular_values": VALUES, "samples": 20, "bias": False
}  # fmt: skip
BETA, MNIST_BETA = (0.05, 0.1, 0.15, 0.2), (1e-3, 3e-3, 1e-2, 2e-2, 4e-2)
SAME = 1e-6  # in E
State = tuple[float, ...]


def nested(beta: float, task: sp.Task) -> dict[State, float]:
    """Return E of every state, by the modes that live in it."""
    landscape = task.landscape()
    floor = landscape.value(torch.zeros(landscape.size, dtype=torch.float64)) - sum(s * s for s in VALUES)
    strengths = {s: sp.theory.mode_strength(beta, s, matrices=3) for s in VALUES}
    live = {s: strength for s, strength in strengths.items() if strength > 0.0}
    sets = chain.from_iterable(combinations(live, count) for count in range(len(live) + 1))
    return {kept: floor + sum((s - live[s]) ** 2 if s in kept else s * s for s in VALUES) for kept in sets}


def states(found: sp.Shares, task: sp.Task) -> dict[tuple[float, State], sp.Share]:
    """Return the shares by beta and state; a phase whose deepest minimum is no known state ends the program."""
    known: dict[tuple[float, State], sp.Share] = {}
    for beta in found.beta:
        errors = nested(beta, task)
        for item in found.at(beta):
            (state,) = [kept for kept, error in errors.items() if item.point and abs(error - item.point.error) < SAME]
            known[beta, state] = item
    return known


def deep(few: int, many: int, sets: int) -> None:
    """Compare the shares of few starts with those of many others, state by state, at each beta; then those of L-BFGS."""
    task, began = sp.tasks.gaussian(**DEEP), time.process_time()
    large = sp.basin_shares(task, beta=BETA, starts=many, seed=1000)
    for method in NAMES:
        made = [sp.basin_shares(task, beta=BETA, starts=few, seed=seed, training=method) for seed in range(sets)]
        lost = sum(made[0].unsettled), sum(large.unsettled)
        print(
            f"\n{few} starts by {NAMES[method]}, {many:,} others by {large.how}; {time.process_time() - began:.0f} s of a ",
            end="",
        )
        print(f"processor; not finished: {lost[0]} of {few * len(BETA)}, {lost[1]} of {many * len(BETA)}\n")
        rows, covered, total = compared(made[0], large, task)
        print_table(["beta", "modes that live", f"of {few}", "share", "95 %", f"of {many:,}", "within"], rows)
        print(f"\n{covered} of {total} intervals of {few} starts by {NAMES[method]} cover the share of {many:,} others")
        if sets > 1:
            counts = [compared(found, large, task)[1:] for found in made]
            print(f"over {sets} sets of {few}: {sum(c for c, _ in counts)} of {sum(t for _, t in counts)}")


def compared(small: sp.Shares, large: sp.Shares, task: sp.Task) -> tuple[list[list[str]], int, int]:
    """Return a row for every state that either meets, how many intervals cover the other share, and of how many."""
    one, other = states(small, task), states(large, task)
    rows, covered = [], 0
    for beta, state in sorted(one.keys() | other.keys()):
        item = one.get((beta, state)) or sp.Share(beta, None, 0, len(small.seeds))
        far = other.get((beta, state))
        share, (low, high) = 0.0 if far is None else far.share, item.interval
        covered += low <= share <= high
        name = " ".join(map(str, state)) or "none"
        within = "yes" if low <= share <= high else "no"
        rows.append(
            [f"{beta:g}", name, str(item.count), f"{item.share:.3f}", f"{low:.3f} to {high:.3f}", f"{share:.3f}", within]
        )
    return rows, covered, len(rows)


def mnist(path: Path, out: Path, starts: int, betas: tuple[float, ...], training: str, epochs: int) -> None:
    """Print the shares of MNIST with 10,000 images, and what they cost; one that was cut goes on, with more starts, too."""
    task = sp.tasks.mnist(data=path, samples=10_000)
    config = {"task": {"name": "mnist"}, "shares": {"training": training, "epochs": epochs}}
    began = time.process_time()
    with RunFolder(out, config, resume=True) as folder:
        found = sp.basin_shares(
            task, beta=betas, starts=starts, training=training, epochs=epochs, recorder=folder.journal.beside("starts"),
            tell=lambda line: print(f"{time.process_time() - began:.0f} s: {line}", flush=True),
        )  # fmt: skip
    rows = [[f"{item.beta:g}", str(item.phase), *_told(item)] for beta in found.beta for item in found.at(beta)]
    rows += [[f"{item.beta:g}", "not finished", *_told(item)] for item in found.not_finished if item.count]
    print_table(["beta", "phase", "rank", "E", f"of {starts}", "share", "95 %"], rows)
    spent = found.spent
    print(f"\n{time.process_time() - began:.0f} s of processors; {spent.gradient_evaluations:,} gradients, ", end="")
    print(f"{spent.hessian_products:,} Hessian products, {spent.gradient_equivalents:,.0f} gradient-equivalents; {found.how}")


def _told(item: sp.Share) -> list[str]:
    low, high = item.interval
    seen = ["-", "-"] if item.point is None else [str(item.point.observation.rank), f"{item.point.error:.4f}"]
    return [*seen, str(item.count), f"{item.share:.3f}", f"{low:.3f} to {high:.3f}"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--quick", action="store_true", help="16 starts against 64; of MNIST 2 starts at one beta")
    parser.add_argument("--sets", type=int, default=1, help="sets of 64 starts")
    parser.add_argument("--data", type=Path, help="a file of MNIST")
    parser.add_argument("--out", type=Path, help="run folder of MNIST", default=Path("runs/shares"))
    parser.add_argument("--starts", type=int, default=16, help="of MNIST")
    parser.add_argument("--beta", type=float, nargs="+", default=MNIST_BETA, help="of MNIST")
    parser.add_argument("--training", choices=list(NAMES), default="lbfgs", help="of MNIST")
    parser.add_argument("--epochs", type=int, default=20_000, help="of MNIST")


def main(options: argparse.Namespace) -> None:
    """Do what is asked for."""
    if options.data is None:
        deep(*((16, 64) if options.quick else (64, 1000)), options.sets)
        return
    starts, betas = (2, tuple(options.beta[:1])) if options.quick else (options.starts, tuple(options.beta))
    mnist(options.data, options.out, starts, betas, options.training, options.epochs)


if __name__ == "__main__":
    run(main, arguments)
