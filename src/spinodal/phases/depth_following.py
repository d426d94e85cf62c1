"""What is told of phases of a network too large for branches: where each is as deep as what it falls into, and the saddle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from spinodal.missing import Attempts, outcome_of
from spinodal.phases.branch_following import Followable, Followed
from spinodal.phases.coexistence import PhaseCoexistence, Saddle, SaddleSearch
from spinodal.phases.equal_depth import equally_deep_below
from spinodal.phases.loss_curve import LossCurve
from spinodal.phases.saddle_between import SaddleBetween
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import NAMES, Transition
from spinodal.sweeps.walk import Walker

T = TypeVar("T")

ELSEWHERE = "one of them ends before they are equally deep"
NO_SADDLE = "eigenvector following from the line between them came to rest at no saddle of index 1"


class DepthFollower:
    """Follows the phase behind every transition down to where it is as deep as the one before, and seeks the saddle there.

    Their folds are those that the walk climbed to (see `spinodal.sweeps.summit`).

    Parameters
    ----------
    walker : Walker
    criteria : Criteria
        What a jump is.
    attempts : Attempts
        Every coexistence point, and every saddle, is a part of its own.
    """

    def __init__(self, walker: Walker, *, criteria: Criteria, attempts: Attempts) -> None:
        self.walker, self.criteria, self.attempts = walker, criteria, attempts

    def follow(self, phases: Sequence[Followable]) -> Followed:
        """Follow what the phases fall into; see `BranchFollower.follow`."""
        worth = [phase for phase in phases if phase.is_worth_following]
        found = {phase.id: tuple(self._coexistence(phase)) for phase in worth}
        uppers = {phase.id: self._classified(phase.upper, found[phase.id]) for phase in worth if phase.upper is not None}
        met = tuple(item for items in found.values() for item in items)
        return Followed({}, uppers, (), met, self.attempts.are_final)

    def _classified(self, end: Transition, found: Sequence[PhaseCoexistence]) -> Transition:
        """Return the end of a phase, of first order where the two phases beside it were found equally deep below."""
        norm_range = self.criteria.norm_range
        if end.order in NAMES or not any(item.classifies(end, norm_range) for item in found):
            return end
        return replace(end, order="first", evidence=replace(end.evidence, coexists=True))

    def _coexistence(self, phase: Followable) -> Iterator[PhaseCoexistence]:
        """Yield where a phase is as deep as the one that it falls into, if that is known, with the saddle between them."""
        to = phase.falls_to
        if phase.upper is None or to is None:
            return
        what = f"the coexistence of phases {phase.id} and {to}"
        met = self._tried(what, ELSEWHERE, lambda: self._met(phase, to))
        if met is not None:
            saddle = self._tried(f"the saddle at {what}", NO_SADDLE, lambda: self._saddle(what, *met))
            yield met[0].over(saddle)

    def _tried(self, what: str, nothing: str, find: Callable[[], T | None]) -> T | None:
        """Return what is found as a part of its own; None, noted as missing, where it cannot be."""
        with self.attempts.part(what), self.walker.within(what):
            found, failed = outcome_of(find, self.attempts.owner)
            if found is None:
                self.attempts.lack(what, failed or nothing, final=True)
            return found
        return None

    def _met(self, phase: Followable, to: int) -> tuple[PhaseCoexistence, Point, Point] | None:
        """Return the coexistence point, and the minima of both phases that are known next to it."""
        converged = [point for point in phase.points if point.minimum.converged]
        if phase.upper is None or len(converged) < 2:
            return None
        curve = LossCurve.through(phase.id, converged)
        return equally_deep_below(self.walker, curve, to, phase.upper.after, criteria=self.criteria)

    def _saddle(self, what: str, found: PhaseCoexistence, *beside: Point) -> Saddle | None:
        a, b = (self._at(point, found.beta) for point in beside)
        between = SaddleBetween(self.walker, found.beta, a, b)
        note = self.walker.noted(f"the saddle at {what}", between.note)
        if note["saddle"] is None:
            return None
        search = SaddleSearch.from_dict(note["search"], sides=between.sides(found.loss))
        return Saddle.from_dict(note["saddle"], search=search)

    def _at(self, point: Point, beta: float) -> Point:
        if point.beta == beta:
            return point
        moved = self.walker.follow(point, beta, (beta - point.beta) * point.tangent, travelling=True)
        return self.walker.finish(moved, travelling=True)
