"""What a map adds to a finished walk: branches, the way back of a loop, curvature. What fails is missing, and costs no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from spinodal.counts import Counts
from spinodal.curvature.survey import survey
from spinodal.curvature.survey_ahead import survey_ahead
from spinodal.landscape.penalty import l2
from spinodal.mapping.repeating import Again, repeated, walk_ahead
from spinodal.mapping.sharpening import Sharpening
from spinodal.missing import Attempts
from spinodal.parallel import Crew
from spinodal.phases.beside_walk import branched, with_unjoined
from spinodal.phases.diagram import stretches_of
from spinodal.phases.joined import Joined
from spinodal.phases.joining import Joiner
from spinodal.phases.limit import Limit
from spinodal.phases.repeat import Repeat
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.ahead import record_ahead
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker
from spinodal.tasks.task import Task


@dataclass(frozen=True)
class Walk:
    """A finished walk from one end of a range to the other.

    Attributes
    ----------
    range : (low, high)
    sweep : Sweep
    bottom, top : Point
        The minima at the two ends with which the map began.
    criteria : Criteria
        What a jump is.
    """

    range: tuple[float, float]
    sweep: Sweep
    bottom: Point
    top: Point
    criteria: Criteria

    @property
    def beta(self) -> tuple[float, float]:
        """Return the range of beta that was walked upwards."""
        return self.bottom.beta, self.sweep.points[-1].beta


class AfterWalk:
    """Adds parts to the diagram of a walk, each tried by itself.

    Parameters
    ----------
    walker : Walker
    scout : callable ``(watched) -> Scout``
        Makes a scout for a walk; one that is not watched follows phases beside the loop.
    attempts : Attempts
    seconds : callable
        Tells the time spent.
    crew : Crew
        Follows phases and branches, and computes curvatures, ahead.
    """

    def __init__(
        self,
        walker: Walker,
        scout: Callable[[bool], Scout],
        attempts: Attempts,
        seconds: Callable[[], float],
        crew: Crew[Problem],
    ) -> None:
        self.walker, self.scout, self.attempts, self.seconds, self.crew = walker, scout, attempts, seconds, crew
        self.recorder = walker.recorder

    def with_branches(self, diagram: PhaseDiagram, walk: Walk) -> PhaseDiagram:
        """Return the diagram of a walk up with its phases followed as branches."""
        with self.attempts.part("branches and coexistence points"):
            found = branched(
                self.walker,
                walk.sweep,
                beta=walk.beta,
                criteria=walk.criteria,
                attempts=self.attempts,
                crew=self.crew,
            )
            return self._checked(found.to(diagram))
        return diagram

    def with_way_back(self, diagram: PhaseDiagram, walk: Walk) -> PhaseDiagram:
        """Return the diagram of a walk up with the way back, joined; without what joins them where that fails."""
        scout, back = self.scout(True), None
        with self.attempts.part("the way back of the loop"):
            back = scout.walk(walk.sweep.points[-1], walk.bottom.beta)
        if back is not None:
            with self.attempts.part("what joins the two ways of the loop"):
                return self._checked(self._joined(walk, scout, back).to(diagram))
        self.walker.recorder = self.recorder
        without = self.with_branches(diagram, walk)
        return without if back is None else self._checked(with_unjoined(without, walk.sweep, back))

    def _joined(self, walk: Walk, scout: Scout, back: Sweep) -> Joined:
        ranges = {"error_range": scout.criteria.error_range, "norm_range": scout.criteria.norm_range}
        quiet = lambda: self.scout(False)  # noqa: E731
        return Joiner(
            self.walker, quiet, walk.sweep, back, beta=walk.beta, attempts=self.attempts, crew=self.crew, **ranges
        ).join()

    def with_repeats(self, diagram: PhaseDiagram, walk: Walk, wanted: Sequence[Again], problem: Problem) -> PhaseDiagram:
        """Return a diagram with its walk repeated from other starts."""
        found = list[Repeat]()
        record_ahead(self.crew, self.recorder, walk_ahead, wanted)
        for again in wanted:
            with self.attempts.part(again.part):
                found.append(repeated(problem, self.walker, walk.sweep, again, self.crew))
        return self._checked(replace(diagram, repeats=tuple(found)))

    def with_limits(self, diagram: PhaseDiagram, task: Task, high: float) -> PhaseDiagram:
        """Return a diagram of a softened network with where its macroscopic transitions go as kinks become sharper."""
        limits = list[Limit]()
        stretches = stretches_of(diagram.points, diagram.transitions)
        for number, transition in enumerate(diagram.macroscopic):
            with self.attempts.part(f"the transition at beta = {transition.beta:.6g} of the network as given"):
                sharpening = Sharpening(task, self.walker, self.scout(False).criteria, high)
                note = self.recorder.note(f"limit {number}", partial(_noted, sharpening, transition, stretches[number]))
                self.walker.spent = self.walker.spent + Counts(**note["counts"])
                limits.append(Limit.from_dict(note["limit"]))
        return self._checked(replace(diagram, limits=tuple(limits)))

    def with_curvature(self, diagram: PhaseDiagram, seed: int, on_point: Callable[[int, int], None]) -> PhaseDiagram:
        """Return a diagram with the curvature at its followed points."""
        points = diagram.points + (diagram.back.points if diagram.back else ())
        with self.attempts.part("the curvature along the map"):
            survey_ahead(self.crew, points, self.recorder, seed=seed, on_point=on_point)
            found, cost = survey(
                points, self.walker.landscape, l2(self.walker.control, "the curvature of L"), self.recorder,
                seed=seed, attempts=self.attempts, on_point=on_point,
            )  # fmt: skip
            self.walker.spent = self.walker.spent + cost
            return self._checked(replace(diagram, curvature=found))
        return diagram

    def _checked(self, diagram: PhaseDiagram) -> PhaseDiagram:
        """Return a diagram with more in it, and with what that cost; one that cannot be written down fails here."""
        made = replace(diagram, spent=self.walker.spent, seconds=self.seconds())
        made.to_dict()
        return made


def _noted(sharpening: Sharpening, transition: Transition, before: Sequence[Point]) -> dict[str, Any]:
    """Return a limit with what it cost, in JSON types."""
    limit = sharpening.limit(transition, before)
    return {"limit": limit.to_dict(), "counts": vars(sharpening.spent)}
