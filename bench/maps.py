"""Whole maps by default settings: what they cost, and whether every kept point is a minimum.

    python bench/maps.py                                  # all networks
    python bench/maps.py --only encoder "random net 3"    # those whose names contain one of these
    python bench/maps.py --list

Seconds are processor time of one process, starts of the map included. `saddles`: kept points at which the dense Hessian
of L has, by LAPACK, a negative eigenvalue. Zero modes are those up to 1e-12 of the largest, and up to
1e3 ||grad L|| / ||theta||, but never more than 1e-8 of the largest or 3 ||grad L|| / ||theta||. `undecided`: kept points
whose margin is within its error. `margin off`: kept points whose margin differs from LAPACK's lowest eigenvalue that is no
zero mode by more than the error that the map tells of it. The Hessian that is diagonalised is compared with plain
differentiation by PyTorch along one random vector at every point; `differs` is the largest relative difference.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from hardware import print_row, print_table
from maps_networks import NETWORKS
from script import run
from torch import Tensor

import spinodal as sp

LEAST, MOST = 1e-12, 1e-8  # of the largest eigenvalue
BENT, BLURRED = 1e3, 3.0  # times the gradient over the length of theta
HEADER = [
    "network", "parameters", "solver", "points", "macroscopic", "classified", "incomplete",
    "gradients", "products", "Hessians", "gradient-equivalents", "seconds", "saddles", "undecided", "margin off", "differs",
]  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--only", nargs="*", default=[], help="Parts of names.")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=0)


def main(options: argparse.Namespace) -> None:
    """Print a line for every map."""
    chosen = [name for name in NETWORKS if not options.only or any(part in name for part in options.only)]
    if options.list:
        print("\n".join(chosen))
        return
    print_table(HEADER, [])
    for name in chosen:
        print_row(row(name, options.seed))


def row(name: str, seed: int) -> list[str]:
    """Map one network, and check its points."""
    task = NETWORKS[name]()
    began = time.process_time()
    diagram = sp.map_phases(task, seed=seed)
    seconds = time.process_time() - began
    spent, found = diagram.spent, diagram.macroscopic
    saddles, undecided, off, differs = checked(task.landscape(), task, diagram)
    return [
        name, f"{spent.parameters:,}", diagram.solver, str(len(diagram.points)), str(len(found)),
        str(sum(item.order != "not classified" for item in found)), str(len(diagram.incomplete)),
        f"{spent.gradient_evaluations:,}", f"{spent.hessian_products:,}", f"{spent.hessians:,}",
        f"{spent.gradient_equivalents:,.0f}", f"{seconds:.1f}", str(saddles), str(undecided), str(off), f"{differs:.0e}",
    ]  # fmt: skip


def checked(landscape: sp.Landscape, task: sp.Task, diagram: sp.PhaseDiagram) -> tuple[int, int, int, float]:
    """Return saddles, undecided margins, wrong margins, and how far the Hessian is from plain differentiation."""
    penalty = task.penalty(landscape)
    penalised = penalty.force(torch.ones(landscape.size, dtype=landscape.dtype)) / 2.0
    saddles = undecided = off = 0
    differs = 0.0
    for point, hessian in _hessians(landscape, diagram):
        differs = max(differs, difference(task, landscape, point.minimum.theta, hessian))
        values = np.linalg.eigvalsh((hessian + torch.diag(2.0 * point.beta * penalised)).double().numpy())
        largest, minimum = float(np.abs(values).max()), point.minimum
        bend = minimum.residual / max(penalty.length(minimum.theta), 1e-3)
        strict = min(MOST * largest, max(LEAST * largest, BENT * bend))
        zero = max(strict, BLURRED * bend)  # at a loose point a soft mode and a bent zero mode are not told apart
        margins = [next(iter(values[np.abs(values) > level].tolist()), 0.0) for level in (strict, zero)]
        saddles += margins[-1] < 0.0
        undecided += minimum.stop == "undecided" or not abs(minimum.margin) > minimum.margin_error
        off += not min(abs(minimum.margin - margin) for margin in margins) <= minimum.margin_error + zero
    return saddles, undecided, off, differs


def _hessians(landscape: sp.Landscape, diagram: sp.PhaseDiagram) -> Iterator[tuple[sp.Point, Tensor]]:
    for point in diagram.points:
        yield point, landscape.hessian(point.minimum.theta)


def difference(task: sp.Task, landscape: sp.Landscape, theta: Tensor, hessian: Tensor) -> float:
    """Return how far a product of a Hessian with a random vector is from a gradient of a gradient by PyTorch, relative."""
    vector = torch.randn(len(theta), dtype=theta.dtype, generator=torch.Generator().manual_seed(0))
    with landscape.at(theta) as model:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        losses = [weight * task.loss(model, batch) for weight, batch in landscape.batches.weighted()]
        gradients = torch.autograd.grad(sum(losses), parameters, create_graph=True, materialize_grads=True)
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        products = torch.autograd.grad(flat @ vector, parameters, materialize_grads=True)
    product = torch.cat([part.reshape(-1) for part in products])
    expected = hessian @ vector
    return float((product - expected).norm()) / max(float(expected.norm()), math.ulp(1.0))


if __name__ == "__main__":
    run(main, arguments, is_part=lambda options: options.list)
