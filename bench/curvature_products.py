"""Hessian products in gradients, beside other packages (a part of curvature.py)."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import curvature_peers as peers
import torch
from curvature_problems import Problem, random_network
from curvature_runs import (
    ALIKE_SECONDS,
    OURS,
    against,
    failure,
    timed,
)
from hardware import print_table

NETS = (([3, 4, 4, 2], torch.float64), ([6, 13, 13, 8], torch.float64), ([784, 500, 200, 10], torch.float32))


def products(options: argparse.Namespace) -> None:
    """Print the seconds of Hessian products."""
    print("\n**A Hessian product in gradients**, 1,000 samples\n")
    rows = [row for widths, dtype in (NETS[:2] if options.small else NETS) for row in product_rows(widths, dtype, options)]
    print_table(["net", "parameters", "what", "ms", "gradients", "differs", "spinodal is"], rows)


def product_rows(widths: list[int], dtype: torch.dtype, options: argparse.Namespace) -> list[list[str]]:
    """Return the rows of one net."""
    problem = random_network(widths, 1000, dtype)
    vector = torch.randn(len(problem.theta), dtype=dtype, generator=torch.Generator().manual_seed(1))
    functions, broken = contestants(problem, vector)
    inner = max(1, 20_000 // len(vector))  # several calls per timing where one is too short to time
    seconds = in_turns(functions, inner, options.repeats)
    gradient = seconds["gradient, PyTorch"]
    true = functions[f"single, {OURS}"]()
    rows = []
    for name, function in functions.items():
        several = 16 if name.startswith("16") else 1
        ratio = statistics.median(own / one for own, one in zip(seconds[name], gradient, strict=True)) / several
        each = statistics.median(seconds[name]) / several
        differs = "" if name.startswith("gradient") else f"{float((first(function()) - true).norm() / true.norm()):.0e}"
        verdict = product_verdict(name, seconds)
        rows.append([problem.title, f"{len(vector):,}", name, f"{1e3 * each:.3f}", f"{ratio:.2f}", differs, verdict])
    return [*rows, *([problem.title, f"{len(vector):,}", name, "-", "-", "-", text] for name, text in broken.items())]


def contestants(problem: Problem, vector: torch.Tensor) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """Return what is timed, and what does not work here."""
    landscape, theta = problem.landscape, problem.theta
    operator, rows = landscape.hessian_operator(theta), torch.stack([vector] * 16)
    columns = rows.T.contiguous()
    makers: dict[str, Callable[[], Callable[[], Any]]] = {
        "single, curvlinops": lambda: bound(lambda of: of @ vector, peers.curvlinops_operator(problem)),
        "single, hessian-eigenthings": lambda: bound(lambda of: of.matvec(vector), peers.eigenthings_operator(problem)),
        "repeated, PyHessian": lambda: bound(lambda of: of(vector), peers.pyhessian_product(problem)),
        "16, curvlinops": lambda: bound(lambda of: of @ columns, peers.curvlinops_operator(problem)),
    }
    found: dict[str, Callable[[], Any]] = {
        "gradient, PyTorch": lambda: peers.gradients(problem),
        f"gradient, {OURS}": lambda: landscape.gradient(theta),
        f"single, {OURS}": lambda: landscape.hessian_product(theta, vector),
        f"repeated, {OURS}": lambda: operator(vector),
        f"16, {OURS}": lambda: operator(rows),
    }
    broken = {}
    for name, make in makers.items():
        if name.partition(", ")[2] in peers.missing():
            continue
        try:
            found[name] = make()
            found[name]()
        except Exception as cause:  # noqa: BLE001  whatever another package raises belongs into its row
            found.pop(name, None)
            broken[name] = failure(cause)
    return found, broken


def bound(function: Callable[[Any], Any], operator: Any) -> Callable[[], Any]:
    """Return the function with its argument."""
    return lambda: function(operator)


def in_turns(functions: dict[str, Callable[[], Any]], inner: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of one call, for every round; all take their turn in each, after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(-1, repeats):
        for name, function in functions.items():
            _, spent = timed(lambda function=function: [function() for _ in range(inner)])
            if repeat >= 0:
                seconds[name].append(spent / inner)
    return seconds


def first(found: torch.Tensor) -> torch.Tensor:
    """Return one of sixteen products, in rows or in columns."""
    return found if found.dim() == 1 else found[0] if len(found) == 16 else found[:, 0]


def product_verdict(name: str, seconds: dict[str, list[float]]) -> str:
    """Compare a row with ours of its kind; who keeps no graph is compared for repeated products, too."""
    kind, _, package = name.partition(", ")
    if package in (OURS, "PyTorch"):
        return ""
    kinds = ("single", "repeated") if kind == "single" else (kind,)
    verdicts = []
    for each in kinds:
        ratio = [theirs / ours for theirs, ours in zip(seconds[name], seconds[f"{each}, {OURS}"], strict=True)]
        verdicts.append(f"{each}: {against(1.0, statistics.median(ratio), ALIKE_SECONDS)}")
    return "; ".join(verdicts)
