"""What is told of the phases of a network too large for branches: where each is as deep as the one that it falls into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spinodal.missing import OUTCOMES, Attempts
from spinodal.phases.branch_following import Followable, Followed
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.equal_depth import equally_deep_below
from spinodal.phases.loss_curve import LossCurve
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.walk import Walker

ELSEWHERE = "one of them ends before they are equally deep"


class DepthFollower:
    """Follows the phase behind every transition down to where it is as deep as the one before.

    Their folds are those that the walk climbed to (see `spinodal.sweeps.summit`); no saddle is followed.

    Parameters
    ----------
    walker : Walker
    criteria : Criteria
        What a jump is.
    attempts : Attempts
        Every coexistence point is a part of its own.
    """

    def __init__(self, walker: Walker, *, criteria: Criteria, attempts: Attempts) -> None:
        self.walker, self.criteria, self.attempts = walker, criteria, attempts

    def follow(self, phases: Sequence[Followable]) -> Followed:
        """Follow what the phases fall into; see `BranchFollower.follow`."""
        found = [item for phase in phases if phase.is_worth_following for item in self._coexistence(phase)]
        return Followed({}, {}, (), tuple(found), self.attempts.are_final)

    def _coexistence(self, phase: Followable) -> Iterator[PhaseCoexistence]:
        """Yield where a phase is as deep as the one that it falls into, if that is known."""
        end, to = phase.upper, phase.falls_to
        if end is None or to is None:
            return
        what = f"the coexistence of phases {phase.id} and {to}"
        with self.attempts.part(what), self.walker.within(what):
            try:
                found = self._met(phase, to)
            except OUTCOMES as cause:
                if self.attempts.owner(cause) is not None:
                    raise
                return self.attempts.lack(what, " ".join(str(cause).split()), final=True)
            if found is None:
                return self.attempts.lack(what, ELSEWHERE, final=True)
            yield found

    def _met(self, phase: Followable, to: int) -> PhaseCoexistence | None:
        converged = [point for point in phase.points if point.minimum.converged]
        if phase.upper is None or len(converged) < 2:
            return None
        curve = LossCurve.through(phase.id, converged)
        return equally_deep_below(self.walker, curve, to, phase.upper.after, criteria=self.criteria)
