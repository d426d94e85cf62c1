"""Where two phases of a diagram are equally deep."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spinodal.branches.coexistence import STATUSES, Coexistence
from spinodal.codec import Positive, Record
from spinodal.definitions import CONTINUOUS
from spinodal.sweeps.transition import Transition


@dataclass(frozen=True)
class SaddleSearch(Record):
    """How well a saddle is known that was searched for between two minima (see `spinodal.branches.mountain_pass`).

    Attributes
    ----------
    residual : float
        `||grad L|| / (2 beta ||theta - centre||)`.
    values, errors : (float, float)
        The two lowest Ritz values of Hess L, upper bounds of its lowest eigenvalues, and how far from each an eigenvalue lies
        at most.
    sides : (float, float)
        L of the minima to which descents along both directions of the lowest mode lead, less that of the two phases: 0 where
        they lead there.
    """

    residual: float
    values: tuple[float, float]
    errors: tuple[float, float]
    sides: tuple[float, float]


@dataclass(frozen=True)
class Saddle(Record):
    """The saddle between two phases: E, L, `||theta - centre||^2` and Morse index there, and how it was searched for, if so."""

    error: float
    loss: float
    norm_squared: float
    index: int
    search: SaddleSearch | None = None


@dataclass(frozen=True)
class AreaRule:
    """Coexistence by Maxwell's equal-area rule: its beta, and by how much it differs from that of equal L, relatively."""

    beta: float
    difference: float


@dataclass(frozen=True)
class PhaseCoexistence(Record):
    """A coexistence point and its two phases.

    Attributes
    ----------
    beta : float
    phases : (int, int)
        First the one of larger `||theta||^2`, which is the stable one below.
    loss, latent_heat : float
        The common L, and the jump of `||theta||^2 = dL/dbeta`.
    saddle : Saddle or None
        The lowest one between them that the branches know at this beta.
    barrier : (float, float) or None
        `L(saddle) - L(phase)` for both.
    by_area : AreaRule or None
    status : str
    """

    beta: Positive
    phases: tuple[int, int]
    loss: float
    latent_heat: float
    saddle: Saddle | None
    barrier: tuple[float, float] | None
    by_area: AreaRule | None
    status: str

    @classmethod
    def of(cls, found: Coexistence, phases: tuple[int, int]) -> PhaseCoexistence:
        """Return the record of a coexistence point whose phases, in its order, have these ids."""
        saddle, by_area = found.saddle, found.by_area
        return cls(
            beta=found.beta,
            phases=phases,
            loss=found.loss,
            latent_heat=found.latent_heat,
            saddle=None if saddle is None else Saddle(saddle.error, saddle.loss, saddle.norm_squared, saddle.index),
            barrier=found.barrier,
            by_area=None if by_area is None else AreaRule(by_area, by_area / found.beta - 1.0),
            status=STATUSES[found.status],
        )

    def classifies(self, end: Transition, norm_range: float) -> bool:
        """Tell whether this is the transition of first order that ends, as a spinodal, where the first of the phases does."""
        is_below = self.beta < end.bracket[0]
        return end.jumps and is_below and self.latent_heat > CONTINUOUS * norm_range

    def over(self, saddle: Saddle | None) -> PhaseCoexistence:
        """Return the same with another saddle."""
        barrier = None if saddle is None else (saddle.loss - self.loss, saddle.loss - self.loss)
        return replace(self, saddle=saddle, barrier=barrier)
