"""What can be checked of a phase diagram without knowing its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.codec import Record
from spinodal.phases.envelope import Violation


@dataclass(frozen=True)
class Certificates(Record):
    """The certificates of a diagram.

    Attributes
    ----------
    area : float or None
        Largest violation of `L(b) - L(a) = integral of ||theta - centre||^2 dbeta` over all branches; None without branches.
    violations : tuple of Violation
        In a loop: where L of the deepest phases known is not concave in beta, or their norm grows, so that a deeper phase
        must exist that was not found.
    """

    area: float | None
    violations: tuple[Violation, ...]
