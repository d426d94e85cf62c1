"""Folds, pitchforks and coexistence points of toy energies: error, evaluations and time of four packages.

    OMP_NUM_THREADS=1 python bench/continuation.py             # needs: pip install -c constraints.txt -e '.[bench]'
    python bench/continuation.py --problems sextic chain3
    python bench/continuation.py --quick                       # two problems

One row per problem and package, each in a process of its own that is ended after `--limit` seconds. Errors are
`|beta / exact - 1|`; the exact values follow from roots of polynomials (`continuation_problems.py`). Settings: the largest
step of PyCont-Lite, the aimed error in theta of CosmoTransitions, what the area certificate of spinodal may miss (default
1e-8); JaxCont has its own defaults. `continuation_packages.py` shows what each is given.

    missed          no point of this kind was found within 5 %
    (as a fold)     found, but reported as another kind
    not offered     the package has no such thing
    invented        points found more than 2 % away from every exact one of their kind; copies by symmetry do not count
    points          points that the walk kept
    evaluations     one for E, a gradient or residual, a Hessian product; n for a dense Hessian or Jacobian. For spinodal those
                    of the walk + those of the coexistence points, which do not count against packages that have none
    seconds         the fastest of `--repeats` runs, or of those that begin within six seconds; in brackets without tracing and
                    compiling, and the first call
    ahead in        what, compared with "spinodal, area 1e-2", and why; errors below 1e-11 count as equal
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import continuation_packages as packages
from continuation_problems import PROBLEMS, Problem
from hardware import print_table
from script import run

from spinodal.branches.arclength.trace import ANGLE

KINDS = ("fold", "pitchfork", "coexistence")
OURS = "spinodal, area 1e-2"
PACKAGES: dict[str, Callable[[Problem], packages.Outcome]] = {
    "spinodal": lambda problem: packages.spinodal(problem, 1e-8),
    OURS: lambda problem: packages.spinodal(problem, 1e-2),
    "PyCont-Lite, step .01": lambda problem: packages.pycont_lite(problem, 1e-2),
    "PyCont-Lite, step .001": lambda problem: packages.pycont_lite(problem, 1e-3),
    "JaxCont": packages.jaxcont,
    "CosmoTransitions, 1e-2": lambda problem: packages.cosmotransitions(problem, 1e-2),
    "CosmoTransitions, 1e-4": lambda problem: packages.cosmotransitions(problem, 1e-4),
}
OFFERS = {"PyCont-Lite": ("fold", "pitchfork"), "JaxCont": ("fold",), "CosmoTransitions": KINDS, "spinodal": KINDS}
NEAR, FAR = 0.05, 0.02  # relative: a point found within the one is taken for the exact one, beyond the other for another
ROUNDING = 1e-11  # below, errors count as equal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--limit", type=float, default=240.0, help="seconds a package may take for a problem (default 240)")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts (default 3)")
    parser.add_argument("--quick", action="store_true", help="two problems")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a problem and a package, in a process of its own


def main(options: argparse.Namespace) -> None:
    """Print one table."""
    packages.REPEATS = options.repeats
    if options.one:
        print(json.dumps(vars(PACKAGES[options.one[1]](PROBLEMS[options.one[0]]))))
        return
    for name in ["quartic", "chain3"] if options.quick else options.problems:
        print_problem(name, options)


def print_problem(name: str, options: argparse.Namespace) -> None:
    """Print what every package finds for one problem."""
    problem = PROBLEMS[name]
    exact = ", ".join(f"{kind} {beta:.12g}" for kind, beta in problem.exact)
    print(f"**{problem.title}**, {problem.size} weight{'s' * (problem.size > 1)}: {exact}\n")
    outcomes = {package: measured(name, package, options) for package in options.packages}
    kinds = [kind for kind in KINDS if kind in dict(problem.exact)]
    header = ["package", *(f"error of the {kind}" for kind in kinds), "invented", "points", "evaluations", "seconds"]
    print_table(
        [*header, "ahead in"],
        [row(problem, package, outcome, outcomes.get(OURS)) for package, outcome in outcomes.items()],
    )
    print()


def measured(name: str, package: str, options: argparse.Namespace) -> dict[str, Any] | str:
    """Return the outcome from a process of its own, or why there is none."""
    settings = ["--threads", str(options.threads), "--repeats", str(options.repeats)]
    command = [sys.executable, str(Path(__file__)), "--one", name, package, *settings]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.limit, check=False)
    except subprocess.TimeoutExpired:
        return f"not finished in {options.limit:.0f} s"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1].replace("|", "/")[:120]
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- the rows ---------------------------------------------------------------------------------


def row(problem: Problem, package: str, outcome: dict[str, Any] | str, ours: dict[str, Any] | str | None) -> list[str]:
    """Return one line of the table."""
    kinds = [kind for kind in KINDS if kind in dict(problem.exact)]
    if isinstance(outcome, str):
        return [package, *("-" for _ in kinds), "-", "-", "-", "-", outcome]
    errors = [cell(problem, package, outcome, kind) for kind in kinds]
    seconds = f"{outcome['seconds']:.2f}"
    if outcome["compiling"]:
        seconds += f" ({outcome['seconds'] - outcome['compiling']:.2f}; first call {outcome['first']:.1f})"
    compared = isinstance(ours, dict) and not package.startswith("spinodal")
    ahead = "; ".join(where_ahead(problem, package, outcome, ours)) if compared else ""
    counted = f"{cost(problem, outcome['counts']):,}"
    counted += f" + {cost(problem, outcome['equal']):,}" if outcome["equal"] else ""
    remark = "; ".join(filter(None, [ahead, outcome["note"]]))
    return [package, *errors, str(invented(problem, outcome)), f"{outcome['points']:,}", counted, seconds, remark]


def cell(problem: Problem, package: str, outcome: dict[str, Any], kind: str) -> str:
    """Return the worst error of a kind, or what became of it."""
    errors = [error(outcome, kind, beta) for name, beta in problem.exact if name == kind]
    if all(value is not None for value in errors):
        return f"{max(errors):.0e}" if max(errors) else "0"
    other = {"fold": "pitchfork", "pitchfork": "fold"}.get(kind, kind)
    errors = [error(outcome, other, beta) for name, beta in problem.exact if name == kind]
    if other != kind and all(value is not None for value in errors):
        return f"{max(errors):.0e} (as a {other})"
    return "missed" if kind in offered(package) else "not offered"


def offered(package: str) -> tuple[str, ...]:
    """Return the kinds of points that a package looks for."""
    return OFFERS[package.partition(",")[0]]


def error(outcome: dict[str, Any], kind: str, beta: float) -> float | None:
    """Return the relative error of the nearest point of a kind; None where there is none near."""
    errors = [abs(found / beta - 1) for name, found in outcome["places"] if name == kind]
    return min((value for value in errors if value < NEAR), default=None)


def invented(problem: Problem, outcome: dict[str, Any]) -> int:
    """Return the number of points far from every exact one."""
    exact = {"coexistence": [beta for kind, beta in problem.exact if kind == "coexistence"]}
    exact["fold"] = exact["pitchfork"] = [beta for kind, beta in problem.exact if kind != "coexistence"]
    return sum(all(abs(found / beta - 1) > FAR for beta in exact[kind]) for kind, found in outcome["places"])


def cost(problem: Problem, counts: dict[str, int]) -> int:
    """Return the cost in evaluations, a dense Hessian n of them."""
    return sum(count * (problem.size if name == "Hessian" else 1) for name, count in counts.items())


def where_ahead(problem: Problem, package: str, outcome: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Return in what another package is ahead, with the reason in numbers of this run."""
    here = cost(problem, ours["counts"])
    here += cost(problem, ours["equal"]) if "coexistence" in offered(package) else 0
    reasons = []
    for kind, beta in problem.exact:
        theirs, mine = error(outcome, kind, beta), error(ours, kind, beta)
        if theirs is not None and (mine is None or max(theirs, ROUNDING) < mine):
            reasons.append(f"error of the {kind}")
    if cost(problem, outcome["counts"]) < here:
        turn = f"whose tangents turn by at most {ANGLE:g} in a step"
        reasons.append(f"evaluations: {outcome['points']:,} points against {ours['points']:,}, {turn}")
    if outcome["seconds"] < ours["seconds"]:
        each = f"one takes {1e6 * outcome['each']:.0f} us in NumPy, {1e6 * ours['each']:.0f} us by automatic differentiation"
        reasons.append(f"seconds: {each}")
    elif outcome["compiling"] and outcome["seconds"] - outcome["compiling"] < ours["seconds"]:
        reasons.append("seconds but for compiling, which every call does anew: the walk is one compiled program")
    return reasons


if __name__ == "__main__":
    run(main, arguments, is_part=lambda options: bool(options.one))
