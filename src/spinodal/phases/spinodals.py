"""The spinodals of a phase diagram: where phases cease to be minima."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.codec import Positive, Record


@dataclass(frozen=True)
class SpinodalCertificate:
    """How well the equations of a polished special point hold (see `spinodal.branches.special`).

    Attributes
    ----------
    residual : float
        `||grad L||`.
    eigenvalue : float
        `phi . Hess L phi` of the null vector phi, which is 0 here.
    overlap : float
        `|phi . (theta - centre)| / ||theta - centre||`: far from 0 at a fold, 0 at a branch point.
    status : str
    """

    residual: float
    eigenvalue: float
    overlap: float
    status: str


@dataclass(frozen=True)
class Spinodal(Record):
    """An end of a phase.

    Attributes
    ----------
    beta : float
    phase : int
        The phase that ends here.
    side : {"upper", "lower"}
        Whether it ends as beta rises or as beta falls.
    certificate : SpinodalCertificate or None
        Of the polished point, where a branch was followed through it; None where a walk bracketed it.
    reason : str or None
        How it is known where there is no certificate.
    """

    beta: Positive
    phase: int
    side: str
    certificate: SpinodalCertificate | None = None
    reason: str | None = None
