"""What a solver hands back: a point, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """The end of one solver's run.

    `stop` is one of "converged", "rounding", "kink", "iterations"; `hessian` is the Hessian of E at
    `theta` where the solver happens to have it.
    """

    theta: Tensor
    value: float
    gradient: Tensor
    iterations: int
    stop: str
    hessian: Tensor | None = None
