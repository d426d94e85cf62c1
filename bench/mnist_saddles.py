"""The saddle behind the end of every phase of a large network: a part of `mnist_map.py --saddles`.

From the minimum before a transition the fold is climbed at fixed norm, and the climb goes on down its other side, along the
saddles of the S-curve, to the coexistence point, or to where the constrained minimum jumps to another branch (`reaches` says
which). Columns: w of the saddle and its share of the way from spinodal to coexistence; `||theta||`; the residual
`||grad L|| / (w ||theta||)`; the two lowest Ritz values of Hess L over w from a small space that Davidson's method widens, each
with the distance within which an eigenvalue lies (they are upper bounds of the two lowest); the height of L above the phase
before and above the phase after, at the same w.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

import spinodal as sp
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.minima.kronecker import Kronecker, kronecker
from spinodal.minima.lbfgs import Preconditioned, lbfgs
from spinodal.spectrum.davidson import Subspace
from spinodal.sweeps.summit import Climb, Place
from spinodal.sweeps.transition import Transition

TOLERANCE = 2e-3  # of the residual of the phase behind, relative
PRODUCTS = 40  # for the two lowest eigenvalues of a saddle
HEADER = [
    "rank", "saddle at w", "of the way", "reaches", "norm", "residual", "lowest / w", "next / w",
    "above the phase before", "above the phase after",
]  # fmt: skip


def saddle_row(diagram: Any, transition: Transition, landscape: sp.Landscape, coexistence: float | None) -> list[str]:
    """Return the saddle behind a transition as a row of the table; `coexistence` is its w, 0 where it is not known."""
    before = transition.before
    ranks = f"{before.observation.rank} to {transition.after.observation.rank}"
    factors = kronecker(landscape, before.minimum.theta)
    found = None if factors is None else saddles(landscape, before, factors, 0.5 * (coexistence or 0.0))
    if factors is None or not found:
        return [ranks, *[""] * (len(HEADER) - 1)]
    place, fold = found[-1], transition.beta
    low = 0.5 * coexistence if coexistence else None
    share = "" if low is None else f"{(fold - place.beta) / (fold - low):.0%}"
    end = "coexistence" if low is not None and place.beta <= low else "a jump"
    w = 2 * place.beta
    residual, values, errors = lowest_two(landscape, place, found, factors)
    phase = next(item for item in diagram.phases if transition.before in item.points)
    pairs = [f"{value / w:+.3f} within {error / w:.3f}" for value, error in zip(values, errors, strict=True)]
    heights = (height_over(phase.points, place), height_over_after(landscape, transition, place))
    return [
        ranks,
        f"{2 * place.beta:.5f}",
        share,
        end,
        f"{math.exp(0.5 * place.height):.3f}",
        f"{residual:.0e}",
        *pairs,
        *("" if height is None else f"{height:.5f}" for height in heights),
    ]


def saddles(landscape: sp.Landscape, before: Any, factors: Kronecker, to: float) -> list[Place]:
    """Return saddles behind the fold ahead of a minimum, down to a beta or to a jump; none where there is no summit."""
    theta = before.minimum.theta
    memory = Preconditioned(theta, factors.at_beta(before.beta), 0.3 * (1.0 + float(theta.norm())))
    climb = Climb(landscape, Penalty(), memory)
    rate = before.tangent * (before.norm_squared / before.norm_slope)
    first = Place(math.log(before.norm_squared), before.beta, before.error, theta)
    summit = climb.summit(first, lambda change: change * rate)
    return [] if summit is None or summit.over is None else climb.behind(summit.way[-1], summit.over, to)


def lowest_two(
    landscape: sp.Landscape, place: Place, known: list[Place], factors: Kronecker
) -> tuple[float, list[float], list[float]]:
    """Return the relative residual at a saddle, its two lowest Ritz values, and the distance of each to an eigenvalue."""
    loss = Regularised(landscape, place.beta)
    product, inverse = loss.hessian_operator(place.theta), factors.at_beta(place.beta).inverse
    along = place.theta if len(known) < 2 else known[-2].theta - place.theta
    noise = torch.randn(len(place.theta), generator=torch.Generator().manual_seed(0)).to(place.theta)
    space = Subspace.of(torch.stack([along, place.theta, inverse(noise)]), product)
    while len(space) < PRODUCTS:
        space = space.widened(torch.stack([inverse(space.outside(k)) for k in range(2)]), product)
    gradient = loss.value_and_gradient(place.theta)[1]
    residual = float(gradient.norm() / (2 * place.beta * place.theta.norm()))
    return residual, space.values[:2].tolist(), space.residuals[:2].tolist()


def height_over(points: Any, place: Place) -> float | None:
    """Return L of a saddle less that of a phase at the same beta, on the cubic through its points, whose slopes are known."""
    known = {point.beta: point for point in points if point.minimum.converged}
    betas = np.array(sorted(known))
    if len(betas) < 2 or not betas[0] <= place.beta <= betas[-1]:
        return None
    losses, slopes = (np.array([read(known[beta]) for beta in betas]) for read in (_loss, _slope))
    return loss_of(place) - float(CubicHermiteSpline(betas, losses, slopes)(place.beta))


def height_over_after(landscape: sp.Landscape, transition: Transition, place: Place) -> float:
    """Return L of a saddle less that of the phase behind the transition, minimised at the same beta."""
    return loss_of(place) - minimised(landscape, place.beta, transition.after.minimum.theta)[1]


def minimised(landscape: sp.Landscape, beta: float, start: Tensor) -> tuple[Tensor, float]:
    """Return the minimum of L near a start, and L there."""
    loss = Regularised(landscape, beta)
    factors = kronecker(landscape, start)
    memory = None if factors is None else Preconditioned(start, factors.at_beta(beta), 0.3 * (1.0 + float(start.norm())))
    found = lbfgs(loss, start, tolerance=TOLERANCE, iterations=500, memory=memory)
    return found.theta, found.value


def loss_of(place: Place) -> float:
    """Return L at a place."""
    return place.error + place.beta * math.exp(place.height)


def _loss(point: Any) -> float:
    return float(point.minimum.loss)


def _slope(point: Any) -> float:
    return float(point.norm_squared)
