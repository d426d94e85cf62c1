"""What steps and changes of the gradient tell of a dense Hessian: updates of it, and of its inverse."""

from __future__ import annotations

import torch
from torch import Tensor


def bfgs_product(factor: Tensor, pairs: list[tuple[Tensor, Tensor, float]], gradient: Tensor) -> Tensor:
    """Return `B^-1 g` for the BFGS updates `pairs` of a factorised Hessian (two-loop recursion)."""
    q = gradient.clone()
    weights = []
    for s, y, rho in reversed(pairs):
        alpha = rho * float(s @ q)
        q -= alpha * y
        weights.append(alpha)
    q = torch.cholesky_solve(q[:, None], factor)[:, 0]
    for (s, y, rho), alpha in zip(pairs, reversed(weights), strict=True):
        q += (alpha - rho * float(y @ q)) * s
    return q


def rank_one_update(hessian: Tensor, step: Tensor, change: Tensor) -> None:
    """Make `H step = change` by a symmetric rank-one update in place (Nocedal & Wright, eq. 6.24)."""
    rest = change - hessian @ step
    scale = float(rest @ step)
    if abs(scale) > 1e-8 * float(rest.norm()) * float(step.norm()):
        hessian.addr_(rest, rest, alpha=1.0 / scale)
