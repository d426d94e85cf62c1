"""Trace, smallest eigenvalue, Hessian products, scalar curvature and memory beside other packages: one run, Markdown tables.

    pip install -c constraints.txt -e '.[bench]'                      # curvlinops, hessian-eigenthings, PyHessian
    OMP_NUM_THREADS=1 python bench/curvature.py                       # quarter of an hour on one thread
    python bench/curvature.py --part scalar --seeds 100               # coverage of the error bars
    OMP_NUM_THREADS=2 python bench/curvature.py --part large --mnist MNIST.npz --threads 2
    python bench/curvature.py --small                                 # a check of the script, not a result

trace     tr H of a digits net (3,122 parameters, at a minimiser) and of two matrices with known spectra, by equal numbers of
          products. Divisible by 6, as Hutch++ and XTrace want it. spinodal estimates R from the same products.
lowest    -0.05, hidden below a bulk of n = 2,000, wanted to 1e-4; each method is given that as the residual to stop at, in its
          own unit. All use the same product but torch.lobpcg, which takes the matrix itself.
product   Seconds of a Hessian product, in gradients, at 46, 385 and 494,710 parameters, 1,000 samples. "Single": at a new
          theta; "repeated": many at one theta, after the first; "16": sixteen at once, time of one.
scalar    R of the digits net at three beta, of E and (from the same products) of L, beside the dense value. No package offers
          R: the row of curvlinops is what a user would write with its products, as many of them as spinodal used.
large     R of an MNIST net of 1,217,850 parameters, float32, from at most 100 products, in a process of its own. Needs
          --mnist, a file with x_train (bytes) and y_train. Memory: the highest resident memory of the process while a landscape
          is made and R estimated, less its resident memory just before, when the trained model and the data are there; freed
          memory is given back to the system in between. So all that is above model and data, libraries that are loaded
          meanwhile included.

    rms error   root of the mean square over the seeds, relative to the exact value; one value is good to 16 % with 20 seeds
    seconds     median over the seeds or repeats; the methods take turns. An estimate from model, loss and data to the number
    gradients   the same in gradients of PyTorch itself; "counted": 2.5 for a product, 1 for a gradient
    stderr      root of the mean square of the reported standard errors, relative to R
    within 3    how many of the seeds have an error of at most 3 reported standard errors
    spinodal is ahead, level or behind, and how many times. Errors within 1.3 times each other, and seconds within 1.1 times,
                are level. "In the same time": errors fall with the root of the time, so error times root of seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys

import curvature_peers as peers
from curvature_large import large, large_in_this_process
from curvature_problems import HIDDEN, Problem, digits_minima, hidden_spectrum, of_spectrum, spectra
from curvature_products import products
from curvature_runs import (
    ALIKE_ERRORS,
    ALIKE_SECONDS,
    FEW_LAYERS,
    LAYERS,
    OURS,
    Run,
    against,
    failure,
    gradient_seconds,
    median,
    root_mean_square,
    timed,
)
from curvature_scalar import scalars
from hardware import print_table
from script import run

import spinodal as sp
from spinodal import Estimate
from spinodal.counts import HESSIAN_PRODUCT_COST
from spinodal.curvature.scalar import curvatures

PARTS = ("trace", "lowest", "product", "scalar", "large")


def main(options: argparse.Namespace) -> None:
    """Print the tables of the parts that were asked for."""
    if options.child:
        print(json.dumps(large_in_this_process(options, int(options.child))))
        return
    if any(number % 6 for number in options.products):
        sys.exit("--products takes numbers that are divisible by 6, such as 30 96")
    if options.small:
        options.seeds, options.products, options.betas, options.rtol = 4, [30], [0.02], [0.03]
        options.repeats, options.images = 3, [500]
    for name in peers.missing():
        print(f"\n{name} is not installed (pip install -c constraints.txt -e '.[bench]'): its rows are left out.")
    parts = {"trace": traces, "lowest": lowest, "product": products, "scalar": scalars, "large": large}
    for part in options.part:
        parts[part](options)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="tables to print (default all)")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of every estimate (default 20; lowest: 9 at most)")
    parser.add_argument("--products", type=int, nargs="+", default=[30, 96], help="of the trace, divisible by 6 (30 96)")
    parser.add_argument("--betas", type=float, nargs="+", default=[0.001, 0.02, 0.07], help="of scalar (.001 .02 .07)")
    parser.add_argument("--rtol", type=float, nargs="+", default=[0.03, 0.01], help="of scalar (.03 .01)")
    parser.add_argument("--repeats", type=int, default=15, help="repeats of every product (default 15)")
    parser.add_argument("--mnist", help="an .npz file with x_train and y_train, for large")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 60_000], help="of large (10000 60000)")
    parser.add_argument("--budget", type=int, default=100, help="products of large (default 100)")
    parser.add_argument("--epochs", type=int, default=2, help="of Adam before large is measured (default 2)")
    parser.add_argument("--small", "--quick", action="store_true", help="small problems, few seeds; 500 images")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # images, in a process of its own


# -- trace ------------------------------------------------------------------------------------


def traces(options: argparse.Namespace) -> None:
    """Print the errors of traces from equal numbers of products."""
    print(f"\n**Trace of the Hessian at equal products**, {options.seeds} seeds\n")
    net = digits_minima([0.07, 0.02], FEW_LAYERS if options.small else LAYERS)[0.02]
    matrices = [of_spectrum(title, values) for title, values in spectra(200 if options.small else 1000).items()]
    rows = [row for problem in (net, *matrices) for number in options.products for row in trace_rows(problem, number, options)]
    header = ["problem", "tr H", "products", "estimator", "rms error", "counted", "seconds", "gradients"]
    print_table([*header, "at equal products", "in the same time"], rows)


def trace_rows(problem: Problem, number: int, options: argparse.Namespace) -> list[list[str]]:
    """Return the rows of one problem and number of products."""
    exact = exact_trace(problem)
    estimators = {OURS: None, **peers.installed(peers.TRACES)}
    runs: dict[str, list[Run]] = {name: [] for name in estimators}
    broken: dict[str, str] = {}
    gradient = []
    for seed in range(options.seeds):
        gradient += gradient_seconds(problem)
        runs[OURS].append(our_trace(problem, number, seed))
        for name in [name for name in estimators if name != OURS and name not in broken]:
            try:
                value, seconds = timed(lambda name=name, seed=seed: estimators[name](problem, number, seed))
            except Exception as cause:  # noqa: BLE001  whatever another package raises belongs into its row
                broken[name] = failure(cause)
            else:
                runs[name].append(Run(value, seconds, number, gradients=HESSIAN_PRODUCT_COST * number))
    each = statistics.median(gradient)
    return [
        [problem.title, f"{exact:.6g}", *trace_cells(name, several, runs[OURS], exact, each)]
        if name not in broken
        else [problem.title, f"{exact:.6g}", str(number), name, *"-" * 4, broken[name], "-"]
        for name, several in runs.items()
    ]


def exact_trace(problem: Problem) -> float:
    """Return tr H from a dense Hessian."""
    return curvatures(problem.landscape, problem.theta, betas=(0.0,), method="dense").trace[0].value


def our_trace(problem: Problem, number: int, seed: int) -> Run:
    """Return the trace that comes with R."""

    def estimate() -> Estimate:
        return curvatures(problem.landscape, problem.theta, betas=(0.0,), method="probes", budget=number, seed=seed).trace[0]

    found, seconds = timed(estimate)
    return Run(found.value, seconds, found.products, gradients=found.spent.gradient_equivalents)


def trace_cells(name: str, runs: list[Run], ours: list[Run], exact: float, gradient: float) -> list[str]:
    """Return the cells of one estimator."""
    error, ours_error = (root_mean_square([run.value / exact - 1 for run in several]) for several in (runs, ours))
    seconds, ours_seconds = median(runs, "seconds"), median(ours, "seconds")
    cells = [f"{median(runs, 'products'):g}", name, f"{error:.2%}", f"{median(runs, 'gradients'):.0f}"]
    cells += [f"{seconds:.3f}", f"{seconds / gradient:.0f}"]
    if name == OURS:
        return [*cells, "", ""]
    equal = against(ours_error * math.sqrt(ours_seconds), error * math.sqrt(seconds), ALIKE_ERRORS)
    return [*cells, against(ours_error, error, ALIKE_ERRORS), equal]


# -- the smallest eigenvalue ------------------------------------------------------------------


def lowest(options: argparse.Namespace) -> None:
    """Print what it takes to find a hidden negative eigenvalue."""
    size, seeds = (500, 3) if options.small else (2000, min(9, options.seeds))
    print(f"\n**Smallest eigenvalue {HIDDEN} to {peers.WITHIN:g}**, n = {size:,}, {seeds} matrices and starts\n")
    methods = {OURS: our_lowest, **peers.installed(peers.LOWEST)}
    runs: dict[str, list[Run]] = {name: [] for name in methods}
    for seed in range(seeds):
        problem = of_spectrum("hidden", hidden_spectrum(size), seed)
        for name, method in methods.items():
            counted = peers.Counted(problem)
            value, seconds = timed(lambda counted=counted, method=method, seed=seed: method(counted, seed))
            runs[name].append(Run(value, seconds, counted.products))
    header = ["method", "products", "seconds", "worst error", "found", "in products", "in seconds"]
    print_table(header, [[name, *lowest_cells(name, several, runs[OURS])] for name, several in runs.items()])


def our_lowest(counted: peers.Counted, seed: int) -> float:
    """Lanczos with full reorthogonalisation at its default tolerance, which is 1e-5 of the largest eigenvalue."""
    found = sp.extreme_eigenvalues(
        counted.landscape, counted.landscape.initial, largest=0, budget=peers.MOST - 1, method="lanczos", seed=seed
    )  # fmt: skip
    counted.products = found.products
    return float(found.smallest.values[0])


def lowest_cells(name: str, runs: list[Run], ours: list[Run]) -> list[str]:
    """Return the cells of one method."""
    errors = [abs(run.value - HIDDEN) for run in runs]
    found = sum(error < peers.WITHIN for error in errors)
    cells = [ranged(runs, "products"), ranged(runs, "seconds"), f"{max(errors):.1e}", f"{found} of {len(errors)}"]
    if name == OURS:
        return [*cells, "", ""]
    if not found:
        return [*cells, "ahead: it does not find it", "ahead: it does not find it"]
    return [*cells, *(against(median(ours, of), median(runs, of), ALIKE_SECONDS) for of in ("products", "seconds"))]


def ranged(runs: list[Run], name: str) -> str:
    """Return a median with its range."""
    values = [getattr(run, name) for run in runs]
    return f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"


if __name__ == "__main__":
    run(main, arguments, is_part=lambda options: bool(options.child))
