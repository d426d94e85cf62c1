"""What the phases of a large network are like: a part of `mnist_map.py --phases`.

One row for each phase: rank; the range of w in which the walk followed it; held-out accuracy, averaged evenly over w, and the
published one; classes that are told apart; the scalar curvature R of E with one standard error at two points, at about a
third and two thirds of the phase's range in w.
"""

from __future__ import annotations

from typing import Any

import spinodal as sp
from spinodal.phases.phase import Phase

PUBLISHED = {5: 88.0, 4: 77.0, 3: 61.5, 2: 38.0, 1: 24.0, 0: 10.0}  # mean held-out accuracy, %, by rank
PLACES = (1 / 3, 2 / 3)
HEADER = ["rank", "w from", "to", "held out", "published", "classes", "R at w", "R", "R at w", "R"]


def phase_row(phase: Phase, landscape: sp.Landscape, budget: int) -> list[str]:
    """Return a phase as a row of the table; a curvature costs `budget` Hessian products."""
    low, high = phase.beta
    mean, published = phase.mean_accuracy("held_out"), PUBLISHED.get(phase.rank)
    classes = "" if phase.classes is None else "".join(map(str, phase.classes)) or "none"
    return [
        str(phase.rank),
        f"{2 * low:.5f}",
        f"{2 * high:.5f}",
        "" if mean is None else f"{100 * mean:.1f} %",
        "" if published is None else f"{published:.1f} %",
        classes,
        *(cell for part in PLACES for cell in curvature(phase, landscape, low + part * (high - low), budget)),
    ]


def curvature(phase: Phase, landscape: sp.Landscape, beta: float, budget: int) -> tuple[str, str]:
    """Return w of the point of a phase that is nearest to beta, and R of E there with its standard error."""
    point: Any = min(phase.points, key=lambda point: abs(point.beta - beta))
    found = sp.scalar_curvature(landscape, point.minimum.theta, budget=budget, method="probes")
    return f"{2 * point.beta:.5f}", f"{found.value:.4g} +/- {found.stderr:.1g}"
