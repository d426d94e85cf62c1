"""Curvature of a graph the long way: metric, Christoffel symbols, Riemann tensor, contraction.

Nothing here knows Gauss's equation. For `z = E(theta)` with metric `G_ab = delta_ab + d_a E d_b E`,

    Gamma^a_bc = G^ad (d_b G_dc + d_c G_db - d_d G_bc) / 2
    R^a_bcd    = d_c Gamma^a_db - d_d Gamma^a_cb + Gamma^a_ce Gamma^e_db - Gamma^a_de Gamma^e_cb
    R          = G^bd R^a_bad

with all derivatives by automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, jacfwd

Energy = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Riemann:
    """Metric G_ab, shape (n, n), and curvature R^a_bcd, shape (n, n, n, n), at a point."""

    metric: Tensor
    tensor: Tensor

    @property
    def scalar(self) -> float:
        """Return `G^bd R^a_bad`."""
        return float(torch.einsum("bd,abad->", self.metric.inverse(), self.tensor))

    def sectional(self, u: Tensor, v: Tensor) -> float:
        """Return `R_abcd u^a v^b u^c v^d` over the squared area that u and v span in the metric."""
        lowered = torch.einsum("ae,ebcd,a,b,c,d->", self.metric, self.tensor, u, v, u, v)
        uu, vv, uv = u @ self.metric @ u, v @ self.metric @ v, u @ self.metric @ v
        return float(lowered / (uu * vv - uv**2))


def riemann(energy: Energy, theta: Tensor) -> Riemann:
    """Return metric and Riemann tensor of the graph of `energy` at theta, shape (n,)."""

    def metric(point: Tensor) -> Tensor:
        slope = grad(energy)(point)
        return torch.eye(len(point), dtype=point.dtype) + torch.outer(slope, slope)

    def christoffel(point: Tensor) -> Tensor:
        change = jacfwd(metric)(point)  # change[d, c, b] = d_b G_dc
        lowered = (change.permute(0, 2, 1) + change - change.permute(2, 0, 1)) / 2  # [d, b, c]
        return torch.einsum("ad,dbc->abc", torch.linalg.inv(metric(point)), lowered)

    gamma, slope = christoffel(theta), jacfwd(christoffel)(theta)  # slope[a, d, b, c] = d_c Gamma^a_db
    half = slope.permute(0, 2, 3, 1) + torch.einsum("ace,edb->abcd", gamma, gamma)
    return Riemann(metric(theta), half - half.transpose(2, 3))
