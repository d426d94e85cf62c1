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
import ctypes
import gc
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curvature_peers as peers
import torch
from curvature_problems import HIDDEN, Problem, digits_minima, hidden_spectrum, mnist, of_spectrum, random_network, spectra
from hardware import hardware_line, print_table, use_threads

import spinodal as sp
from spinodal import Estimate
from spinodal.counts import HESSIAN_PRODUCT_COST
from spinodal.curvature.scalar import curvatures

PARTS = ("trace", "lowest", "product", "scalar", "large")
ALIKE_ERRORS, ALIKE_SECONDS = 1.3, 1.1  # ratios up to which two errors, or two times, are level
ROUNDING = 1e-10  # relative errors below count as exact
OURS = "spinodal"
NETS = (([3, 4, 4, 2], torch.float64), ([6, 13, 13, 8], torch.float64), ([784, 500, 200, 10], torch.float32))
LAYERS, FEW_LAYERS = (32, 24), (8,)  # of the digits net, and with --small


@dataclass(frozen=True)
class Run:
    """One answer, its error bar if it has one, and its cost."""

    value: float
    seconds: float
    products: int
    stderr: float = math.nan
    gradients: float = math.nan
    reached: bool = True


def main() -> None:
    """Print the tables of the parts that were asked for."""
    options = parsed()
    use_threads(options.threads)
    if options.child:
        print(json.dumps(large_in_this_process(options, int(options.child))))
        return
    print(hardware_line(), flush=True)
    for name in peers.missing():
        print(f"\n{name} is not installed (pip install -c constraints.txt -e '.[bench]'): its rows are left out.")
    parts = {"trace": traces, "lowest": lowest, "product": products, "scalar": scalars, "large": large}
    for part in options.part:
        parts[part](options)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    parser.add_argument("--threads", type=int, default=1, help="processor threads (default 1)")
    parser.add_argument("--small", "--quick", action="store_true", help="small problems, few seeds; 500 images")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # images, in a process of its own
    options = parser.parse_args()
    if any(number % 6 for number in options.products):
        parser.error("--products takes numbers that are divisible by 6, such as 30 96")
    if options.small:
        options.seeds, options.products, options.betas, options.rtol = 4, [30], [0.02], [0.03]
        options.repeats, options.images = 3, [500]
    return options


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the seconds it took."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def gradient_seconds(problem: Problem) -> list[float]:
    """Return the seconds of a few gradients of PyTorch."""
    return [timed(lambda: peers.gradients(problem))[1] for _ in range(5)]


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean square."""
    return math.sqrt(statistics.fmean(value * value for value in values))


def median(runs: Sequence[Run], name: str) -> float:
    """Return the median of a number over runs."""
    return statistics.median(getattr(run, name) for run in runs)


def against(ours: float, theirs: float, alike: float) -> str:
    """Return whether a smaller number of ours is ahead of theirs."""
    if not math.isfinite(theirs):
        return "ahead"
    if ours < ROUNDING < theirs:
        return "ahead: exact"
    ratio = max(theirs, ROUNDING) / max(ours, ROUNDING)
    if 1 / alike <= ratio <= alike:
        return "level"
    return f"ahead {ratio:.2g}x" if ratio > 1 else f"behind {1 / ratio:.2g}x"


def failure(cause: Exception) -> str:
    """Return an error as a cell."""
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}".replace("|", "/")[:120]


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


# -- products ---------------------------------------------------------------------------------


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


# -- scalar curvature -------------------------------------------------------------------------


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


# -- a large net ------------------------------------------------------------------------------


def large(options: argparse.Namespace) -> None:
    """Print R of a large net, with time and memory, for several numbers of samples."""
    print(f"\n**R of a net of 1.2 million parameters from at most {options.budget} products**\n")
    if not options.mnist:
        print("left out: give --mnist FILE.npz")
        return
    header = ["images", "R of E", "stderr", "products", "counted", "seconds", "gradient s", "gradients", "before MiB"]
    found: list[dict[str, float]] = []
    rows = []
    for images in options.images:
        outcome = large_in_a_process(options, images)
        rows.append([f"{images:,}", *large_cells(outcome, found)])
        found += [outcome] if isinstance(outcome, dict) else []
    print_table([*header, "above MiB", "spinodal is"], rows)
    print("\nbefore: model and data; above: above that by a landscape and R, see --help")


def large_in_a_process(options: argparse.Namespace, images: int) -> dict[str, float] | str:
    """Return the outcome from a process of its own, or why there is none."""
    settings = {"child": images, "mnist": options.mnist, "budget": options.budget, "epochs": options.epochs}
    settings["threads"] = options.threads
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, str(Path(__file__)), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1].replace("|", "/")[:120]
    outcome: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return outcome


def large_in_this_process(options: argparse.Namespace, images: int) -> dict[str, float]:
    """Return R, its cost in time and its highest memory."""
    problem = mnist(options.mnist, images, options.epochs)

    def loss(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        found: torch.Tensor = problem.criterion(model(batch[0]), batch[1])
        return found

    def estimate() -> tuple[sp.Landscape, Estimate, float]:
        landscape = sp.Landscape(problem.model, loss, problem.data, dtype=torch.float32)
        return landscape, *timed(lambda: sp.scalar_curvature(landscape, problem.model, method="probes", budget=options.budget))

    (landscape, found, seconds), before, highest = watched(estimate)
    gradient = min(timed(lambda: landscape.gradient(problem.theta))[1] for _ in range(3))
    return {
        "value": found.value,
        "stderr": found.stderr,
        "products": found.products,
        "counted": found.spent.gradient_equivalents,
        "seconds": seconds,
        "gradient": gradient,
        "before": before / 2**20,
        "above": (highest - before) / 2**20,
    }


def watched(function: Callable[[], Any]) -> tuple[Any, int, int]:
    """Return a result, the bytes resident before, and the most that were resident during the call."""
    give_back_memory()
    before = resident("VmRSS")
    is_reset = reset_peak()
    result = function()
    return result, before, resident("VmHWM") if is_reset else highest_ever()


def give_back_memory() -> None:
    """Return freed memory to the system, so that it does not count as held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU library
    if trim is not None:
        trim(0)


def resident(name: str) -> int:
    """Return an entry of the process's status in bytes; the highest resident memory where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return highest_ever()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def reset_peak() -> bool:
    """Let the highest resident memory begin anew; return whether the system does that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return resident("VmHWM") <= resident("VmRSS") + 2**22


def highest_ever() -> int:
    """Return the highest resident memory since the process began, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def large_cells(outcome: dict[str, float] | str, earlier: list[dict[str, float]]) -> list[str]:
    """Return the cells of one number of samples."""
    if isinstance(outcome, str):
        return ["-"] * 9 + [outcome]
    growth = f"; {outcome['above'] / earlier[0]['above']:.2f} times the memory of the first row" if earlier else ""
    return [
        f"{outcome['value']:.6g}",
        f"{outcome['stderr'] / abs(outcome['value']):.2%}",
        f"{outcome['products']:.0f}",
        f"{outcome['counted']:.0f}",
        f"{outcome['seconds']:.0f}",
        f"{outcome['gradient']:.2f}",
        f"{outcome['seconds'] / outcome['gradient']:.0f}",
        f"{outcome['before']:.0f}",
        f"{outcome['above']:.0f}",
        f"alone: no package offers R{growth}",
    ]


if __name__ == "__main__":
    main()
