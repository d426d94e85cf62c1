"""Limited-memory BFGS with a weak Wolfe line search, for one start or for several in one batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spinodal.minimise.solution import Solution
from spinodal.regularised import Regularised

MEMORY = 20
ARMIJO, CURVATURE = 1e-4, 0.9

Batched = Callable[[Tensor], tuple[Tensor, Tensor]]


def lbfgs(loss: Regularised, start: Tensor, *, tolerance: float, iterations: int = 20_000) -> Solution:
    """Minimise L from `start` until `||grad L|| <= tolerance * loss.scale(theta)`."""

    def single(thetas: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = loss.value_and_gradient(thetas[0])
        return gradient.new_tensor([value], dtype=torch.float64), gradient[None]

    state = _State(single, start[None])
    stop = "iterations"
    count = 0
    for count in range(iterations):  # noqa: B007 - the count is reported
        if float(state.gradient[0].norm()) <= tolerance * loss.scale(state.theta[0]):
            stop = "converged"
            break
        if not bool(state.step()[0]):
            stop = _stall(state, loss, tolerance)
            break
    return Solution(state.theta[0], float(state.value[0]), state.gradient[0], count, stop)


def lbfgs_batch(loss: Regularised, starts: Tensor, *, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
    """Minimise L from k starts, shape (k, n), at once; return their ends, shape (k, n), and L, shape (k,).

    Rows are independent: each has its own history and step, and the result of a row does not depend
    on its companions beyond rounding.
    """
    state = _State(loss.values_and_gradients, starts)
    for _ in range(iterations):
        scales = torch.tensor([loss.scale(theta) for theta in state.theta])
        if bool((state.gradient.norm(dim=1).cpu() <= tolerance * scales).all()):
            break
        if not bool(state.step().any()):
            break
    return state.theta, state.value


def _stall(state: _State, loss: Regularised, tolerance: float) -> str:
    """Tell a stop at the limit of rounding from one where the gradient does not describe L (a kink)."""
    epsilon = torch.finfo(state.theta.dtype).eps
    reachable = (epsilon * (1 + abs(float(state.value[0])))) ** 0.5 * loss.scale(state.theta[0])
    residual = float(state.gradient[0].norm())
    return "rounding" if residual <= max(10 * tolerance * loss.scale(state.theta[0]), reachable) else "kink"


class _State:
    """k points with their values, gradients and curvature pairs."""

    def __init__(self, function: Batched, starts: Tensor) -> None:
        self.function = function
        self.theta = starts.clone()
        self.value, self.gradient = function(self.theta)
        self.steps: list[Tensor] = []
        self.changes: list[Tensor] = []

    def step(self) -> Tensor:
        """Move every row once; return which rows made progress, shape (k,)."""
        direction = self._direction()
        slope = (direction * self.gradient).sum(1)
        uphill = slope >= 0
        direction[uphill] = -self.gradient[uphill]
        slope = (direction * self.gradient).sum(1)
        theta, value, gradient, moved = self._search(direction, slope)
        self._remember(theta - self.theta, gradient - self.gradient)
        self.theta, self.value, self.gradient = theta, value, gradient
        return moved

    def _direction(self) -> Tensor:
        """Return `-H g` by the two-loop recursion (Nocedal & Wright, algorithm 7.4), row by row."""
        q = self.gradient.clone()
        pairs = list(zip(self.steps, self.changes, strict=True))
        weights = []
        for s, y in reversed(pairs):
            rho = _inverse((s * y).sum(1))
            alpha = rho * (s * q).sum(1)
            q -= alpha[:, None] * y
            weights.append((rho, alpha))
        q = q * self._initial_scale()[:, None]
        for (s, y), (rho, alpha) in zip(pairs, reversed(weights), strict=True):
            q += (alpha - rho * (y * q).sum(1))[:, None] * s
        return -q

    def _initial_scale(self) -> Tensor:
        fallback = 1.0 / self.gradient.norm(dim=1).clamp_min(1e-30).clamp_min(1.0)
        if not self.steps:
            return fallback
        s, y = self.steps[-1], self.changes[-1]
        scale = (s * y).sum(1) * _inverse((y * y).sum(1))
        return torch.where(scale > 0, scale, fallback)

    def _search(self, direction: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find weak Wolfe steps by bracketing and bisection (Lewis & Overton 2013), safe at kinks."""
        rows = len(direction)
        low, high = torch.zeros(rows), torch.full((rows,), float("inf"))
        length = torch.ones(rows)
        theta, value, gradient = self.theta.clone(), self.value.clone(), self.gradient.clone()
        pending = torch.arange(rows)
        moved = torch.zeros(rows, dtype=torch.bool)
        for _ in range(40):
            trial = self.theta[pending] + length[pending, None].to(theta) * direction[pending]
            trial_value, trial_gradient = self.function(trial)
            drop = ARMIJO * length[pending].to(slope) * slope[pending]
            noise = 1e-15 * (1 + self.value[pending].abs())
            fell = (trial_value <= self.value[pending] + drop + noise).cpu()
            flat = ((trial_gradient * direction[pending]).sum(1) >= CURVATURE * slope[pending]).cpu()
            theta[pending[fell]], value[pending[fell]] = trial[fell], trial_value[fell]
            gradient[pending[fell]] = trial_gradient[fell]
            moved[pending[fell]] = True
            low[pending[fell]] = length[pending[fell]]
            high[pending[~fell]] = length[pending[~fell]]
            pending = pending[~(fell & flat)]
            if len(pending) == 0:
                break
            bounded = high[pending].isfinite()
            length[pending] = torch.where(bounded, 0.5 * (low[pending] + high[pending]), 2 * low[pending])
        return theta, value, gradient, moved

    def _remember(self, step: Tensor, change: Tensor) -> None:
        """Keep a curvature pair; rows without positive curvature get a zero pair, which does nothing."""
        useful = (step * change).sum(1) > 1e-14 * step.norm(dim=1) * change.norm(dim=1)
        self.steps.append(step * useful[:, None])
        self.changes.append(change * useful[:, None])
        del self.steps[:-MEMORY], self.changes[:-MEMORY]


def _inverse(value: Tensor) -> Tensor:
    """Return 1 / value, and 0 where value is not positive."""
    return torch.where(value > 0, 1.0 / value.clamp_min(1e-300), torch.zeros_like(value))
