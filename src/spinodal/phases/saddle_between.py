"""The saddle between two phases of a large network at one beta, as the walker records it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from torch import Tensor

from spinodal.branches.mountain_pass import Pass, mountain_pass
from spinodal.definitions import PASS_ASIDE, PASS_RESIDUAL
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.preconditioner import Preconditioner, Uniform
from spinodal.sweeps.point import Point
from spinodal.sweeps.walk import Walker


class SaddleBetween:
    """The saddle between two minima of L at one beta, and where its two sides lead.

    Parameters
    ----------
    walker : Walker
    beta : float
    a, b : Point
    """

    def __init__(self, walker: Walker, beta: float, a: Point, b: Point) -> None:
        self.walker, self.a, self.b = walker, a, b
        self.loss = Regularised(walker.landscape, beta, walker.control)

    def note(self) -> dict[str, object]:
        """Return what is recorded of the saddle."""
        found = self._found
        if found is None or found.index != 1:
            return {"saddle": None, "search": None}
        error = self.loss.error(found.loss, found.theta)
        conjugate = self.walker.control.conjugate(found.theta)
        return {
            "saddle": {"error": error, "loss": found.loss, "norm_squared": conjugate, "index": found.index},
            "search": {"residual": found.residual, "values": found.values, "errors": found.errors},
        }

    def sides(self, level: float) -> tuple[float, float]:
        """Return L of the minima that lie beside the saddle, less a level: first towards a, then towards b."""
        ends = [self.walker.reach(self.a, self.loss.beta, self._aside(sign), careful=False) for sign in (-1.0, 1.0)]
        below = [self.walker.finish(end).minimum.loss - level for end in ends]
        return below[0], below[1]

    @cached_property
    def _found(self) -> Pass | None:
        a, b = self.a.minimum.theta, self.b.minimum.theta
        return mountain_pass(self.loss, a, b, self._preconditioner_at, tolerance=PASS_RESIDUAL)

    def _preconditioner_at(self, theta: Tensor) -> Preconditioner:
        """Return the Kronecker factors at theta, or the curvature of the penalty without them."""
        beta = self.loss.beta
        factors = self.walker.landmarks.made(theta)
        if factors is None:
            return Uniform(2.0 * beta)
        self.walker.landscape.ledger.charge(passes=factors.price)
        return factors.at_beta(beta)

    def _aside(self, sign: float) -> Callable[[], Tensor]:
        """Return what makes the start of a descent on one side; the saddle is sought again, uncounted, if it was recorded."""

        def start() -> Tensor:
            with self.walker.landscape.uncounted():
                found = self._found
            if found is None:
                return self.a.minimum.theta
            apart = self.b.minimum.theta - self.a.minimum.theta
            towards = sign if float(apart @ found.mode) >= 0.0 else -sign
            return found.theta + towards * PASS_ASIDE * float(apart.norm()) * found.mode

        return start
