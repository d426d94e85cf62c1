"""A map of fewer samples, which leads that of all of them: it costs as much less as it has fewer samples.

Where it went, the walk over all samples goes in as large steps as are allowed, and every search there begins where fewer
samples suggest. What is found is judged as in any walk, and every bracket is closed over all samples: where the two differ,
the walk over all of them goes on by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from spinodal.counts import Counts
from spinodal.landscape import Landscape
from spinodal.landscape.control import Turned
from spinodal.landscape.weight import Term
from spinodal.mapping.after_walk import Walk
from spinodal.mapping.options import MapOptions
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.sweep import Sweep

MOST, LEAST, TIMES = 7500, 2000, 4  # samples that lead, by default a part of all; fewer would tell of other transitions
BRACKET = 5e-3  # of beta: how closely the transitions of fewer samples are bracketed, which lie as far from those of all


@dataclass(frozen=True)
class Lead:
    """A walk over fewer samples.

    Attributes
    ----------
    range : (low, high)
    sweep : Sweep
    bottom, top : (Tensor of shape (n,), Counts)
        Where the walk over all samples begins, and its upper end; they cost nothing.
    spent : Counts
        In gradients over all samples.
    """

    range: tuple[float, float]
    sweep: Sweep
    bottom: tuple[Tensor, Counts]
    top: tuple[Tensor, Counts]
    spent: Counts

    @classmethod
    def of(cls, walk: Walk, spent: Counts, fewer: Landscape, whole: Landscape) -> Lead:
        """Return what a walk over fewer samples tells, with what it cost pro rata."""
        share = fewer.batches.total / whole.batches.total
        none = Counts(parameters=whole.size)
        cost = replace(none, passes=math.ceil(share * spent.gradient_equivalents))
        bottom, top = walk.sweep.points[0].minimum.theta, walk.top.minimum.theta
        return cls(walk.range, walk.sweep, (bottom, none), (top, none), cost)


def options_of(options: MapOptions) -> MapOptions:
    """Return the options of a map that leads one."""
    return replace(options, lead=0, bracket=max(options.bracket or 0.0, BRACKET))


def leading(problem: Problem, options: MapOptions) -> Problem | None:
    """Return the same problem with fewer samples, None where none leads."""
    landscape = problem.landscape
    pieces = _pieces(landscape.batches.total, options.lead)
    if options.direction == "down" or pieces < 2 or not affords_glimpses_only(landscape):
        return None
    part = landscape.part(pieces)
    return None if part is None else replace(problem, landscape=part, control=_on(part, problem.control))


def _pieces(total: int, asked: int | None) -> int:
    """Return into how many pieces samples are cut, one of which leads; 0 for none.

    Examples
    --------
    >>> _pieces(60_000, None), _pieces(10_000, None), _pieces(4000, None), _pieces(4000, 1000), _pieces(60_000, 0)
    (8, 4, 0, 4, 0)
    """
    samples = min(MOST, total // TIMES) if asked is None else asked
    return 0 if not samples or (asked is None and samples < LEAST) else total // samples


def _on(landscape: Landscape, control: Turned) -> Turned:
    return (control.control if isinstance(control, Term) else control).on(landscape)
