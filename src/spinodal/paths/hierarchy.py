"""The pass through the hierarchy: up in beta from two minima until they fall into one phase, joined there, and down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.definitions import MACROSCOPIC
from spinodal.landscape import Landscape
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.lbfgs import descended
from spinodal.observe import Observer
from spinodal.paths.effort import Effort
from spinodal.phases.catalogue import Allowance, Fingerprint

FIRST, LAST = 3e-3, 1e4  # beta times the squared norm of the ends over the range of E, at which the climb begins and ends
STEP = 1.25  # factor in beta
ITERATIONS, RESIDUAL = 300, 1e-2  # of one minimisation, and relative: minima are told apart by what separates phases

Join = Callable[[Tensor, Tensor], tuple[Tensor, float]]  # two minima of a phase to points of a path and the largest E on it


@dataclass(frozen=True)
class Passage:
    """The way over the pass.

    Attributes
    ----------
    points : Tensor, shape (m, n)
        From the first end up in beta, through the phase in which both are joined, and down to the last.
    beta : float
        Where both are joined; NaN where the effort was spent before.
    level : float
        The largest E at the points.
    """

    points: Tensor
    beta: float
    level: float

    @property
    def way(self) -> str:
        """Return in words what found it."""
        if math.isnan(self.beta):
            return "through phases, not joined within the budget"
        return f"through phases, up to beta = {self.beta:.4g}"


class Climb:
    """The minima of `E + beta ||theta||^2` from one end, beta rising."""

    def __init__(self, landscape: Landscape, end: Tensor, error: float) -> None:
        self.landscape, self.observe = landscape, Observer(landscape, Penalty(), None)
        self.points, self.errors, self.rank = [end], [error], -1

    def to(self, beta: float, effort: Effort) -> Fingerprint:
        """Follow the minimum to the next beta."""
        loss = Regularised(self.landscape, beta)

        def stop(theta: Tensor, value: float, gradient: Tensor) -> str | None:
            rested = float(gradient.norm()) <= RESIDUAL * loss.scale(theta)
            return "rested" if rested or effort.is_spent else None

        end = descended(loss.value_and_gradient, self.points[-1], stop, ITERATIONS)
        theta, error = end.theta, loss.error(end.value, end.theta)
        self.points.append(theta)
        self.errors.append(error)
        seen = self.observe(theta)
        self.rank = seen.rank
        return Fingerprint(beta, error, seen.turned, seen.singular_values, radius=0.0)


def through_phases(landscape: Landscape, ends: tuple[Tensor, Tensor], effort: Effort, join: Join) -> Passage:
    """Climb from both ends until both minima are of one phase and can be joined there below 1 % of the range of E.

    Minima of one phase may be copies by symmetry that lie far apart: where no path between them stays low, both climb on to
    the next rank. All
    phases end in the trivial one, where they meet at last.
    """
    errors = [landscape.value(end) for end in ends]
    scale = landscape.value(torch.zeros_like(ends[0])) - min(errors)
    norms = [float(end @ end) for end in ends]
    allowance = Allowance.of_phases(scale, max(norms))
    climbs = [Climb(landscape, end, error) for end, error in zip(ends, errors, strict=True)]
    unit = max(scale, 1e-300) / max(norms)
    beta, tried = FIRST * unit, set[int]()
    while beta < LAST * unit and not effort.is_spent:
        first, last = (climb.to(beta, effort) for climb in climbs)
        if climbs[0].rank not in tried and first.is_one_with(last, allowance):
            tried.add(climbs[0].rank)
            points, largest = join(climbs[0].points[-1], climbs[1].points[-1])
            if largest <= max(first.error, last.error) + MACROSCOPIC * scale:
                return _passage(climbs, points, beta)
        beta *= STEP
    return _passage(climbs, torch.stack([climb.points[-1] for climb in climbs]), math.nan)


def _passage(climbs: list[Climb], between: Tensor, beta: float) -> Passage:
    up, down = torch.stack(climbs[0].points[:-1]), torch.stack(climbs[1].points[:-1]).flip(0)
    level = max(error for climb in climbs for error in climb.errors)
    return Passage(torch.cat([up, between, down]), beta, level)
