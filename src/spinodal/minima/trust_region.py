"""The minimiser of a quadratic model inside a ball, from the Cholesky factors of a dense Hessian."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spinodal.landscape.objective import symmetric_norm

FLOOR = 1e-12  # relative shift that keeps exact zero modes (symmetries) out of the Cholesky factor's way


def trust_region_step(
    matrix: Tensor, gradient: Tensor, radius: float, guess: float = 0.0, *, least: float = 0.0
) -> tuple[Tensor, float, float]:
    """Return the minimiser of `g.p + p.A.p / 2` over `||p|| <= radius`, the decrease it predicts, and its shift.

    Finds `mu >= 0` with `(A + mu) p = -g`, `A + mu` positive definite and `||p||` within a factor two of the
    radius (or mu = 0 inside) by safeguarded Newton steps on the secular equation; where mu = 0 fails,
    `guess`, the shift of the last step, is tried next, or `least`, if that is more: with it any A + mu that is positive
    definite will do.
    """
    bound = symmetric_norm(matrix)
    floor = FLOOR * bound
    low, high = floor, bound + float(gradient.norm()) / radius
    shift = floor
    step = -gradient * (radius / float(gradient.norm()))
    kept = None
    for attempt in range(40):
        factor = cholesky(matrix, shift)
        proposal = 0.0
        if factor is None:
            low = max(low, shift)
        else:
            step = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            length, kept = float(step.norm()), factor
            inside = length <= radius
            low, high = (low, min(high, shift)) if inside else (max(low, shift), high)
            if 0.5 * radius <= length <= 1.2 * radius or (inside and shift <= max(1.5 * low, least)):
                break
            half = torch.linalg.solve_triangular(factor, step[:, None], upper=False)[:, 0]
            proposal = shift + (length / float(half.norm())) ** 2 * (length - radius) / radius
        if attempt == 0 and max(guess, least) > floor:
            proposal = max(guess, least)
        shift = proposal if low < proposal < high else (low * high) ** 0.5
    if kept is not None and low > floor and float(step.norm()) < 0.5 * radius:
        step = _to_boundary(step, _softest(kept), gradient, radius)
    return step, -float(gradient @ step) - 0.5 * float(step @ (matrix @ step)), shift


def _softest(factor: Tensor) -> Tensor:
    """Return the unit vector that a nearly singular positive definite matrix shrinks most, by inverse iteration."""
    vector = torch.linspace(1.0, 2.0, len(factor), dtype=factor.dtype, device=factor.device)
    for _ in range(3):
        vector = torch.cholesky_solve((vector / vector.norm())[:, None], factor)[:, 0]
    mode: Tensor = vector / vector.norm()
    return mode


def _to_boundary(step: Tensor, mode: Tensor, gradient: Tensor, radius: float) -> Tensor:
    """Return `step` prolonged along a mode of negative curvature to the trust region's boundary (the hard case)."""
    mode = -mode if float(gradient @ mode) > 0 else mode
    along = float(step @ mode)
    prolonged: Tensor = step + (math.sqrt(along**2 + radius**2 - float(step @ step)) - along) * mode
    return prolonged


def cholesky(matrix: Tensor, shift: float) -> Tensor | None:
    """Return the factor of `A + shift`, None if it is not positive definite."""
    shifted = matrix.clone()
    shifted.diagonal().add_(shift)
    factor, failed = torch.linalg.cholesky_ex(shifted)
    return None if int(failed) else factor
