"""Follows the phases of a map as branches: through the folds in which they end, to where they are equally deep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from spinodal.branches import Branch, coexistence, continue_branch
from spinodal.branches.move import Mover
from spinodal.branches.special import STATUSES, BranchPoint, Fold
from spinodal.codec import plain
from spinodal.definitions import CONTINUOUS, END_EXPLAINED, END_KNOWN, NEAR_BETA
from spinodal.missing import Attempts, outcome_of
from spinodal.phases.branch_record import read_branch
from spinodal.phases.coexistence import PhaseCoexistence, Saddle
from spinodal.phases.existence import Interval
from spinodal.phases.spinodals import Spinodal, SpinodalCertificate
from spinodal.spectrum.operator import affords_dense
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker

BEYOND = 1.1  # how far above the transition in which a phase ends, as a factor, its branch is followed
BACK = 3  # points before the end of a phase at which a large network's branch begins
POINTS = 500  # most points of a branch


@dataclass(frozen=True)
class Followable:
    """A phase as far as walks know it.

    Attributes
    ----------
    id : int
    points : sequence of Point
        Of its last smooth stretch, behind all minor transitions; by rising beta.
    upper : Transition or None
        In which it ends on the way up.
    falls_to : int or None
    """

    id: int
    points: Sequence[Point]
    upper: Transition | None
    falls_to: int | None

    @property
    def is_worth_following(self) -> bool:
        """Tell whether its end may be a fold."""
        return self.upper is not None and self.upper.order != "second"


@dataclass(frozen=True)
class Followed:
    """What the branches tell.

    Attributes
    ----------
    branches : mapping of phases to Branch
    uppers : mapping of phases to Transition
        In which they end, polished and with the order that the branch shows.
    spinodals : tuple of Spinodal
        With certificates.
    coexistence : tuple of PhaseCoexistence
    is_whole : bool
        Whether it is what `--resume` reproduces: nothing failed but what cannot be done.
    """

    branches: Mapping[int, Branch]
    uppers: Mapping[int, Transition]
    spinodals: tuple[Spinodal, ...]
    coexistence: tuple[PhaseCoexistence, ...]
    is_whole: bool = True

    @property
    def borders(self) -> Mapping[frozenset[int], Sequence[float]]:
        """Return the coexistence points by pairs of phases."""
        return borders(self.coexistence)

    def end(self, phase: int, side: str, walked: float) -> float:
        """Return beta of the polished end of a phase, or where a walk found it; it may be further than a branch knows."""
        polished = [item.beta for item in self.spinodals if (item.phase, item.side) == (phase, side)]
        return next((beta for beta in polished if abs(beta / walked - 1.0) <= END_KNOWN), walked) if walked else walked

    def polished(self, transitions: Sequence[Transition]) -> tuple[Transition, ...]:
        """Return transitions with those that a branch explains in their place."""
        better = {(item.before.index, item.after.index): item for item in self.uppers.values()}
        return tuple(better.get((item.before.index, item.after.index), item) for item in transitions)


class BranchFollower:
    """Follows phases as branches; every branch is one note of the recorder, made again only where its theta is needed.

    Parameters
    ----------
    walker : Walker
        Its recorder keeps the notes, and what branches cost is added to what it spent.
    beta : (low, high)
        The range to follow them in.
    norm_range : float
        What a jump of `||theta||^2` is relative to.
    attempts : Attempts
        Every branch and every coexistence point is a part of its own. What cannot be done is recorded as such; any
        other failure is not recorded, so that it can be tried again.
    """

    def __init__(self, walker: Walker, *, beta: Interval, norm_range: float, attempts: Attempts) -> None:
        self.walker, self.landscape, self.control = walker, walker.landscape, walker.control
        self.low, self.high = beta
        self.norm_range, self.attempts = norm_range, attempts
        self._live: dict[int, Branch] = {}
        self._large = not affords_dense(self.landscape)
        self._back = BACK if self._large else 1

    def follow(self, phases: Sequence[Followable]) -> Followed:
        """Follow the phases that may end in a fold, and those that they fall into.

        Phases come by their ids, from 0.
        """
        known = {phase.id: phase for phase in phases}
        ending = [phase for phase in phases if phase.is_worth_following]
        found = [(number, self._attempted(known[number])) for number in wanted_of(phases)]
        branches = {number: branch for number, branch in found if branch is not None}
        uppers = dict(self._uppers(known, branches))
        spinodals = [item for number in branches for item in self._ends(number, branches[number], uppers.get(number))]
        coexistence = [item for phase in ending for item in self._coexistence(phase, known, branches)]
        return Followed(branches, uppers, tuple(spinodals), tuple(coexistence), self.attempts.are_final)

    def _attempted(self, phase: Followable) -> Branch | None:
        """Return the branch of a phase, None where it is missing."""
        what = f"the branch of phase {phase.id}"
        with self.attempts.part(what):
            note = self.walker.noted(f"branch of phase {phase.id}", partial(self._recorded, phase))
            if note["branch"] is not None:
                return self._live.get(phase.id) or read_branch(note["branch"])
            self.attempts.lack(what, note["failed"], final=True)
        return None

    def _uppers(self, known: Mapping[int, Followable], branches: Mapping[int, Branch]) -> Iterator[tuple[int, Transition]]:
        """Yield the transitions in which phases with a branch end, as the branch shows them.

        A phase that is followed only since another one falls into it may itself end in a second-order transition; its
        branch then tells the branch point.
        """
        for number, branch in branches.items():
            upper = known[number].upper
            if upper is not None:
                with self.attempts.part(f"the upper end of the branch of phase {number}"):
                    yield number, explained(upper, branch, self.norm_range)

    # -- branches ---------------------------------------------------------------------------

    def _recorded(self, phase: Followable) -> dict[str, Any]:
        branch, failed = outcome_of(lambda: plain(self._branch(phase)), self.attempts.owner)
        return {"branch": branch, "failed": failed}

    def _branch(self, phase: Followable) -> Branch:
        """Return the branch of a phase: its stable part from below, through its upper end, and what follows there.

        It begins at the last point before that end, since soft modes may have changed the branch further below;
        without dense Hessians a few points before, since minima close to the end are not exact.
        """
        if phase.id not in self._live:
            start = phase.points[0] if phase.upper is None else phase.points[-self._back :][0]
            top = self.high if phase.upper is None else BEYOND * phase.upper.bracket[1]
            up = self._continued(start, to=max(top, start.beta * BEYOND), through_folds=phase.upper is not None)
            if start.beta > self.low * (1.0 + NEAR_BETA):
                down = stable_part(self._continued(start, to=self.low, through_folds=False))
                up = down.at_places(range(len(down.points))[::-1]).followed_by(up)
            self._live[phase.id] = up
        return self._live[phase.id]

    def _with_parameters(self, phase: Followable) -> Branch:
        """Return a branch with its theta, made again, uncounted, where it was recalled."""
        with self.landscape.uncounted():
            return self._branch(phase)

    def _continued(self, start: Point, *, to: float, through_folds: bool) -> Branch:
        bounds = (min(self.low, start.beta, to), max(start.beta, to))
        return continue_branch(
            self.landscape,
            start.minimum,
            to=to,
            bounds=bounds,
            through_folds=through_folds,
            control=self.control,
            points=POINTS,
        )

    # -- what they tell ---------------------------------------------------------------------

    def _ends(self, number: int, branch: Branch, upper: Transition | None) -> Iterator[Spinodal]:
        """Yield the polished ends of a phase."""
        with self.attempts.part(f"the spinodals of phase {number}"):
            first = branch.folds[0] if branch.folds and branch.folds[0].place == 0 else None
            if first is not None and first.is_spinodal:
                yield _spinodal(first, number, "lower")
            special = None if upper is None else special_point(upper, branch)
            if upper is not None and special is not None and upper.order != "second":
                yield _spinodal(special, number, "upper")

    def _coexistence(
        self, phase: Followable, known: Mapping[int, Followable], branches: Mapping[int, Branch]
    ) -> Iterator[PhaseCoexistence]:
        """Yield where a phase is as deep as the one that it falls into, if that is known."""
        to = phase.falls_to
        if to is None or phase.id not in branches:
            return
        name = f"coexistence of phases {phase.id} and {to}"
        if to not in branches and not self.attempts.are_final:
            return self.attempts.lack(f"the {name}", f"it needs the branch of phase {to}")
        with self.attempts.part(f"the {name}"):
            note = self.walker.noted(name, partial(self._equal, phase, known[to], followed=to in branches))
            if note.get("failed") is not None:
                self.attempts.lack(f"the {name}", note["failed"], final=True)
            if note["found"] is not None:
                yield PhaseCoexistence.from_dict(note["found"])

    def _equal(self, phase: Followable, other: Followable, *, followed: bool) -> dict[str, Any]:
        """Find where two phases are equally deep; the second may have no branch."""
        record, failed = outcome_of(partial(self._equally_deep, phase, other, followed=followed), self.attempts.owner)
        note = {"found": None if record is None else record.to_dict()}
        return note if failed is None else note | {"failed": failed}

    def _equally_deep(self, phase: Followable, other: Followable, *, followed: bool) -> PhaseCoexistence | None:
        branch = self._with_parameters(phase)
        first = other.points[0]
        below = first_minima(self._with_parameters(other)) if followed else first.minimum
        solve = Mover(self.landscape, self.control, solver=self.walker.solver.name) if self._large else None
        found = coexistence(self.landscape, branch, below, control=self.control, solve=solve)
        if found is None:
            return None
        record = PhaseCoexistence.of(found, (phase.id, other.id))
        return record.over(saddle_between(branch, found.beta)) if self._large else record


def wanted_of(phases: Sequence[Followable]) -> list[int]:
    """Return the phases that are followed: those that may end in a fold, and those that they fall into."""
    ending = [phase for phase in phases if phase.is_worth_following]
    return sorted({phase.id for phase in ending} | {phase.falls_to for phase in ending if phase.falls_to is not None})


def stable_part(branch: Branch) -> Branch:
    """Return the first stretch of minima of a branch alone, with the special point at which it ends."""
    last = min((place for place in branch.special if place), default=len(branch.points) - 1)
    part = branch.at_places(range(last + 1))
    keep = branch.special.keys() & {last}
    return replace(
        part,
        folds=tuple(fold for fold in part.folds if fold.place in keep),
        branch_points=tuple(item for item in part.branch_points if item.place in keep),
        coexistence=(),
    )


def first_minima(branch: Branch) -> Branch:
    """Return the first stretch of minima of a branch, without special points."""
    part = next((part for part in branch.parts() if all(point.is_stable for point in part[1:-1])), branch.points)
    return replace(branch, points=part, folds=(), branch_points=(), coexistence=())


def saddle_between(branch: Branch, beta: float) -> Saddle | None:
    """Return the saddle of lowest L that a branch passes at beta, interpolated between its points.

    L is a cubic in beta there, whose slopes `||theta - centre||^2` are exact; E is what the penalty leaves of it.
    """
    passed = []
    for a, b in pairwise(branch.points):
        if not a.is_stable and not b.is_stable and (a.beta - beta) * (b.beta - beta) <= 0.0 and a.beta != b.beta:
            t, width, rise = (beta - a.beta) / (b.beta - a.beta), b.beta - a.beta, b.loss - a.loss
            bend = (1.0 - t) * (width * a.norm_squared - rise) - t * (width * b.norm_squared - rise)
            loss, norm_squared = a.loss + t * rise + t * (1.0 - t) * bend, (1.0 - t) * a.norm_squared + t * b.norm_squared
            passed.append(Saddle(loss - beta * norm_squared, loss, norm_squared, max(a.index, b.index)))
    return min(passed, key=lambda saddle: saddle.loss, default=None)


def special_point(transition: Transition, branch: Branch) -> Fold | BranchPoint | None:
    """Return the fold or branch point at which the phase before a transition ends, None if the branch has none there."""
    low, high = transition.bracket
    slack = high - low + END_EXPLAINED * high
    ends: list[Fold | BranchPoint] = [fold for fold in branch.folds if fold.is_spinodal and fold.side == "upper"]
    ends += [item for item in branch.branch_points if 0 in item.index]
    near = [item for item in ends if low - slack <= item.beta <= high + slack]
    return min(near, key=lambda item: abs(item.beta - transition.beta), default=None)


def explained(transition: Transition, branch: Branch, norm_range: float) -> Transition:
    """Return a transition with the place and the order that the branch of the phase before it shows.

    A fold makes it of first order; a branch point of second order where `||theta||^2` is continuous, else of first.
    """
    special = special_point(transition, branch)
    if special is None or special.status not in ("converged", "bracketed"):
        return transition
    continuous = transition.evidence.jump_norm_squared <= CONTINUOUS * norm_range
    order = "second" if isinstance(special, BranchPoint) and continuous else "first"
    low, high = transition.bracket
    kind = "branch point" if isinstance(special, BranchPoint) else "fold"
    return replace(
        transition,
        beta=min(max(special.beta, low), high),
        order=order,
        status=f"{transition.status}; {kind} of the branch at beta = {special.beta:.12g}",
    )


def _spinodal(special: Fold | BranchPoint, phase: int, side: str) -> Spinodal:
    certificate = SpinodalCertificate(special.point.residual, special.eigenvalue, special.overlap, STATUSES[special.status])
    return Spinodal(special.beta, phase, side, certificate)


def borders(found: Iterable[PhaseCoexistence]) -> dict[frozenset[int], tuple[float, ...]]:
    """Return coexistence points by pairs of phases."""
    return {frozenset(item.phases): (item.beta,) for item in found}


def bracketed(end: Transition, phase: int, side: str) -> Spinodal:
    """Return the spinodal in which a phase ends as a walk bracketed it."""
    low, high = end.bracket
    return Spinodal(end.beta, phase, side, reason=f"bracketed on the way {end.direction}: {low:.8g} to {high:.8g}")
