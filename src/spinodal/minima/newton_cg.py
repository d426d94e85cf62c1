"""Trust-region Newton with conjugate gradients: Hessian products only, for any number of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from spinodal.minima.smooth import Objective
from spinodal.minima.solution import Solution, Stillness, hopeless
from spinodal.minima.stall import stall


def newton_cg(loss: Objective, start: Tensor, *, tolerance: float, radius: float, iterations: int = 500) -> Solution:
    """Minimise L from `start` (Steihaug 1983; Nocedal & Wright, algorithms 4.1 and 7.2).

    Each step runs conjugate gradients on `Hess L p = -grad L` until the model residual is below
    `min(1/10, sqrt(||g|| / scale)) ||g||`, the boundary of the trust region, or negative curvature,
    which is followed to the boundary.
    """
    theta = start.clone()
    value, gradient = loss.value_and_gradient(theta)
    epsilon = torch.finfo(theta.dtype).eps
    stillness = Stillness()
    for count in range(iterations):
        residual, scale = float(gradient.norm()), loss.scale(theta)
        if residual <= tolerance * scale:
            return Solution(theta, value, gradient, count, "converged")
        if reason := hopeless(value):
            return Solution(theta, value, gradient, count, reason)
        if stillness.after(value, residual):
            return Solution(theta, value, gradient, count, _stall(loss, theta, value, gradient, tolerance))
        product = loss.hessian_operator(theta)
        step, predicted = steihaug(product, gradient, radius, min(0.1, (residual / scale) ** 0.5))
        trial = theta + step
        trial_value, trial_gradient = loss.value_and_gradient(trial)
        noise = 50 * epsilon * (1 + abs(value))
        ratio = (value - trial_value + noise) / (predicted + noise)
        length = float(step.norm())
        if ratio < 0.25 or not trial_value < float("inf"):
            radius = 0.25 * length
        elif ratio > 0.75 and length > 0.9 * radius:
            radius = 2.0 * radius
        if ratio > 1e-3 and (trial_value < value or float(trial_gradient.norm()) < residual):
            theta, value, gradient = trial, trial_value, trial_gradient
        elif radius < epsilon * (1 + float(theta.norm())):
            return Solution(theta, value, gradient, count, _stall(loss, theta, value, gradient, tolerance))
    return Solution(theta, value, gradient, iterations, "iterations")


def _stall(loss: Objective, theta: Tensor, value: float, gradient: Tensor, tolerance: float) -> str:
    """Tell a stop at the limit of rounding from one that something else keeps (see `stall`)."""
    close = max(10 * tolerance, torch.finfo(theta.dtype).eps ** 0.5) * loss.scale(theta)
    if float(gradient.norm()) <= max(close, 1e-10 * (1 + abs(value) ** 0.5)):
        return "rounding"
    return stall(loss.value_and_gradient, theta, value, gradient)


def steihaug(
    product: Callable[[Tensor], Tensor], gradient: Tensor, radius: float, forcing: float, most: int = 500
) -> tuple[Tensor, float]:
    """Return a step that lowers `g.p + p.A.p / 2` inside `||p|| <= radius`, and the predicted decrease."""
    step, push = torch.zeros_like(gradient), torch.zeros_like(gradient)  # push = A step
    residual = gradient.clone()
    direction = -residual
    square = float(residual @ residual)
    stop = forcing**2 * square
    for _ in range(most):
        image = product(direction)
        curvature = float(direction @ image)
        if curvature <= 1e-14 * float(direction @ direction) or _beyond(step, direction, square / curvature, radius):
            length = _to_boundary(step, direction, radius)
            step, push = step + length * direction, push + length * image
            break
        length = square / curvature
        step, push = step + length * direction, push + length * image
        residual = residual + length * image
        fresh = float(residual @ residual)
        if fresh <= stop:
            break
        direction = -residual + (fresh / square) * direction
        square = fresh
    return step, -float(gradient @ step) - 0.5 * float(step @ push)


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    *,
    tolerance: float = 1e-6,
    most: int = 500,
    inverse: Callable[[Tensor], Tensor] = lambda vector: vector,
    guess: Tensor | None = None,
) -> Tensor:
    """Return x with `A x = right` to a relative residual, A positive semi-definite, right in its range.

    `inverse` is that of a preconditioner, in whose metric the residual is measured; `guess` is where to begin.
    """
    solution = torch.zeros_like(right) if guess is None else guess
    rest = right if guess is None else right - product(guess)
    gathered = inverse(rest)
    square, stop = float(rest @ gathered), tolerance**2 * float(right @ inverse(right))
    direction = gathered
    for _ in range(most):
        if not square > stop:
            break
        image = product(direction)
        curvature = float(direction @ image)
        if curvature <= 1e-14 * float(direction @ direction):  # nothing but rounding, or a saddle
            break
        solution, rest = solution + square / curvature * direction, rest - square / curvature * image
        gathered = inverse(rest)
        fresh = float(rest @ gathered)
        direction, square = gathered + (fresh / square) * direction, fresh
    return solution


def _beyond(step: Tensor, direction: Tensor, length: float, radius: float) -> bool:
    return float((step + length * direction).norm()) >= radius


def _to_boundary(step: Tensor, direction: Tensor, radius: float) -> float:
    """Return the positive root of `||step + t direction|| = radius` (0 when the region is unbounded)."""
    if radius == float("inf"):
        return 0.0
    a, b = float(direction @ direction), float(step @ direction)
    c = float(step @ step) - radius**2
    return (-b + math.sqrt(b * b - a * c)) / a
