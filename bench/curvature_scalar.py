"""Scalar curvature with its error bar, beside the dense value (a part of curvature.py)."""

from __future__ import annotations

import argparse
import math
import statistics

import curvature_peers as peers
from curvature_problems import Problem, digits_minima
from curvature_runs import (
    ALIKE_ERRORS,
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
from hardware import print_table

from spinodal.counts import HESSIAN_PRODUCT_COST
from spinodal.curvature.scalar import curvatures


def scalars(options: argparse.Namespace) -> None:
    """Print R by its error bars, beside the dense value."""
    print(f"\n**Scalar curvature, its error and its error bar**, {options.seeds} seeds\n")
    problems = digits_minima({0.07, 0.02, *options.betas}, FEW_LAYERS if options.small else LAYERS)
    header = ["problem", "rtol", "R of", "by", "exact", "products (most)", "rms error", "stderr", "error / stderr", "within 3"]
    rows = [row for beta in options.betas for rtol in options.rtol for row in scalar_rows(problems[beta], beta, rtol, options)]
    print_table([*header, "counted", "seconds", "gradients", "spinodal is"], rows)


def scalar_rows(problem: Problem, beta: float, rtol: float, options: argparse.Namespace) -> list[list[str]]:
    """Return the rows of one minimum and tolerance: E, L, and E by hand."""
    exact = [found.value for found in curvatures(problem.landscape, problem.theta, betas=(0.0, beta), method="dense").scalar]
    runs, gradients = [], []
    for seed in range(options.seeds):
        runs.append(our_scalars(problem, beta, rtol, seed))
        gradients += gradient_seconds(problem)
    gradient = statistics.median(gradients)
    of_error, of_loss = [run[0] for run in runs], [run[1] for run in runs]
    rows = [
        ["E", OURS, *scalar_cells(of_error, exact[0], gradient), scalar_verdict(of_error, exact[0], rtol)],
        ["L", OURS, *scalar_cells(of_loss, exact[1], gradient), "no tolerance of its own; no package offers R"],
    ]
    if "curvlinops" not in peers.missing():
        rows.append(["E", "curvlinops, by hand", *by_hand(problem, of_error, exact[0], gradient)])
    return [[problem.title, f"{rtol:g}", *row] for row in rows]


def our_scalars(problem: Problem, beta: float, rtol: float, seed: int) -> tuple[Run, Run]:
    """Return R of E and of L from the same products, which stop for E."""
    found, seconds = timed(
        lambda: curvatures(problem.landscape, problem.theta, betas=(0.0, beta), method="probes", rtol=rtol, seed=seed)
    )
    made = [
        Run(item.value, seconds, item.products, item.stderr, item.spent.gradient_equivalents, item.status != "not reached")
        for item in found.scalar
    ]
    return made[0], made[1]


def scalar_cells(runs: list[Run], exact: float, gradient: float) -> list[str]:
    """Return the cells of one estimate."""
    errors = [run.value - exact for run in runs]
    bars = [run.stderr for run in runs]
    has_bars = all(math.isfinite(bar) for bar in bars)
    inside = sum(abs(error) <= 3 * bar for error, bar in zip(errors, bars, strict=True))
    counted, seconds = median(runs, "gradients"), median(runs, "seconds")
    return [
        f"{exact:.6g}",
        f"{median(runs, 'products'):g} ({max(run.products for run in runs)})",
        f"{root_mean_square(errors) / abs(exact):.2%}",
        f"{root_mean_square(bars) / abs(exact):.2%}" if has_bars else "none",
        f"{root_mean_square(errors) / root_mean_square(bars):.2f}" if has_bars else "-",
        f"{inside} of {len(runs)}" if has_bars else "-",
        f"{counted:.0f}",
        f"{seconds:.2f}",
        f"{seconds / gradient:.0f}",
    ]


def scalar_verdict(runs: list[Run], exact: float, rtol: float) -> str:
    """Say whether what was asked for was reached."""
    short = sum(not run.reached for run in runs)
    if short:
        return f"behind what was asked for in {short} of {len(runs)}: the products were spent"
    error = root_mean_square([run.value / exact - 1 for run in runs])
    return f"{against(error, rtol, ALIKE_ERRORS)} of the error asked for; no package offers R"


def by_hand(problem: Problem, ours: list[Run], exact: float, gradient: float) -> list[str]:
    """Return the cells of the plain estimate from as many products as ours took at the median, one seed each."""
    number = int(median(ours, "products"))
    runs = []
    for seed in range(len(ours)):
        try:
            value, seconds = timed(lambda seed=seed: peers.curvlinops_curvature(problem, number, seed))
        except Exception as cause:  # noqa: BLE001  whatever another package raises belongs into its row
            return [f"{exact:.6g}", *"-" * 8, failure(cause)]
        runs.append(Run(value, seconds, number, gradients=1 + HESSIAN_PRODUCT_COST * number))
    theirs, own = (root_mean_square([run.value / exact - 1 for run in several]) for several in (runs, ours))
    root, own_root = (math.sqrt(median(several, "seconds")) for several in (runs, ours))
    verdict = f"{against(own, theirs, ALIKE_ERRORS)}; in the same time: {against(own * own_root, theirs * root, ALIKE_ERRORS)}"
    return [*scalar_cells(runs, exact, gradient), verdict]
