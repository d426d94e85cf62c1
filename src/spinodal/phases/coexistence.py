"""Where two phases of a diagram are equally deep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from spinodal.branches.coexistence import STATUSES, Coexistence


@dataclass(frozen=True)
class SaddleSearch:
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

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SaddleSearch:
        """Return what a record in JSON types holds."""
        pairs = {name: (float(record[name][0]), float(record[name][1])) for name in ("values", "errors", "sides")}
        return cls(residual=float(record["residual"]), **pairs)


@dataclass(frozen=True)
class Saddle:
    """The saddle between two phases: E, L, `||theta - centre||^2` and Morse index there, and how it was searched for, if so."""

    error: float
    loss: float
    norm_squared: float
    index: int
    search: SaddleSearch | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Saddle:
        """Return the saddle of a record in JSON types."""
        numbers = {name: float(record[name]) for name in ("error", "loss", "norm_squared")}
        search = record.get("search")
        return cls(**numbers, index=int(record["index"]), search=None if search is None else SaddleSearch.from_dict(search))


@dataclass(frozen=True)
class AreaRule:
    """Coexistence by Maxwell's equal-area rule: its beta, and by how much it differs from that of equal L, relatively."""

    beta: float
    difference: float


@dataclass(frozen=True)
class PhaseCoexistence:
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

    beta: float
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

    def over(self, saddle: Saddle | None) -> PhaseCoexistence:
        """Return the same with another saddle."""
        barrier = None if saddle is None else (saddle.loss - self.loss, saddle.loss - self.loss)
        return replace(self, saddle=saddle, barrier=barrier)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PhaseCoexistence:
        """Return what `to_dict` made a record of."""
        first, second = record["phases"]
        saddle, barrier, by_area = (record[name] for name in ("saddle", "barrier", "by_area"))
        return cls(
            beta=float(record["beta"]),
            phases=(int(first), int(second)),
            loss=float(record["loss"]),
            latent_heat=float(record["latent_heat"]),
            saddle=None if saddle is None else Saddle.from_dict(saddle),
            barrier=None if barrier is None else (float(barrier[0]), float(barrier[1])),
            by_area=None if by_area is None else AreaRule(float(by_area["beta"]), float(by_area["difference"])),
            status=str(record["status"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the coexistence point in JSON types."""
        barrier = None if self.barrier is None else list(self.barrier)
        return asdict(self) | {"phases": list(self.phases), "barrier": barrier}
