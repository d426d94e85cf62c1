"""The saddle at every coexistence point of a large network: a part of `mnist_map.py`.

Columns: w at which the two phases are equally deep; `||theta||` of the saddle; the residual `||grad L|| / (w ||theta||)`; the
two lowest Ritz values of Hess L over w, upper bounds of its lowest eigenvalues, each with how far from it an eigenvalue lies at
most; the height of L above both phases; and by how much L of the minima below its two sides differs from that of the phases (0:
they are the phases).
"""

from __future__ import annotations

import math
from typing import Any

HEADER = ["rank", "w", "norm", "residual", "lowest / w", "next / w", "height", "below its sides"]


def saddle_rows(diagram: Any) -> list[list[str]]:
    """Return the saddles of a map as rows of the table."""
    return [saddle_row(diagram, item) for item in diagram.coexistence]


def saddle_row(diagram: Any, found: Any) -> list[str]:
    """Return the saddle at one coexistence point as a row."""
    first, second = (diagram.phases[phase].rank for phase in found.phases)
    w, saddle = 2 * found.beta, found.saddle
    start = [f"{first} to {second}", f"{w:.5f}"]
    if saddle is None or saddle.search is None:
        return [*start, *[""] * (len(HEADER) - 2)]
    search = saddle.search
    pairs = zip(search.values, search.errors, strict=True)
    return [
        *start,
        f"{math.sqrt(saddle.norm_squared):.3f}",
        f"{search.residual:.0e}",
        *(f"{value / w:+.3f} within {error / w:.3f}" for value, error in pairs),
        f"{saddle.loss - found.loss:.5f}",
        " and ".join(f"{side:+.1e}" for side in search.sides),
    ]
