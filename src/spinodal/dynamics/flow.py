"""Gradient flow of L, in steps as long as its curvature allows: where training leads, and when, without training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spinodal.definitions import LEVEL_FLAT, ZERO_MODE
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.eigenbasis import eigenbasis
from spinodal.spectrum.krylov import Krylov
from spinodal.spectrum.operator import affords_dense

TOLERANCE = 0.02  # of a step: how much its second part may be of it, as a whole and along directions that bend down
RESIDUAL = 1e-7  # relative, at which the flow has ended
STEPS = 300
KRYLOV = 30  # products of a step where a dense Hessian is not affordable
LONGEST, SHORTEST = 4.0, 0.2  # factors from one step to the next
SMALL = 0.02  # arguments of phi functions below which their series are summed


@dataclass(frozen=True, eq=False)
class Flow:
    """The solution of `dtheta/dt = -grad L(theta)` from a point.

    Attributes
    ----------
    times : tuple of float
        One epoch of gradient descent lasts `learning_rate`, for small learning rates.
    errors, losses, norms : tuple of float
        E, L and `||theta||` at these times.
    theta : Tensor, shape (n,)
        Where it ended.
    converged : bool
        Whether it ended at a stationary point; otherwise steps or time were used up.
    """

    times: tuple[float, ...]
    errors: tuple[float, ...]
    losses: tuple[float, ...]
    norms: tuple[float, ...]
    theta: Tensor
    converged: bool

    def when(self, error: float) -> float:
        """Return the time at which E first is at a value or below, interpolated; infinite where it never is."""
        for place, value in enumerate(self.errors):
            if value <= error:
                if place == 0:
                    return 0.0
                before = self.errors[place - 1]
                share = (before - error) / (before - value)
                return self.times[place - 1] + share * (self.times[place] - self.times[place - 1])
        return math.inf

    def plateau(self) -> float:
        """Return E where it changes least in a doubling of the time: the level of the first plateau."""
        steps = [place for place in range(1, len(self.times) - 1) if self.times[place] > 0.0]
        if not steps:
            return self.errors[-1]

        def slope(place: int) -> float:
            change = abs(self.errors[place + 1] - self.errors[place]) / max(abs(self.errors[place]), 1e-300)
            return change / math.log(self.times[place + 1] / self.times[place])

        first = next((place for place in steps if slope(place) < LEVEL_FLAT), min(steps, key=slope))
        return self.errors[first]

    def when_norm(self, norm: float) -> float:
        """Return the first recorded time at which the norm is at a value or below; infinite where it never is."""
        return next((time for time, value in zip(self.times, self.norms, strict=True) if value <= norm), math.inf)


def gradient_flow(
    loss: Regularised,
    theta: Tensor,
    *,
    horizon: float = math.inf,
    until: float = -math.inf,
    tolerance: float = TOLERANCE,
    steps: int = STEPS,
) -> Flow:
    """Return the gradient flow of L from theta, shape (n,), to a stationary point, a time, or an error.

    Every step solves the flow of the quadratic model at its beginning exactly, and corrects it for what the gradient at its
    end shows (the exponential Rosenbrock method of order 3 with its embedded second order, Hochbruck & Ostermann, Acta
    Numerica 19 (2010) 209, section 2.4). A plateau is crossed in a few steps, however long it is.

    Examples
    --------
    `L = w^2 / 2` from 1: half of it is left at `t = log(2) / 2`.

    >>> from spinodal.landscape import Landscape
    >>> one = torch.nn.Linear(1, 1, bias=False)
    >>> E = Landscape(one, lambda model, batch: model.weight.sum() ** 2 / 2, None)
    >>> flow = gradient_flow(Regularised(E, 0.0), torch.ones(1).double())
    >>> flow.converged, abs(flow.theta.item()) < 1e-6
    (True, True)
    """
    value, gradient = loss.value_and_gradient(theta)
    track = [(0.0, loss.error(value, theta), value, float(theta.norm()))]
    time, length, converged = 0.0, math.nan, False
    local = _Local(loss, theta, gradient)
    for _ in range(steps):
        if float(gradient.norm()) <= RESIDUAL * max(loss.scale(theta), 1e-9):
            converged = True
            break
        if track[-1][1] <= until:
            break
        length = min(local.first_length() if math.isnan(length) else length, horizon - time)
        if length <= 0.0:
            break
        first = local.move(length)
        _, new_gradient = loss.value_and_gradient(theta + first)
        second = local.correction(length, first, new_gradient)
        excess = local.excess(first, second) / tolerance
        factor = min(LONGEST, max(SHORTEST, 0.8 * excess ** (-1.0 / 3.0))) if 0.0 < excess < math.inf else LONGEST
        if not excess <= 1.0:
            length *= SHORTEST if math.isnan(excess) or math.isinf(excess) else factor
            continue
        theta, time, length = theta + first + second, time + length, length * factor
        value, gradient = loss.value_and_gradient(theta)
        track.append((time, loss.error(value, theta), value, float(theta.norm())))
        local = _Local(loss, theta, gradient)
    times, errors, losses, norms = zip(*track, strict=True)
    return Flow(times, errors, losses, norms, theta, converged)


class _Local:
    """The quadratic model of L at a point, in eigenvectors of Hess L, or in Ritz vectors of the gradient's Krylov space."""

    def __init__(self, loss: Regularised, theta: Tensor, gradient: Tensor) -> None:
        self.gradient = gradient
        if affords_dense(loss.landscape):
            basis = eigenbasis(loss.shifted(loss.landscape.hessian(theta)))
            self.values, self.vectors = basis.values, basis.vectors
        else:
            self.values, self.vectors = _ritz(loss, theta, gradient)
        self.parts = self.vectors.T @ gradient

    def first_length(self) -> float:
        """Return a time in which little happens."""
        return 0.1 / max(float(self.values.abs().max()), 1e-12)

    def move(self, length: float) -> Tensor:
        """Return the way of the flow of the quadratic model in a time."""
        way: Tensor = self.vectors @ (_phi1(-length * self.values) * self.parts)
        return -length * way

    def correction(self, length: float, first: Tensor, gradient: Tensor) -> Tensor:
        """Return what the gradient at the end, beyond that of the quadratic model, adds to the way."""
        model = self.gradient + self.vectors @ (self.values * (self.vectors.T @ first))
        beyond = gradient - model
        inside = self.vectors.T @ beyond
        outside: Tensor = beyond - self.vectors @ inside
        turned: Tensor = self.vectors @ (_phi3(-length * self.values) * inside)
        return -2.0 * length * (turned + outside / 6.0)

    def excess(self, first: Tensor, second: Tensor) -> float:
        """Return the size of the correction relative to the way: the larger of all of it and of its growing part."""
        growing = self.vectors[:, self.values < -ZERO_MODE * self.values.abs().max()].T
        whole = float(second.norm()) / max(float(first.norm()), 1e-300)
        if not len(growing):
            return whole
        part = float((growing @ second).norm()) / max(float((growing @ first).norm()), 1e-9 * float(first.norm()), 1e-300)
        return max(whole, part)


def _ritz(loss: Regularised, theta: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return Ritz values and vectors of Hess L from the gradient."""
    krylov = Krylov(gradient / gradient.norm().clamp_min(1e-300), gradient.dtype, most=min(KRYLOV, len(gradient)))
    product = loss.hessian_operator(theta)
    krylov.grow(product)
    while krylov.is_open and not krylov.is_full:
        krylov.grow(product)
    values, weights = (torch.from_numpy(array.copy()).to(gradient) for array in krylov.ritz())
    vectors: Tensor = krylov.basis.T @ weights
    return values, vectors


def _phi1(z: Tensor) -> Tensor:
    """Return `(e^z - 1) / z`."""
    safe = torch.where(z == 0.0, torch.ones_like(z), z)
    return torch.where(z == 0.0, torch.ones_like(z), torch.expm1(safe) / safe)


def _phi3(z: Tensor) -> Tensor:
    """Return `(e^z - 1 - z - z^2 / 2) / z^3`."""
    safe = torch.where(z.abs() < SMALL, torch.ones_like(z), z)
    series = 1.0 / 6.0 + z / 24.0 + z**2 / 120.0 + z**3 / 720.0
    return torch.where(z.abs() < SMALL, series, (torch.expm1(safe) - safe - safe**2 / 2.0) / safe**3)
