"""The phases of a network: the stretches of beta between macroscopic transitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from spinodal.branches.branch import Branch
from spinodal.counts import Counts
from spinodal.curvature.result import CurvatureChange, Way, found_changes
from spinodal.curvature.survey import Survey
from spinodal.definitions import SAME_BETA, TRIVIAL
from spinodal.landscape.control_record import ControlRecord
from spinodal.minima.solver import sees_kinks
from spinodal.missing import Missing
from spinodal.observe.observation import PARTS
from spinodal.phases.answer import Answer, answer_down, answer_up
from spinodal.phases.certificates import Certificates
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.envelope import Violation
from spinodal.phases.existence import Existence
from spinodal.phases.limit import Limit
from spinodal.phases.low_end import LowEnd
from spinodal.phases.phase import Phase
from spinodal.phases.repeat import Repeat, Spread, spread_of
from spinodal.phases.softened import Softened
from spinodal.phases.spinodals import Spinodal
from spinodal.phases.step import Step, steps_through
from spinodal.phases.tree import Fall
from spinodal.shown import Drawn
from spinodal.sweeps.certificate import Stretch
from spinodal.sweeps.loop import Loop
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.tasks.models import Models
from spinodal.theory import ExactTransition
from spinodal.words.numbers import sample_step

UNFINISHED = "unfinished"  # the run status of what an interrupted run has so far


@dataclass(frozen=True, repr=False)
class Diagram(Drawn):
    """What a map found: phases and transitions along beta.

    Attributes
    ----------
    task : mapping
        Name and settings of the task.
    seed : int
    range : (low, high) in beta
    points : tuple of Point
        On the followed branches, in the order walked.
    transitions : tuple of Transition
        In the order met, minor ones included.
    exact : tuple of ExactTransition
        Closed forms, where they apply.
    spent : Counts
    seconds : float
    solver, run_status : str
    run : mapping
        Of a run folder: the `settings` and the `provenance` that its journal recorded. Otherwise empty.
    models : Models or None
        What gives the models of the points back.
    back : Sweep or None
        The way back of a loop; `points` and `transitions` are those of the way up.
    back_phases : tuple of int
        The phases along the way back, in the order met.
    existence : mapping of phases to Existence
    beyond : mapping of phases to tuple of Point
        See `Phase`.
    branches : mapping of phases to Branch
        Through the fold in which the phase ends, and along the saddles behind it.
    spinodals : tuple of Spinodal
    coexistence : tuple of PhaseCoexistence
    tree : tuple of Fall
    violations : tuple of Violation
        In a loop: where a deeper phase must exist that was not found.
    curvature : Survey or None
        The curvature of E and of L at the followed points, where a map was asked for it.
    control : ControlRecord
        What is turned: the L2 penalty, with its centre and mask, unless another control was given.
    missing : tuple of Missing
        What was asked for and is not there, each with its cause; the rest stands.
    sharpness : float or None
        Of the smooth operations that took the place of kinks; None where E is as it was given.
    limits : tuple of Limit
        Where macroscopic transitions go as those become sharper, where a map was asked for it.
    repeats : tuple of Repeat
        The same walk from other starts, where a map was asked for it.
    started : mapping of phases to tuple of Point
        Phases that only random starts found, numbered after all others (see `with_started`).
    """

    task: Mapping[str, Any]
    seed: int
    range: tuple[float, float]
    points: tuple[Point, ...]
    transitions: tuple[Transition, ...]
    spent: Counts
    seconds: float
    solver: str
    run_status: str
    exact: tuple[ExactTransition, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    models: Models | None = field(default=None, compare=False, repr=False)
    back: Sweep | None = None
    back_phases: tuple[int, ...] = ()
    existence: Mapping[int, Existence] = field(default_factory=dict)
    beyond: Mapping[int, tuple[Point, ...]] = field(default_factory=dict)
    branches: Mapping[int, Branch] = field(default_factory=dict)
    spinodals: tuple[Spinodal, ...] = ()
    coexistence: tuple[PhaseCoexistence, ...] = ()
    tree: tuple[Fall, ...] = ()
    violations: tuple[Violation, ...] = ()
    curvature: Survey | None = None
    control: ControlRecord = field(default_factory=ControlRecord)
    missing: tuple[Missing, ...] = ()
    sharpness: float | None = None
    limits: tuple[Limit, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    started: Mapping[int, tuple[Point, ...]] = field(default_factory=dict)

    @property
    def change_points(self) -> tuple[CurvatureChange, ...]:
        """Return where the curvature along the ways changes most abruptly; none where it was not computed.

        They follow from R alone and are no transitions (see `spinodal.curvature.change_points`).
        """
        return () if self.curvature is None else found_changes(self.curvature, self.ways)

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the points of the first leg, and of the way back of a loop, each with its direction."""
        first = "up" if self.points[0].beta <= self.points[-1].beta else "down"
        return (self.points, first), *([(self.back.points, "down")] if self.back else [])

    @property
    def low_end(self) -> LowEnd:
        """Return what becomes of the phase at the lowest beta as beta goes to 0."""
        return LowEnd.of(self.phases[0].points)

    @property
    def softened(self) -> Softened | None:
        """Return how far the E that was mapped is from that of the network as given; None where it is that."""
        walked = (*self.points, *(self.back.points if self.back else ()))
        return None if self.sharpness is None else Softened.of(self.sharpness, walked, self.limits)

    @property
    def loop(self) -> Loop | None:
        """Return both ways of a loop, None if one was walked only."""
        if self.back is None:
            return None
        return Loop(Sweep(self.points, self.transitions, self.run_status), self.back)

    @property
    def certificates(self) -> Certificates:
        """Return the checks of all branches, and of the lower envelope of L."""
        return Certificates(max((branch.area.worst for branch in self.branches.values()), default=None), self.violations)

    @property
    def incomplete(self) -> tuple[Stretch, ...]:
        """Return where a macroscopic jump may have been passed over, and why; the way back of a loop follows the way up."""
        walks = [Sweep(self.points, self.transitions, self.run_status), *([self.back] if self.back else [])]
        return tuple(stretch for walk in walks for stretch in (*walk.certificate.incomplete, *self._unwalked(walk)))

    def _unwalked(self, walk: Sweep) -> tuple[Stretch, ...]:
        """Return the part of the range that a walk which ended early did not reach."""
        first, last = walk.points[0].beta, walk.points[-1].beta
        end = self.range[1] if last > first or first < self.range[1] else self.range[0]
        is_whole = walk.status == "complete" or abs(end - last) <= SAME_BETA * last
        return () if is_whole else (Stretch(min(last, end), max(last, end), walk.status),)

    @property
    def macroscopic(self) -> tuple[Transition, ...]:
        """Return the transitions that separate phases."""
        return tuple(transition for transition in self.transitions if not transition.minor)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases by rising beta, then those that only the way back met, and those that only starts found."""
        stretches = stretches_of(self.points, self.transitions)
        upward = self.range[0] == self.points[0].beta or self.points[0].beta <= self.points[-1].beta
        ordered = list(stretches) if upward else [stretch[::-1] for stretch in reversed(stretches)]
        last = len(ordered) - 1
        first = [(stretch, _next_phase(index, last, upward)) for index, stretch in enumerate(ordered)]
        walked = (
            Phase(index, stretch, falls_to, self.existence.get(index), self.beyond.get(index, ()), self.branches.get(index))
            for index, (stretch, falls_to) in enumerate([*first, *self._met_on_the_way_back(len(first))])
        )
        return (*walked, *(Phase(index, points, None) for index, points in self.started.items()))

    def _met_on_the_way_back(self, known: int) -> list[tuple[tuple[Point, ...], int | None]]:
        """Return points, by rising beta, and next phase of the phases that only the way back met."""
        if self.back is None:
            return []
        following = (*self.back_phases[1:], None)
        walked = zip(self.back_phases, self.back.stretches, following, strict=True)
        return [(stretch[::-1], after) for phase, stretch, after in walked if phase >= known]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Return the macroscopic transitions of the first leg by rising beta, with the phases on both sides."""
        return steps_through(self.transitions, self.phases, self._home)

    @cached_property
    def steps_back(self) -> tuple[Step, ...]:
        """Return those of the way back of a loop by rising beta."""
        return steps_through(self.back.transitions, self.phases, self._home) if self.back else ()

    def step_of(self, transition: Transition) -> Step | None:
        """Return a macroscopic transition with the phases on both sides; None for a minor one, or one of another map."""
        return next((step for step in (*self.steps, *self.steps_back) if step.transition is transition), None)

    def spread_of(self, transition: Transition) -> Spread | None:
        """Return where the repeats of this map met one of its macroscopic transitions; None without repeats."""
        if not self.repeats or transition.minor:
            return None
        return spread_of(transition, self.macroscopic, self.repeats)

    def lost_classes(self, transition: Transition) -> tuple[int, ...] | None:
        """Return the classes that live before a macroscopic transition and not after; None without classes."""
        step = self.step_of(transition)
        if step is None or step.classes is None:
            return None
        _, lost, _ = step.along
        return lost

    @cached_property
    def conclusion(self) -> Answer:
        """Return the end of the followed phase, the first loss and the first class to go: what every text reads."""
        down = self.points[0].beta > self.points[-1].beta
        steps, of = self.steps, None if self.control.is_l2 else self.control.name
        found = answer_down(self.followed[-1], steps) if down else answer_up(self.phases[0], steps, self.coexistence)
        return replace(found, of=of)

    @cached_property
    def followed(self) -> tuple[Phase, ...]:
        """Return the phases of the first leg, by rising beta."""
        walked = {point.index for point in self.points}
        return tuple(phase for phase in self.phases if phase.points[0].index in walked)

    @cached_property
    def _home(self) -> dict[int, int]:
        """Return the id of the phase of every point of the walks, by its number; the first leg decides."""
        home: dict[int, int] = {}
        if self.back is not None:
            back = zip(self.back_phases, self.back.stretches, strict=True)
            home = {known.index: phase for phase, stretch in back for known in stretch}
        return home | {known.index: phase.id for phase in self.phases for known in phase.points}

    @property
    def all_transitions(self) -> tuple[Transition, ...]:
        """Return the transitions of the first leg, then those of the way back of a loop."""
        return self.transitions + (self.back.transitions if self.back else ())

    @property
    def ends(self) -> tuple[Point, Point]:
        """Return the points at the lowest and at the highest beta that were followed."""
        return min(self.points, key=lambda point: point.beta), max(self.points, key=lambda point: point.beta)

    @property
    def has_matrices(self) -> bool:
        """Tell whether the model has weight matrices; without them its rank of 0 says nothing."""
        return bool(self.points[0].observation.ranks)

    @property
    def sees_kinks(self) -> bool:
        """Tell whether the solver sees kinks (second-order transitions); a first-order one sees jumps only."""
        return sees_kinks(self.solver)

    @property
    def is_smooth(self) -> bool:
        """Tell whether nothing was met at all, minor transitions and changes of the rank included."""
        return self.sees_kinks and not self.transitions and len({point.observation.rank for point in self.points}) == 1

    @property
    def is_trivial(self) -> bool:
        """Tell whether a matrix of the model is empty and its outputs do not vary, at every point.

        An empty matrix alone does not tell: where another way leads around it, the model has learnt all the same.
        """
        views = [(point.observation, point.error) for point in self.points]
        return self.has_matrices and all(
            view.rank == 0 and view.liveliness is not None and view.liveliness < TRIVIAL * abs(error) for view, error in views
        )

    @cached_property
    def sample_steps(self) -> Mapping[str, float | None]:
        """Return by how much one sample moves the accuracy on "train" and on "held_out" (see `sample_step`)."""
        walked = (*self.points, *(self.back.points if self.back else ()))
        return {part: sample_step(point.observation.accuracy[part] for point in walked) for part in PARTS}


def stretches_of(points: Sequence[Point], transitions: Iterable[Transition]) -> tuple[tuple[Point, ...], ...]:
    """Return the points of a walk from one macroscopic transition to the next, in the order walked."""
    return Sweep(tuple(points), tuple(transitions), "").stretches


def _next_phase(index: int, last: int, upward: bool) -> int | None:
    if upward:
        return index + 1 if index < last else None
    return index - 1 if index > 0 else None
