"""Limited-memory BFGS with a weak Wolfe line search, for one start or for several in one batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spinodal.minimise.solution import Solution
from spinodal.regularised import Regularised

MEMORY = 20
FAR = 0.02  # relative residual at which a search that left its branch can be recognised
ARMIJO, CURVATURE = 1e-4, 0.9
STILL, PATIENCE = 1e-14, 8  # a row that neither falls nor calms for so many steps has stopped

Batched = Callable[[Tensor], tuple[Tensor, Tensor]]


def lbfgs(
    loss: Regularised,
    start: Tensor,
    *,
    tolerance: float,
    iterations: int = 20_000,
    has_left: Callable[[float], bool] | None = None,
) -> Solution:
    """Minimise L from `start` until `||grad L|| <= tolerance * loss.scale(theta)`.

    Where `has_left(E)` holds at a point that is loosely minimised, the search ends there ("left").
    """

    def single(thetas: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = loss.value_and_gradient(thetas[0])
        return gradient.new_tensor([value], dtype=torch.float64), gradient[None]

    state = _State(single, start[None])
    stop = "iterations"
    count = 0
    for count in range(iterations):  # noqa: B007 - the count is reported
        residual = float(state.gradient[0].norm()) / loss.scale(state.theta[0])
        if residual <= tolerance:
            stop = "converged"
            break
        if has_left and residual <= FAR and has_left(loss.error(float(state.value[0]), state.theta[0])):
            stop = "left"
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
        rows, size = starts.shape
        self.steps, self.changes = starts.new_zeros(2, rows, MEMORY, size)
        self.products, self.squares = np.zeros((2, rows, MEMORY, MEMORY))
        self.kept = 0
        self.calmest = self.gradient.norm(dim=1)
        self.still = torch.zeros(rows, dtype=torch.long)

    def step(self) -> Tensor:
        """Move every row once; return which rows made progress, shape (k,)."""
        direction = self._direction()
        slope = (direction * self.gradient).sum(1)
        uphill = slope >= 0
        direction[uphill] = -self.gradient[uphill]
        slope = (direction * self.gradient).sum(1)
        theta, value, gradient, moved = self._search(direction, slope)
        fell = value < self.value - STILL * (1 + self.value.abs())
        calmer = gradient.norm(dim=1) < 0.99 * self.calmest
        self.calmest = torch.minimum(self.calmest, gradient.norm(dim=1))
        self.still = torch.where((fell | calmer).cpu(), 0, self.still + 1)
        self._remember(theta - self.theta, gradient - self.gradient)
        self.theta, self.value, self.gradient = theta, value, gradient
        return moved & (self.still < PATIENCE)

    def _direction(self) -> Tensor:
        """Return `-H g` row by row: the two-loop recursion (Nocedal & Wright, algorithm 7.4) in coordinates.

        The recursion only ever combines the kept steps S, changes Y and g, so it runs on their inner
        products, which are updated when a pair is kept; the long vectors are touched four times.
        """
        scale = self._initial_scale()
        if self.kept == 0:
            steepest: Tensor = -scale[:, None] * self.gradient
            return steepest
        steps, changes = self.steps[:, -self.kept :], self.changes[:, -self.kept :]
        along_steps = (steps @ self.gradient[:, :, None])[..., 0].double().cpu().numpy()
        along_changes = (changes @ self.gradient[:, :, None])[..., 0].double().cpu().numpy()
        pairs = self.products[:, -self.kept :, -self.kept :]  # s_i . y_j
        squares = self.squares[:, -self.kept :, -self.kept :]  # y_i . y_j
        rows = [
            _two_loops(pairs[k], squares[k], along_steps[k], along_changes[k], float(scale[k])) for k in range(len(self.theta))
        ]
        on_steps, on_changes = (torch.from_numpy(np.stack(part)).to(self.theta) for part in zip(*rows, strict=True))
        bend = (on_steps[:, None] @ steps)[:, 0] + (on_changes[:, None] @ changes)[:, 0]
        direction: Tensor = -(scale[:, None] * self.gradient + bend)
        return direction

    def _initial_scale(self) -> Tensor:
        fallback: Tensor = 1.0 / self.gradient.norm(dim=1).clamp_min(1.0)
        if self.kept == 0:
            return fallback
        overlap, square = self.products[:, -1, -1], self.squares[:, -1, -1]
        scale = np.divide(overlap, square, out=np.zeros_like(overlap), where=square > 0)
        found = torch.from_numpy(scale).to(fallback)
        return torch.where(found > 0, found, fallback)

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
        step, change = step * useful[:, None], change * useful[:, None]
        self.steps = torch.cat([self.steps[:, 1:], step[:, None]], 1)
        self.changes = torch.cat([self.changes[:, 1:], change[:, None]], 1)
        self.products[:, :-1, :-1] = self.products[:, 1:, 1:]
        self.squares[:, :-1, :-1] = self.squares[:, 1:, 1:]
        self.products[:, :, -1] = _inner(self.steps, change)
        self.products[:, -1, :] = _inner(self.changes, step)
        self.squares[:, :, -1] = self.squares[:, -1, :] = _inner(self.changes, change)
        self.kept = min(self.kept + 1, MEMORY)


def _inner(rows: Tensor, vectors: Tensor) -> np.ndarray:
    """Return inner products (k, m) of rows (k, m, n) with vectors (k, n)."""
    return (rows @ vectors[:, :, None])[..., 0].double().cpu().numpy()


def _two_loops(
    pairs: np.ndarray, squares: np.ndarray, along_steps: np.ndarray, along_changes: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of steps and changes in `H g - scale g`, from inner products only.

    `pairs[i, j] = s_i . y_j`, `squares[i, j] = y_i . y_j`; zero pairs are skipped.
    """
    count = len(pairs)
    curvature = np.diagonal(pairs)
    alphas = np.zeros(count)
    for i in range(count - 1, -1, -1):  # q = g - sum_j>i alpha_j y_j
        if curvature[i] > 0:
            alphas[i] = (along_steps[i] - pairs[i, i + 1 :] @ alphas[i + 1 :]) / curvature[i]
    betas = np.zeros(count)
    for i in range(count):  # r = scale q + sum_j<i (alpha_j - beta_j) s_j
        if curvature[i] > 0:
            product = scale * (along_changes[i] - squares[i] @ alphas) + pairs[:i, i] @ (alphas[:i] - betas[:i])
            betas[i] = product / curvature[i]
    alive = curvature > 0
    return np.where(alive, alphas - betas, 0.0), -scale * alphas
