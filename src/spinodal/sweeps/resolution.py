"""The step sizes of a walk."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.arguments import real_number
from spinodal.definitions import BRACKET_DENSE, BRACKET_LARGE, BRACKET_MINOR, BRACKETS
from spinodal.errors import SpinodalError
from spinodal.minima.solver import solver_named

LARGE = 800  # parameters from which a dense Hessian is dear


def bracket_for(solver: str, size: int) -> float:
    """Return the default relative width of macroscopic brackets of a solver at so many parameters.

    Examples
    --------
    >>> bracket_for("newton", 100), bracket_for("newton", 1000), bracket_for("lbfgs", 1000)
    (1e-05, 0.0001, 0.001)
    """
    bracket = solver_named(solver).bracket
    return max(bracket, BRACKET_LARGE) if size > LARGE else bracket


@dataclass(frozen=True)
class Resolution:
    """Step sizes of a sweep, all relative to beta.

    Attributes
    ----------
    bracket : width to which macroscopic transitions are bracketed. Default 1e-5 dense, 1e-3 matrix-free.
    minor : width for minor ones, and the smallest step on a smooth branch. Default 1e-2.
    first, largest : first and largest step.
    """

    bracket: float = BRACKET_DENSE
    minor: float = BRACKET_MINOR
    first: float = 0.05
    largest: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a bracket that rounding would not let a walk reach, or that would not be one."""
        if not BRACKETS[0] <= real_number(self.bracket) <= BRACKETS[1]:
            raise SpinodalError(
                got=f"bracket = {self.bracket!r}", allowed="a relative width from 1e-9 to 1e-2 is allowed", do="try 1e-5"
            )
