"""Coexistence: a point at which two phases have the same L."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.branches.point import StationaryPoint
from spinodal.conventions import weight_decay
from spinodal.shown import Shown

STATUSES = {
    "converged": "converged: both phases are solved at this beta and their L are equal to rounding",
    "not converged": "not converged: a phase could not be solved close to where the two L cross; beta is approximate",
}


@dataclass(frozen=True, repr=False)
class Coexistence(Shown):
    """The Maxwell point of two phases, `L_a(beta) = L_b(beta)`.

    Attributes
    ----------
    beta : float
        PyTorch's `weight_decay` is `2 * beta`.
    phases : (StationaryPoint, StationaryPoint)
        Both phases at this beta; first the one of larger `||theta||^2`, which is the stable one below.
    saddle : StationaryPoint or None
        The saddle of lowest L between them that the branches know at this beta.
    by_area : float or None
        beta from Maxwell's equal-area rule, `integral of rho dbeta = 0` along the branch from one phase to the other,
        which looks at no L (but for what is left between the branches at their lowest beta, where they do not meet).
    status : str
        A key of `STATUSES`.
    """

    beta: float
    phases: tuple[StationaryPoint, StationaryPoint]
    saddle: StationaryPoint | None
    by_area: float | None
    status: str

    @property
    def loss(self) -> float:
        """Return the common L."""
        return self.phases[0].loss_at(self.beta)

    @property
    def latent_heat(self) -> float:
        """Return the jump of `||theta||^2 = dL/dbeta` between the phases."""
        return self.phases[0].norm_squared - self.phases[1].norm_squared

    @property
    def barrier(self) -> tuple[float, float] | None:
        """Return `L(saddle) - L(phase)` for both phases, at this beta; None without a saddle."""
        if self.saddle is None:
            return None
        top, (a, b) = self.saddle.loss_at(self.beta), (phase.loss_at(self.beta) for phase in self.phases)
        return top - a, top - b

    def __str__(self) -> str:
        """Return the coexistence point in one line."""
        area_rule = "" if self.by_area is None else f", by equal area {self.by_area - self.beta:+.1e}"
        barrier = "" if self.barrier is None else f", barrier {self.barrier[0]:.6g}"
        return (
            f"coexistence at beta = {self.beta:.10g} (weight_decay = {weight_decay(self.beta):.10g}){area_rule}: "
            f"L = {self.loss:.8g}, latent heat {self.latent_heat:.6g}{barrier}; {STATUSES[self.status].split(':')[0]}"
        )
