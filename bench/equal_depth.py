"""Where a phase that was walked is as deep as the one it falls into, for networks too large for branches.

`L(beta)` of the phase is known along the walk, with its slope `||theta||^2`. The other one is minimised at lower and lower
beta, by Newton's method on the difference, whose slope is known as well; L is wrong by the square of the residual only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

import spinodal as sp
from spinodal.landscape.objective import Regularised
from spinodal.minima.kronecker import kronecker
from spinodal.minima.lbfgs import Preconditioned, lbfgs
from spinodal.sweeps.walk import Point

TOLERANCE = 2e-3  # of the residual, relative
CLOSE = 2e-4  # of beta: the last step of Newton's method
STEPS = 8
LONGEST = 0.04  # of beta: the longest step


@dataclass(frozen=True)
class Meeting:
    """Where two phases are equally deep; `phase_reaches` tells whether the walk had come by there."""

    beta: float
    loss: float
    latent_heat: float
    phase_reaches: bool


def equal_depth(landscape: sp.Landscape, phase: Sequence[Point], after: Point) -> Meeting | None:
    """Return where the phase and the one that `after` lies in have the same L, None where steps do not converge."""
    known = {point.beta: point for point in phase if point.minimum.converged}
    betas = np.array(sorted(known))
    if len(betas) < 2:
        return None
    losses, norms = (np.array([read(known[beta]) for beta in betas]) for read in (lambda p: p.minimum.loss, _norm))
    curve = CubicHermiteSpline(betas, losses, norms)
    beta, theta = after.beta, after.minimum.theta
    for _ in range(STEPS):
        theta, loss = minimised(landscape, beta, theta)
        heat = float(curve.derivative()(beta)) - float(theta @ theta)
        step = (loss - float(curve(beta))) / heat
        if abs(step) <= CLOSE * beta:
            return Meeting(beta + step, loss, heat, bool(beta + step >= betas[0]))
        beta += float(np.clip(step, -LONGEST * beta, LONGEST * beta))
    return None


def minimised(landscape: sp.Landscape, beta: float, start: Tensor) -> tuple[Tensor, float]:
    """Return the minimum of L near a start, and L there."""
    loss = Regularised(landscape, beta)
    factors = kronecker(landscape, start)
    memory = None if factors is None else Preconditioned(start, factors.at_beta(beta), 0.3 * (1.0 + float(start.norm())))
    found = lbfgs(loss, start, tolerance=TOLERANCE, iterations=500, memory=memory)
    return found.theta, found.value


def _norm(point: Point) -> float:
    return point.norm_squared
