"""Critical slowing down beyond the end of a phase, predicted from the margins of a walk; part of dynamics.py.

The gaussian task's network (hidden widths 10 and 10) with 100 samples. Its deepest phase in a range of `beta` is walked up to
its steepest fall, and the last points before it give the spinodal and the steepness of the margin's square
(`spinodal.Slowing`). Descent from the phase, as it is at .8 times the spinodal, at a `beta` a little beyond it takes the time
that the law says to pass the place where the phase was: `2 pi / sqrt(steepness (beta - spinodal))`, in the limit. It has passed
where E is halfway to the next phase.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise

import torch
from dynamics_tables import shown

import spinodal as sp

RATE, BEYOND = 0.2, (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
HEADER = ["network", "spinodal", "bracket", "beyond it by", "law, epochs", "measured", "measured / law"]
STARTS = 4
RANGES = (("linear", 0.05, 0.35), ("linear", 0.25, 0.6), ("tanh", 0.25, 0.6))  # of beta: of the first fall, or of the second


def slowing(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    return HEADER, shown(row for given in RANGES for row in _rows(*given, options))


def _rows(activation: str, first: float, last: float, options: argparse.Namespace) -> Iterator[list[str]]:
    task = sp.tasks.gaussian(activation=activation, samples=100, seed=options.seed)
    landscape = task.landscape()
    tries = (sp.minimise(landscape, beta=first, start=1.5 * task.initial(seed)) for seed in range(STARTS))
    deepest = min(tries, key=lambda found: found.loss)
    walk = sp.sweep(landscape, start=deepest, to=last)
    before, after = max(pairwise(walk.points), key=lambda pair: (pair[1].error - pair[0].error) / (pair[1].beta - pair[0].beta))
    phase = walk.points[: walk.points.index(before) + 1]
    law = sp.Slowing.of(phase)
    begin = min(phase, key=lambda point: abs(point.beta - 0.8 * law.spinodal)).minimum.theta
    level = 0.5 * (before.error + after.error)
    for share in BEYOND[:2] if options.quick else BEYOND:
        beta = law.spinodal * (1.0 + share)
        said = law.passing_time(beta) / RATE
        history = sp.train(
            landscape, begin, beta=beta, learning_rate=RATE, epochs=int(4 * said),
            until=lambda thetas: level - torch.stack([thetas.new_tensor(landscape.value(theta)) for theta in thetas]),
        )  # fmt: skip
        took = float(history.arrivals[0])
        yield [activation, f"{law.spinodal:.6f}", f"{before.beta:.6f} to {after.beta:.6f}", f"{share:g}", f"{said:,.0f}",
               f"{took:,.0f}", f"{took / said:.2f}"]  # fmt: skip
