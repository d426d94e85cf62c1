"""A minimum of L, with everything needed to trust it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from spinodal.codec import Record, one_of
from spinodal.conventions import weight_decay
from spinodal.counts import Counts
from spinodal.minima.point import Stationary

STATUSES = {
    "converged": "converged: the residual is below the tolerance and the margin is not negative",
    "undecided": "converged, margin undecided: its error is larger than its value, so this may be a saddle",
    "rounding": "converged to rounding: no step lowers L any further at this precision",
    "kink": "stalled at a kink: the slope of L jumps here (ReLU, max, abs?), so certificates are unavailable",
    "precision": "stalled on a staircase: the model computes in a lower precision than it is given; use that one (--dtype)",
    "gradient": "stalled: L does not fall as its gradient says; an operation's gradient is not that of its value",
    "conditioned": "not converged: L is so ill-conditioned here that steps hardly lower it; try another solver or start",
    "saddle": "stalled on a saddle: the margin is negative, and descents along its mode led nowhere or to saddles",
    "left": "left the branch: given up once that was clear, neither converged nor certified",
    "underway": "given up on the way, far from where it began, for a search that begins there: neither converged nor certified",
    "unbounded": "no minimum: L falls without bound, so E does, faster than the penalty grows",
    "not finite": "no minimum: E is not a finite number where the search led",
    "trained": "trained for a set number of epochs, which ends at no minimum: the residual tells how far from one",
    "iterations": "not converged: the iteration limit was reached; raise it or start closer",
}
CONVERGED = ("converged", "rounding", "undecided")


@dataclass(frozen=True, repr=False)
class Minimum(Stationary, Record):
    """A stationary point of `L = E + beta ||theta - centre||^2` with non-negative margin.

    Attributes
    ----------
    theta : Tensor, shape (n,)
    beta : float
        PyTorch's `weight_decay` is `2 * beta`. Of another control, its value.
    error, loss : float
        E and L at theta.
    residual : float
        `||grad L||`, which would be 0 at an exact minimum.
    margin : float
        Smallest eigenvalue of Hess L outside the zero modes.
    margin_error : float
        Residual of that eigenpair; there is an eigenvalue within this distance of `margin`.
    zero_modes : int or None
        Number of zero modes (continuous symmetries); None where not counted (matrix-free).
    stop : str
        A key of `STATUSES`.
    solver : str
        The solver that was used.
    stats : Counts
        Evaluations spent.
    of : str or None
        The name of what is turned, where that is another control than the L2 penalty.
    """

    JSON = "error loss residual margin margin_error zero_modes stop solver of stats"

    margin_error: float
    zero_modes: int | None
    stop: Annotated[str, one_of(STATUSES)]
    solver: str
    stats: Counts
    of: str | None = None

    def charged(self, counts: Counts) -> Minimum:
        """Return the same minimum with more spent on it."""
        return replace(self, stats=self.stats + counts)

    @property
    def index(self) -> int:
        """Return the Morse index as far as the margin tells it: 1, a lower bound, where that is negative beyond its error."""
        return int(self.margin < -self.margin_error)

    @property
    def index_is_exact(self) -> bool:
        """Tell whether the index is known: 0, by a margin that is not negative and below which all eigenvalues were seen."""
        return self.zero_modes is not None and self.margin >= 0.0

    @property
    def converged(self) -> bool:
        """Tell whether this is a minimum to the requested tolerance, or to rounding."""
        return self.stop in CONVERGED

    @property
    def status(self) -> str:
        """Return a sentence about how the search ended."""
        return STATUSES[self.stop]

    @property
    def _where(self) -> str:
        if self.of is not None:
            return f"{self.of} = {self.beta:.6g}"
        return f"beta = {self.beta:.6g} (weight_decay = {weight_decay(self.beta):.6g})"

    def __str__(self) -> str:
        """Return the minimum in one line."""
        return (
            f"Minimum at {self._where}: E = {self.error:.6g}, "
            f"L = {self.loss:.6g}, residual {self.residual:.1e}, margin {self.margin:.3g}; {self.status}"
        )
