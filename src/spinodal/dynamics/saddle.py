"""The saddle beside a minimum: how high the barrier is over which noise leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.landscape.objective import Regularised
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.krylov import random_vectors

RAYS = 12  # directions that are tried
RADII = (0.15, 0.4)  # of the spheres on which they are turned towards lower L, relative to 1 + ||theta||
TURNS, FIRST_TURN = 40, 0.5  # steps of that, and the first of them as an angle
SOFTEST = 3.0  # times the smallest positive eigenvalue: modes that rays are made of
CLIMBS = 3  # rays from whose highest points the search climbs
LENGTHS = 24  # points of a ray
STEPS = 40
RESIDUAL = 1e-8  # relative to the penalty's pull


@dataclass(frozen=True, eq=False)
class Saddle:
    """A stationary point of L with one direction down.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    loss : float
    values : Tensor, shape (n,)
        Eigenvalues of Hess L there, rising.
    """

    theta: Tensor
    loss: float
    values: Tensor


def saddle_beside(loss: Regularised, minimum: Tensor, *, seed: int = 0) -> Saddle | None:
    """Return the lowest saddle of index 1 found around a minimum of L, shape (n,); None where none was found.

    Rays begin along random combinations of the softest modes, are turned towards lower L on a sphere around the minimum, and
    are followed until L falls below that of the minimum. From the highest points of the lowest of them the search climbs along
    the lowest mode and descends along all others.

    *What it is not:* the lowest saddle there is. It is an upper bound of the barrier.
    """
    value = loss.value(minimum)
    basis = eigenbasis(loss.shifted(loss.landscape.hessian(minimum)))
    if not basis.positive:
        return None
    soft = basis.vectors[:, basis.values <= SOFTEST * basis.values[-basis.positive]]
    rays = [_turned(loss, minimum, soft @ weights, RADII[place % len(RADII)]) for place, weights in _weights(soft, seed)]
    tops = [_top(loss, minimum, ray, value) for ray in rays]
    lowest = sorted((top for top in tops if top is not None), key=lambda top: top.height)[:CLIMBS]
    found = [_climb(loss, top.theta, value) for top in lowest]
    return min((saddle for saddle in found if saddle is not None), key=lambda saddle: saddle.loss, default=None)


def _weights(soft: Tensor, seed: int) -> Iterator[tuple[int, Tensor]]:
    draws = random_vectors(soft[0], seed)
    return ((place, next(draws)) for place in range(RAYS))


def _turned(loss: Regularised, minimum: Tensor, direction: Tensor, radius: float) -> Tensor:
    """Return a unit vector along which L is low at a distance from the minimum, near a direction."""
    length = radius * (1.0 + float(minimum.norm()))
    unit: Tensor = direction / direction.norm()
    for turn in range(TURNS):
        _, gradient = loss.value_and_gradient(minimum + length * unit)
        tangent = gradient - (gradient @ unit) * unit
        size = float(tangent.norm())
        if size == 0.0:
            break
        unit = unit - FIRST_TURN / (1.0 + turn) * tangent / size
        unit = unit / unit.norm()
    return unit


@dataclass(frozen=True, eq=False)
class _Top:
    """The highest point of a ray that comes down again."""

    height: float
    theta: Tensor


def _top(loss: Regularised, minimum: Tensor, direction: Tensor, value: float) -> _Top | None:
    lengths = (torch.logspace(-3, 0.5, LENGTHS, dtype=torch.float64) * (1.0 + minimum.norm().cpu().double())).tolist()
    heights = []
    for length in lengths:
        heights.append(loss.value(minimum + length * direction))
        if heights[-1] < value:
            place = max(range(len(heights)), key=heights.__getitem__)
            return _Top(heights[place], minimum + lengths[place] * direction)
    return None


def _climb(loss: Regularised, theta: Tensor, floor: float) -> Saddle | None:
    """Return the saddle of index 1 that is reached by Newton steps turned uphill along the lowest mode."""
    for _ in range(STEPS):
        value, gradient = loss.value_and_gradient(theta)
        basis = eigenbasis(loss.shifted(loss.landscape.hessian(theta)))
        values, alive = basis.values, basis.values.abs() > basis.zero
        if float(gradient.norm()) <= RESIDUAL * max(loss.scale(theta), 1e-9):
            is_saddle = basis.index == 1 and value > floor
            return Saddle(theta, value, values) if is_saddle else None
        signs = torch.ones_like(values)
        signs[0] = -1.0
        parts = torch.where(alive, -signs * (basis.vectors.T @ gradient) / values.abs(), 0.0)
        step = basis.vectors @ parts
        longest = 0.1 * (1.0 + float(theta.norm()))
        theta = theta + step * min(1.0, longest / max(float(step.norm()), 1e-300))
    return None
