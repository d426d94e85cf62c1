"""Exact branches: the S-curves behind the jumps of a 3-10-10-2 tanh net, and deep linear nets against closed forms.

    python bench/branches.py                # both
    python bench/branches.py --part linear  # seconds
    python bench/branches.py --part cascade # a linear autoencoder of the digits, walked with dense Hessians: slow

`linear`: spinodal, coexistence (equal L, and equal area) and the saddle at coexistence of the strongest mode that dies first,
relative to the closed form; `index` is the Morse index along the branch, whose last point has the given beta.

`tanh`: the branch of each phase that ends in a jump, through its fold. Columns: the fold, how well its equations hold
(`||grad L||`, eigenvalue), the lowest beta on the saddle branch, folds that are minor, branch points, and the area
certificate, the largest `|L(b) - L(a) - integral of ||theta||^2 dbeta|` between any two points.

`cascade`: every second-order transition as a branch point, beside the eigenvalue of the covariance.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from hardware import print_table
from scipy.optimize import brentq
from script import run

import spinodal as sp
from spinodal.tasks import autoencoder, gaussian


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--part", choices=["all", "linear", "tanh", "cascade"], default="all")
    parser.add_argument("--hidden", type=int, default=10, help="Width of the autoencoder.")


def main(options: argparse.Namespace) -> None:
    """Print the tables that were asked for."""
    if options.part in ("all", "linear"):
        print("\nDeep linear nets, singular values .9 and .4\n")
        header = [
            "N",
            "parameters",
            "zero modes",
            "spinodal",
            "coexistence",
            "by area",
            "saddle",
            "barrier",
            "index",
            "last beta",
        ]
        print_table([*header, "points", "s"], [linear(matrices) for matrices in (3, 4, 5)])
    if options.part in ("all", "tanh"):
        print("\n3-10-10-2 tanh net, 1,000 samples, seed 0\n")
        header = ["fold", "residual", "eigenvalue", "index", "lowest beta", "minor folds", "branch points", "area certificate"]
        print_table([*header, "points", "s"], list(tanh()))
    if options.part == "cascade":
        print(f"\nLinear autoencoder 64-{options.hidden}-64 of the digits\n")
        print_table(["eigenvalue", "branch point, relative error", "kind", "overlap"], list(cascade(options.hidden)))


def linear(matrices: int) -> list[str]:
    """Return the row of a deep linear net with `matrices` weight matrices."""
    task = gaussian(
        activation="linear", hidden=(3,) * (matrices - 1), singular_values=(0.9, 0.4), samples=60, noise=0.0, bias=False
    )
    landscape, exact = task.landscape(), sp.theory.deep_linear((0.9, 0.4), matrices=matrices)[0]
    began = time.perf_counter()
    live = sp.continue_branch(landscape, 1.6 * task.initial(seed=0), beta=0.05 * exact.beta, to=1.2 * exact.beta, area=1e-9)
    dead = sp.continue_branch(landscape, live.spinodals[0].fall, to=0.5 * exact.coexistence)
    found = sp.coexistence(landscape, live, dead)
    seconds = time.perf_counter() - began
    saddle = saddle_strength(exact.singular_value, matrices, exact.coexistence)
    barrier = potential(saddle, exact.singular_value, matrices, exact.coexistence) - exact.singular_value**2
    strength = exact_mode(found.saddle, exact.singular_value, matrices, landscape)
    return [
        str(matrices), str(landscape.size), str(live.points[0].zero_modes), f"{live.spinodals[0].beta / exact.beta - 1:+.0e}",
        f"{found.beta / exact.coexistence - 1:+.0e}", f"{found.by_area / exact.coexistence - 1:+.0e}",
        f"{strength / saddle - 1:+.0e}", f"{found.barrier[0] / barrier - 1:+.0e}",
        f"{live.index[0]} -> {live.index[-1]}", f"{live.points[-1].beta:.0e}", str(len(live.points)), f"{seconds:.1f}",
    ]  # fmt: skip


def potential(w: float, s: float, matrices: int, beta: float) -> float:
    """Return `V(w) = (s - w^N)^2 + N beta w^2` of one mode."""
    return (s - w**matrices) ** 2 + matrices * beta * w**2


def saddle_strength(s: float, matrices: int, beta: float) -> float:
    """Return w of the saddle at beta, from `w^(N-2) (s - w^N) = beta` below the spinodal."""
    top = (s * (matrices - 2) / (2 * matrices - 2)) ** (1 / matrices)
    return float(brentq(lambda w: w ** (matrices - 2) * (s - w**matrices) - beta, 1e-9, top, xtol=1e-15))


def exact_mode(saddle: sp.StationaryPoint, s: float, matrices: int, landscape: sp.Landscape) -> float:
    """Return w of the weakest mode of a point: the smaller singular value of its first matrix that is not zero."""
    values = next(iter(landscape.parameters.matrices(saddle.theta).values())).svd().S
    return float(values[1])


def tanh() -> Iterator[list[str]]:
    """Yield one row per phase of the tanh net that ends in a jump."""
    diagram = sp.map_phases(gaussian(), branches=True)
    for branch in diagram.branches.values():
        for fold in branch.spinodals or branch.folds[:1]:
            yield fold_row(branch, fold)


def fold_row(branch: sp.Branch, fold: sp.Fold) -> list[str]:
    """Return the row of a fold and of the branch it lies on."""
    exactness = [f"{fold.beta:.10f}", f"{fold.point.residual:.0e}", f"{fold.eigenvalue:.0e}"]
    extent = [f"{fold.index[0]} -> {fold.index[1]}", f"{min(branch.beta):.4f}"]
    others = [str(sum(fold.minor for fold in branch.folds)), str(len(branch.branch_points)), f"{branch.area.worst:.0e}"]
    return [*exactness, *extent, *others, str(len(branch.points)), f"{branch.seconds:.1f}"]


def cascade(hidden: int) -> Iterator[list[str]]:
    """Yield one row per branch point of the autoencoder."""
    task = autoencoder(hidden=hidden)
    landscape, exact = task.landscape(), sorted(item.beta for item in task.exact)
    start = sp.minimise(landscape, beta=0.95 * exact[0], start=task.initial(seed=0), solver="newton_cg")
    branch = sp.continue_branch(landscape, start, to=1.05 * exact[-1], method="arclength", area=1e-3)
    for item, found in zip(exact, branch.branch_points, strict=True):
        yield [f"{item:.6f}", f"{found.beta / item - 1:+.0e}", found.kind, f"{found.overlap:.0e}"]


if __name__ == "__main__":
    run(main, arguments)
