"""Joins the two ways of a loop: each phase is followed to both of its ends, and phases that are the same are found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from spinodal.definitions import (
    ADJACENT,
    EQUALLY_DEEP,
    FURTHER,
    SMALLEST,
)
from spinodal.missing import Attempts
from spinodal.parallel import Crew
from spinodal.phases.branch_following import Followable, Followed, borders, bracketed, saddle_between
from spinodal.phases.catalogue import Allowance, Catalogue, Fingerprint
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.descents import (
    Descent,
    descended,
    descent_of,
    is_macroscopic,
    is_stiff,
    targets_below,
    walk_down,
)
from spinodal.phases.envelope import Part, Violation, envelope, violations
from spinodal.phases.equal_depth import equally_deep
from spinodal.phases.existence import Existence, Interval, divided
from spinodal.phases.follow_ahead import follower_of
from spinodal.phases.joined import Joined
from spinodal.phases.known_phase import KnownPhase
from spinodal.phases.loss_curve import LossCurve
from spinodal.phases.own_part import OwnPart
from spinodal.phases.spinodals import Spinodal
from spinodal.phases.tree import Fall, falls_along
from spinodal.sweeps.ahead import record_ahead
from spinodal.sweeps.gap import gap
from spinodal.sweeps.moved import moved
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Forgetful
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import NAMES, Transition
from spinodal.sweeps.walk import Walker


class Joiner:
    """Completes a loop.

    Every point that it needs goes through the walker, so that an interrupted loop can be resumed.

    Parameters
    ----------
    walker : Walker
    scout : callable -> Scout
        Makes a scout for one walk.
    up, back : Sweep
        The two ways.
    ranges : (low, high)
        Of beta.
    error_range, norm_range : float
        What "macroscopic" refers to.
    attempts : Attempts
        Branches, and what is told about the phases once they are matched, are parts that may be missing.
    crew : Crew
        Follows phases, and their branches, ahead.
    """

    def __init__(
        self,
        walker: Walker,
        scout: Callable[[], Scout],
        up: Sweep,
        back: Sweep,
        *,
        beta: Interval,
        error_range: float,
        norm_range: float,
        attempts: Attempts,
        crew: Crew[Problem],
    ) -> None:
        self.attempts, self.crew = attempts, crew
        self.walker, self.scout, self.up, self.back = walker, scout, up, back
        self.low, self.high = beta
        self.error_range, self.norm_range = error_range, norm_range
        self.catalogue = Catalogue(Allowance.of_phases(error_range, norm_range))
        criteria = replace(scout().criteria, error_range=error_range, norm_range=norm_range)
        self.follower = follower_of(crew, walker, beta=beta, criteria=criteria, attempts=attempts)
        self.phases: list[KnownPhase] = []
        self.falls: list[Fall] = []

    def join(self) -> Joined:
        """Follow, match and describe all phases."""
        self._take_up()
        followed = self._branches()
        back_phases = self._take_back()
        self._record_only_if(followed.is_whole)
        for phase in self.phases:
            with self.attempts.part(f"what phase {phase.id} falls into"):
                self._note_falls(phase)
        self._record_only_if(self.attempts.are_final)
        curves = [LossCurve.through(phase.id, self._within(phase)) for phase in self.phases]
        coexistence = (*followed.coexistence, *self._met(curves, followed))
        parts = envelope(curves, borders(coexistence))
        return Joined(
            transitions=followed.polished(self.up.transitions),
            branches=followed.branches,
            coexistence=tuple(sorted(coexistence, key=lambda item: item.beta)),
            spinodals=tuple(spinodal for phase in self.phases for spinodal in _spinodals(phase, followed)),
            tree=tuple(self.falls),
            back=self.back,
            back_phases=back_phases,
            existence=dict(self._existences(parts, followed)),
            beyond={phase.id: tuple(sorted(phase.beyond, key=lambda p: p.beta)) for phase in self.phases if phase.beyond},
            violations=self._violations(curves, parts),
        )

    def _record_only_if(self, whole: bool) -> None:
        """Record no more points where something failed: those of an undisturbed map, which a resumed one makes, may be others.

        No point that is asked for from here on is part of the diagram.
        """
        if not whole:
            self.walker.recorder = Forgetful()

    def _met(self, curves: Sequence[LossCurve], followed: Followed) -> list[PhaseCoexistence]:
        with self.attempts.part("where phases are equally deep"):
            return list(self._meetings(envelope(curves), followed))
        return []

    def _violations(self, curves: Sequence[LossCurve], parts: Sequence[Part]) -> tuple[Violation, ...]:
        with self.attempts.part("the check of the lower envelope"):
            return violations(curves, parts, error_range=self.error_range, norm_range=self.norm_range)
        return ()

    def _existences(self, parts: Sequence[Part], followed: Followed) -> Iterator[tuple[int, Existence]]:
        for phase in filter(lambda phase: phase.is_of_minima, self.phases):
            with self.attempts.part(f"the range of existence of phase {phase.id}"):
                yield phase.id, self._existence(phase, parts, followed)

    def _branches(self) -> Followed:
        """Follow the phases of the way up as branches, and take the transitions that these explain in their place."""
        last = len(self.phases) - 1
        followed = self.follower.follow([
            Followable(phase.id, self.up.smooth_end(phase.walked), phase.upper, phase.id + 1 if phase.id < last else None)
            for phase in self.phases
        ])  # fmt: skip
        for phase in self.phases:
            phase.upper = followed.uppers.get(phase.id, phase.upper)
        self.falls += falls_along([phase.id for phase in self.phases], followed.polished(self.up.transitions))
        return followed

    # -- following --------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Take the phases of the way up, and follow each down from where it began."""
        ends = macroscopic(self.up.transitions)
        for stretch, upper in zip(self.up.stretches, [*ends, None], strict=True):
            self._enter(stretch, upper)
        self._descend_ahead()
        for phase, begun in zip(self.phases[:-1], [None, *ends], strict=False):
            self._descend(phase, phase.walked[0], begun)
        self._take_down(self.phases[-1], ends[-1] if ends else None)

    def _take_down(self, last: KnownPhase, begun: Transition | None) -> None:
        """Take the way back as far as it goes down along the last phase of the way up, and follow that phase further."""
        way, begin = self.back.stretches[0], last.walked[0]
        points = [begin, *(point for point in way if point.beta < begin.beta)]
        last.lower = self._take(last, points, self.back.transitions, begun)
        if last.lower is None:
            self._descend_behind(last, way[-1])

    def _take_back(self) -> tuple[int, ...]:
        """Take the phases of the way back, known ones or new; return their ids, in the order met."""
        ends, ids = [*macroscopic(self.back.transitions), None], [self.phases[-1].id]
        for stretch, lower in list(zip(self.back.stretches, ends, strict=True))[1:]:
            known = self._same(stretch)
            if known is None:
                known = self._enter(stretch[::-1], None)
                self._ascend(self.phases[known])
                self.phases[known].lower = lower
                if lower is None:
                    self._descend_behind(self.phases[known], stretch[-1])
            ids.append(known)
        self.falls += falls_along(ids, self.back.transitions)
        return tuple(ids)

    def _enter(self, walked: tuple[Point, ...], upper: Transition | None) -> int:
        """Take a new phase and return its id."""
        phase = KnownPhase(len(self.phases), walked, self.catalogue.begin(Fingerprint.of(walked[0])), upper=upper)
        self.phases.append(phase)
        return phase.id

    def _descend_behind(self, phase: KnownPhase, last: Point) -> None:
        """Follow a phase further down from where the way back came to its end."""
        if self.back.status == "complete":
            self._descend(phase, last)
        else:
            phase.halted = self.back.status

    def _descend_ahead(self) -> None:
        """Let workers follow the phases of the way up, and the last one from where the way back left it, if it never fell."""
        begun = [(phase.id, phase.walked[0]) for phase in self.phases[:-1]]
        if len(self.back.stretches) == 1 and self.back.status == "complete":
            begun.append((self.phases[-1].id, self.back.stretches[0][-1]))
        scout = self.scout()
        descents = [
            Descent(phase, self.walker.lineage(point), self.low, scout.criteria, scout.resolution) for phase, point in begun
        ]
        record_ahead(self.crew, self.walker.recorder, descended, descents)

    def _descend(self, phase: KnownPhase, point: Point, begun: Transition | None = None) -> None:
        """Follow a phase down to its end or to the lowest beta of the map, and from there on as long as it is stiff.

        `begun` is the transition in which it began on the way up.
        """
        for target in targets_below(point, self.low, self.walker):
            with self.walker.within(descent_of(phase.id)):
                sweep = walk_down(self.scout(), point, target, self.low)
            phase.lower = self._take_walk(phase, sweep, begun)
            if phase.lower is not None or sweep.status != "complete":
                phase.halted = "" if phase.lower is not None else sweep.status
                return
            point = sweep.points[-1]

    def _ascend(self, phase: KnownPhase) -> None:
        """Follow a phase that only the way back met up to its end, or to that of the map."""
        sweep = self.scout().walk(phase.walked[-1], self.high, until=is_macroscopic)
        phase.upper = self._take_walk(phase, sweep)

    def _take_walk(self, phase: KnownPhase, walk: Sweep, begun: Transition | None = None) -> Transition | None:
        """Take from a walk along a phase to its first macroscopic transition, and return the one in which the phase ends."""
        ends = macroscopic(walk.transitions)
        return self._take(phase, walk.points[:-1] if ends else walk.points, walk.transitions, begun)

    def _take(
        self, phase: KnownPhase, points: Sequence[Point], met: Sequence[Transition], begun: Transition | None
    ) -> Transition | None:
        """Take the points of a walk that lie on a phase, and return the transition in which the phase ends."""

        def is_elsewhere(point: Point) -> bool:
            return any(self._are_one(other, point) for other in self.phases if other is not phase)

        own = OwnPart.of(points, met, is_elsewhere, begun=begun, norm_range=self.norm_range)
        phase.beyond += own.points
        return own.end

    # -- equal depth ------------------------------------------------------------------------

    def _meetings(self, parts: Sequence[Part], followed: Followed) -> Iterator[PhaseCoexistence]:
        """Yield where neighbours on the lower envelope are equally deep, for pairs that the branches do not know it of."""
        for a, b in pairwise(parts):
            first, second = self.phases[a.phase], self.phases[b.phase]
            if (
                frozenset((first.id, second.id)) in followed.borders
                or min(first.depth(a.high), second.depth(a.high)) <= ADJACENT
            ):
                continue  # a second-order transition, where one ends as the other begins, is no coexistence
            ranges = {"error_range": self.error_range, "norm_range": self.norm_range}
            if (found := equally_deep(self.walker, first, second, a.high, **ranges)) is not None:
                branch = followed.branches.get(first.id)
                yield found.over(saddle_between(branch, found.beta)) if branch else found

    # -- matching ---------------------------------------------------------------------------

    def _same(self, stretch: Sequence[Point]) -> int | None:
        """Return the known phase that a stretch belongs to, compared where it lies deepest inside what is known of it."""
        candidates = [(max((phase.depth(p.beta), p.index) for p in stretch), phase) for phase in self.phases]
        chosen = {point.index: point for point in stretch}
        for (depth, index), phase in sorted(candidates, key=lambda item: item[0], reverse=True):
            if depth >= 0.0 and self._agrees(phase, chosen[index]):
                return phase.id
        return None

    def _home(self, point: Point, *, but: KnownPhase) -> int | None:
        """Return the phase, other than the one that fell, that a point behind a transition belongs to."""
        near = [phase for phase in self.phases if phase is not but and phase.depth(point.beta) >= -ADJACENT]
        for phase in sorted(near, key=lambda phase: -phase.depth(point.beta)):
            if self._agrees(phase, point):
                return phase.id
        return None

    def _agrees(self, phase: KnownPhase, point: Point) -> bool:
        """Tell whether a phase, followed from its nearest point to the beta of another one, is that point."""
        near = phase.nearest(point.beta)
        there = moved(self.walker, near, point.beta)
        if there is not near and self.scout().criteria.may_have_jumped(gap(near, there), believe_loss=False):
            return False
        self.catalogue.add(Fingerprint.of(there), continues=phase.entry)
        return self.catalogue.find(Fingerprint.of(point)) == phase.entry

    def _are_one(self, phase: KnownPhase, point: Point) -> bool:
        """Tell whether a point is, up to symmetry and the errors of both, that of a phase at its beta.

        The phase is followed there from both sides, since from close to its end the way may lead off it.
        """
        if phase.depth(point.beta) < 0.0:
            return False
        beside = LossCurve.through(phase.id, phase.points).loss(point.beta)
        if abs(beside - point.minimum.loss) > EQUALLY_DEEP * self.error_range:
            return False
        ways = (moved(self.walker, near, point.beta) for near in phase.beside(point.beta))
        return any(Fingerprint.of(there).is_one_with(Fingerprint.of(point)) for there in ways)

    def _within(self, phase: KnownPhase) -> list[Point]:
        """Return the points of a phase in the range of the map, where every phase was followed to its ends."""
        return [point for point in phase.points if self.low <= point.beta <= self.high]

    # -- describing -------------------------------------------------------------------------

    def _note_falls(self, phase: KnownPhase) -> None:
        """Note what a phase falls into where that was met beside the loop."""
        noted = {(fall.phase, fall.direction) for fall in self.falls}
        for direction, end in (("up", phase.upper), ("down", phase.lower)):
            if end is not None and (phase.id, direction) not in noted:
                self.falls.append(Fall(phase.id, self._home(end.after, but=phase), end.beta, direction))

    def _existence(self, phase: KnownPhase, parts: Sequence[Part], followed: Followed) -> Existence:
        low, lower_reason = self._lower_end(phase)
        high = phase.upper.beta if phase.upper else phase.range[1]
        low, high = followed.end(phase.id, "lower", low), followed.end(phase.id, "upper", high)
        stable = [(part.low, part.high) for part in parts if part.phase == phase.id]
        return Existence(
            (low, high),
            lower_reason,
            self._upper_reason(phase),
            *divided((low, high), stable, known=(max(phase.range[0], self.low), phase.range[1])),
        )

    def _upper_reason(self, phase: KnownPhase) -> str:
        if phase.upper is None:
            return f"not seen to end up to beta = {phase.range[1]:.6g}"
        return self._fall_reason(phase, phase.upper, "up")

    def _lower_end(self, phase: KnownPhase) -> tuple[float, str]:
        """Return the lowest beta of a phase, 0 where it stays a minimum for every beta > 0, and the reason."""
        if phase.lower is not None:
            return phase.lower.beta, self._fall_reason(phase, phase.lower, "down")
        last = phase.nearest(phase.range[0])
        further = [point for point in phase.points if point.beta <= self.low]
        if last.beta <= SMALLEST * FURTHER * self.low and all(map(is_stiff, further)):
            return 0.0, (
                f"a minimum for every beta > 0: followed down to {last.beta:.3g}, where the smallest eigenvalue of Hess L is "
                f"{last.minimum.margin / (2.0 * last.beta):.3g} times 2 beta{self._certainty()}, "
                "so that of Hess E is not negative in the limit"
            )
        text = f"not seen to end down to beta = {last.beta:.6g}"
        if phase.halted:
            return last.beta, f"{text}, where the search {phase.halted}"
        if not self.walker.control.is_quadratic:
            return last.beta, text
        soft = last.minimum.margin / (2.0 * last.beta)
        return last.beta, f"{text}, where it is too soft to tell: the smallest eigenvalue of Hess L is {soft:.2g} times 2 beta"

    def _certainty(self) -> str:
        return "" if self.walker.solver.sees_kinks else " (estimated by a few Lanczos steps)"

    def _fall_reason(self, phase: KnownPhase, end: Transition, direction: str) -> str:
        known = (fall.falls_to for fall in self.falls if (fall.phase, fall.direction) == (phase.id, direction))
        to = next(known, None)
        name = end.kind if end.order in NAMES else f"{end.kind},"
        where = "a minimum that is none of these phases" if to is None else f"phase {to}"
        verb = "joins" if end.order == "second" else "falls into"
        return f"{name} on the way {direction}: it {verb} {where}"


def _spinodals(phase: KnownPhase, followed: Followed) -> Iterator[Spinodal]:
    """Yield the ends of a phase at which it ceases to be a minimum with a jump, polished or as walks bracketed them."""
    for side, end in (("lower", phase.lower), ("upper", phase.upper)):
        if end is not None and end.order != "second":
            polished = [item for item in followed.spinodals if (item.phase, item.side) == (phase.id, side)]
            yield from polished or [bracketed(end, phase.id, side)]


def macroscopic(transitions: Sequence[Transition]) -> list[Transition]:
    """Return the transitions that separate phases."""
    return [transition for transition in transitions if not transition.minor]
