"""The nine transitions of the handwritten digits, from several seeds.

    python bench/digits.py                  # seeds 0 and 1: about three minutes on two cores
    python bench/digits.py --seeds 2 3
    python bench/digits.py --quick          # the last transitions only: a check of the script
    python bench/digits.py --check          # and LAPACK's eigenvalues at every kept point

Prints, for every macroscopic transition, beta from each seed, how far apart the seeds are, the rank before and
after, the classes that go with it, and the relative width of the widest bracket; then the cost of each map.
"""

from __future__ import annotations

import argparse
from collections import Counter

import torch
from hardware import print_table
from script import run

import spinodal as sp
from spinodal.landscape.objective import Regularised

ROUNDED = 1e-12  # of eigenvalues, by LAPACK


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="beta from .14 only")
    parser.add_argument("--check", action="store_true", help="compare every kept point with LAPACK")


def main(options: argparse.Namespace) -> None:
    """Map the digits from every seed and print the comparison."""
    given = (0.14, 0.21) if options.quick else None
    maps = [sp.map_phases(sp.tasks.digits(), seed=seed, beta=given) for seed in options.seeds]
    counts = [len(diagram.macroscopic) for diagram in maps]
    minor = [len(diagram.transitions) - count for diagram, count in zip(maps, counts, strict=True)]
    print(f"macroscopic transitions per seed: {counts}; below 1 %: {minor}\n")
    if len(set(counts)) == 1:
        header = [
            "transition",
            *(f"beta, seed {seed}" for seed in options.seeds),
            "spread",
            "rank",
            "widest bracket",
            "classes lost",
        ]
        print_table(header, [row(maps, index) for index in range(counts[0])])
    header = ["seed", "gradients", "Hessian products", "Hessians", "gradient-equivalents", "points", "orders", "seconds"]
    print()
    print_table(header, [cost(seed, diagram) for seed, diagram in zip(options.seeds, maps, strict=True)])
    if options.check:
        print()
        for seed, diagram in zip(options.seeds, maps, strict=True):
            print(checked(seed, diagram))


def row(maps: list[sp.PhaseDiagram], index: int) -> list[str]:
    """Return one transition as the seeds see it."""
    found = [sorted(diagram.macroscopic, key=lambda transition: transition.beta)[index] for diagram in maps]
    betas = [transition.beta for transition in found]
    ranks = {f"{t.before.observation.rank} to {t.after.observation.rank}" for t in found}
    lost = [diagram.lost_classes(transition) for diagram, transition in zip(maps, found, strict=True)]
    width = max((t.bracket[1] - t.bracket[0]) / t.beta for t in found)
    return [
        str(index + 1),
        *(f"{beta:.5f}" for beta in betas),
        f"{100 * (max(betas) / min(betas) - 1):.2f} %",
        " or ".join(sorted(ranks)),
        f"{width:.0e}",
        " / ".join(" ".join(map(str, classes or ())) or "none" for classes in lost),
    ]


def cost(seed: int, diagram: sp.PhaseDiagram) -> list[str]:
    """Return what one map took."""
    spent = diagram.spent
    figures = [spent.gradient_evaluations, spent.hessian_products, spent.hessians, round(spent.gradient_equivalents)]
    orders = Counter(transition.order for transition in diagram.macroscopic)
    ordered = ", ".join(f"{count} {order}" for order, count in orders.items())
    return [str(seed), *(f"{value:,}" for value in figures), str(len(diagram.points)), ordered, f"{diagram.seconds:.0f}"]


def checked(seed: int, diagram: sp.PhaseDiagram) -> str:
    """Return how many kept points are minima by LAPACK, and have the lowest eigenvalue within the error of their margin."""
    landscape = sp.tasks.digits().landscape()
    minima = within = 0
    lowest = float("inf")
    for point in diagram.points:
        matrix = Regularised(landscape, point.beta).shifted(landscape.hessian(point.minimum.theta))
        value = float(torch.linalg.eigvalsh(matrix)[0])
        lowest = min(lowest, value)
        minima += value > 0.0
        within += abs(value - point.minimum.margin) <= point.minimum.margin_error + ROUNDED
    return (
        f"seed {seed}: {minima} of {len(diagram.points)} kept points are minima by LAPACK (lowest eigenvalue {lowest:.1e}), "
        f"{within} have it within the error of their margin"
    )


if __name__ == "__main__":
    run(main, arguments, threads=2)
