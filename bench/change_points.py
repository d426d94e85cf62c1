"""Where does the scalar curvature change abruptly: at spinodals, at coexistence points, or elsewhere?

    OMP_NUM_THREADS=1 python bench/change_points.py            # a quarter of an hour
    python bench/change_points.py --seeds 0 --quick            # one tanh network, on a coarser walk

Networks 3-10-10-2 on Gaussian inputs, 1,000 samples. `spinodal map --direction loop` finds spinodals and coexistence points.
Its own steps are too wide, away from transitions, for a step of R to be found there. So the deepest phase is walked upwards
once more, every minimum warm-started from the one before, in equal steps of log beta that ignore what the map knows; R of E
and of L are exact (dense Hessians), and `spinodal.change_points` sees these numbers and nothing else.

    beta, kind     of the change point, between two neighbouring points of the walk
    R              at these two
    jump of E      between these two, relative to E of the trivial phase
    nearest ...    and how far away it is, relative to the change point; half a step of the walk is as near as can be told

The second table looks the other way: what R does at spinodals and coexistence points, by how much it changes over the step of
the walk that holds one, and over the one before and the one behind.
"""

from __future__ import annotations

import argparse
import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hardware import print_table
from script import run

import spinodal as sp

STEP, COARSE = 0.01, 0.03  # of log beta
CHANGES = ["R of E: before", "there", "behind", "R of L: before", "there", "behind"]
LETTERS = {"error": "E", "loss": "L"}
HEADER = ["network", "R of", "kind", "beta", "R there", "jump of E", "nearest spinodal", "nearest coexistence"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the data (default 0 1 2)")
    parser.add_argument("--quick", action="store_true", help=f"steps of {COARSE:.0%}, tanh only")


def main(options: argparse.Namespace) -> None:
    """Print one table per network, and what was walked."""
    step = COARSE if options.quick else STEP
    for activation in ("tanh",) if options.quick else ("tanh", "linear"):
        for seed in options.seeds if activation == "tanh" else options.seeds[:1]:
            measure(activation, seed, step)


def measure(activation: str, seed: int, step: float) -> None:
    """Map a network, walk it evenly, and print where R changes, and by how much where something else is."""
    begun = time.perf_counter()
    task = sp.tasks.gaussian(activation=activation, seed=seed)
    diagram = sp.map_phases(task, direction="loop")
    walk = Walk.along(task, evenly(task, diagram, step))
    places = {kind: [item.beta for item in getattr(diagram, kind)] for kind in ("spinodals", "coexistence")}
    name = f"{activation}, seed {seed}"
    print(f"\n{name}: " + "; ".join(f"{kind} {listed(betas)}" for kind, betas in places.items()) + "\n")
    print_table(HEADER, [[name, *row] for row in changes(walk, places)])
    print()
    print_table(["network", "what is there", "beta", *CHANGES], [[name, *row] for row in beside(walk, places)])
    print(f"\n{len(walk.beta)} points in steps of {step:.0%} of beta, {time.perf_counter() - begun:.0f} s")


@dataclass(frozen=True)
class Walk:
    """Minima by rising beta: their E, and R of E and of L."""

    beta: list[float]
    errors: list[float]
    curvature: dict[str, list[float]]

    @classmethod
    def along(cls, task: sp.Task, minima: Sequence[sp.Minimum]) -> Walk:
        """Measure minima of a task."""
        landscape = task.landscape()
        found = [sp.curvature_at(landscape, minimum.theta, beta=minimum.beta, method="dense") for minimum in minima]
        return cls(
            [minimum.beta for minimum in minima],
            [minimum.error for minimum in minima],
            {surface: [getattr(item, surface).value for item in found] for surface in LETTERS},
        )


def evenly(task: sp.Task, diagram: sp.PhaseDiagram, step: float) -> list[sp.Minimum]:
    """Return the minima along the deepest phase and what it falls into, in equal steps of log beta."""
    landscape, (low, high) = task.landscape(), (diagram.points[0].beta, diagram.points[-1].beta)
    minima = [diagram.points[0].minimum]
    for place in range(1, math.floor(math.log(high / low) / step) + 1):
        minima.append(sp.minimise(landscape, beta=low * math.exp(place * step), start=minima[-1].theta))
    return minima


def changes(walk: Walk, places: dict[str, list[float]]) -> Iterator[list[str]]:
    """Yield one row per change point."""
    for surface, values in walk.curvature.items():
        for found in sp.change_points(walk.beta, values):
            low, high = (walk.errors[walk.beta.index(end)] for end in found.bracket)
            near = [nearest(found.beta, betas) for betas in places.values()]
            what = f"{found.before:.5g} -> {found.after:.5g}"
            yield [LETTERS[surface], found.kind, f"{found.beta:.5g}", what, f"{(high - low) / walk.errors[-1]:.1%}", *near]


def beside(walk: Walk, places: dict[str, list[float]]) -> Iterator[list[str]]:
    """Yield one row per spinodal and coexistence point within the walk."""
    for kind, betas in places.items():
        for beta in sorted(betas):
            place = bisect_left(walk.beta, beta)
            if 2 <= place < len(walk.beta) - 1:
                steps = [(k - 1, k) for k in (place - 1, place, place + 1)]
                shown = [f"{values[b] / values[a] - 1:+.2%}" for values in walk.curvature.values() for a, b in steps]
                yield [kind.removesuffix("s"), f"{beta:.6g}", *shown]


def nearest(beta: float, others: Sequence[float]) -> str:
    """Return the nearest of some betas, and how far it lies from this one."""
    other = min(others, key=lambda value: abs(math.log(value / beta)))
    return f"{other:.5g} ({other / beta - 1:+.1%})"


def listed(betas: Sequence[float]) -> str:
    """Return betas in words."""
    return ", ".join(f"{beta:.6g}" for beta in sorted(betas)) or "none"


if __name__ == "__main__":
    run(main, arguments)
