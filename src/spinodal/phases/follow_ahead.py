"""Branches of phases that workers follow ahead: each by itself, and then where pairs of them are equally deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from spinodal.branches import Branch
from spinodal.minima.glimpse import affords_glimpses_only
from spinodal.missing import Attempts
from spinodal.parallel import Crew
from spinodal.phases.branch_following import BACK, BranchFollower, Followable, Followed, wanted_of
from spinodal.phases.depth_following import DepthFollower
from spinodal.phases.existence import Interval
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.walk import Walker

Note = dict[str, Any]


@dataclass(frozen=True)
class Following:
    """One phase to be followed as a branch, or a pair to be compared.

    Attributes
    ----------
    phases : tuple of Followable
        One, or two that may be equally deep.
    live : mapping of phases to Branch
        Those of them that were followed, with their theta.
    beta, norm_range
        See `BranchFollower`.
    """

    phases: tuple[Followable, ...]
    live: Mapping[int, Branch]
    beta: Interval
    norm_range: float


class SharedFollower(BranchFollower):
    """A `BranchFollower` whose branches are followed by workers first.

    Parameters
    ----------
    crew : Crew
    walker, beta, norm_range, attempts
        See `BranchFollower`.
    live : mapping of phases to Branch, optional
        Those that were followed.
    """

    def __init__(
        self,
        crew: Crew[Problem],
        walker: Walker,
        *,
        beta: Interval,
        norm_range: float,
        attempts: Attempts,
        live: Mapping[int, Branch] | None = None,
    ) -> None:
        super().__init__(walker, beta=beta, norm_range=norm_range, attempts=attempts)
        self.crew = crew
        self._live.update(live or {})

    def follow(self, phases: Sequence[Followable]) -> Followed:
        """Follow the phases that may end in a fold, and those that they fall into."""
        if not self.crew.is_alone:
            known = {phase.id: phase for phase in phases}
            self._branches_ahead([known[number] for number in wanted_of(phases)])
            pairs = [(phase, phase.falls_to) for phase in phases if phase.is_worth_following]
            self._depths_ahead([(phase, known[to]) for phase, to in pairs if to is not None])
        return super().follow(phases)

    def noted_branch(self, phase: Followable) -> tuple[Note, Branch | None]:
        """Follow a phase as a branch; return its note, and the branch with its theta."""
        return self.walker.noted(branch_note(phase.id), partial(self._recorded, phase)), self._live.get(phase.id)

    def noted_depth(self, phase: Followable, other: Followable) -> Note:
        """Find where two phases that were followed are equally deep; return the note."""
        return self.walker.noted(depth_note(phase.id, other.id), partial(self._equal, phase, other, followed=True))

    def _branches_ahead(self, phases: Sequence[Followable]) -> None:
        unknown = [phase for phase in phases if not self.walker.recorder.knows(branch_note(phase.id))]
        for place, (note, branch) in self.crew.results(followed, [self._job(phase) for phase in unknown]):
            self._keep(branch_note(unknown[place].id), note)
            if branch is not None:
                self._live[unknown[place].id] = branch

    def _depths_ahead(self, pairs: Sequence[tuple[Followable, Followable]]) -> None:
        """Compare the pairs of which both were followed here: with their theta, as they would be compared later."""
        both = [(a, b) for a, b in pairs if a.id in self._live and b.id in self._live]
        wanted = [(a, b) for a, b in both if not self.walker.recorder.knows(depth_note(a.id, b.id))]
        for place, note in self.crew.results(compared, [self._job(*pair) for pair in wanted]):
            a, b = wanted[place]
            self._keep(depth_note(a.id, b.id), note)

    def _keep(self, name: str, note: Note) -> None:
        self.walker.recorder.note(name, lambda: note)

    def _job(self, *phases: Followable) -> Following:
        live = {phase.id: self._live[phase.id] for phase in phases if phase.id in self._live}
        return Following(tuple(map(_ends_of, phases)), live, (self.low, self.high), self.norm_range)


def follower_of(
    crew: Crew[Problem], walker: Walker, *, beta: Interval, criteria: Criteria, attempts: Attempts
) -> SharedFollower | DepthFollower:
    """Return what follows the phases of a walk: as branches where the network is small enough."""
    if affords_glimpses_only(walker.landscape):
        return DepthFollower(walker, criteria=criteria, attempts=attempts)
    return SharedFollower(crew, walker, beta=beta, norm_range=criteria.norm_range, attempts=attempts)


def followed(problem: Problem, job: Following) -> tuple[Note, Branch | None]:
    """Follow a phase as a branch, in a worker."""
    (phase,) = job.phases
    return _follower(problem, job).noted_branch(phase)


def compared(problem: Problem, job: Following) -> Note:
    """Find where two phases are equally deep, in a worker."""
    phase, other = job.phases
    return _follower(problem, job).noted_depth(phase, other)


def _follower(problem: Problem, job: Following) -> SharedFollower:
    return SharedFollower(
        Crew(), problem.walker(),
        beta=job.beta, norm_range=job.norm_range, attempts=Attempts(problem.owner), live=job.live,
    )  # fmt: skip


def _ends_of(phase: Followable) -> Followable:
    """Return a phase with the points alone that its branch may begin at."""
    return replace(phase, points=(phase.points[0], *phase.points[-BACK:]))


def branch_note(phase: int) -> str:
    """Return the name of what is noted of a branch."""
    return f"branch of phase {phase}"


def depth_note(phase: int, other: int) -> str:
    """Return the name of what is noted of where two phases are equally deep."""
    return f"coexistence of phases {phase} and {other}"
