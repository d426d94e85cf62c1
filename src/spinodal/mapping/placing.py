"""One placement in the making: the minimum of a model, its branch, its phase, and other minima beside it."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

from torch import Tensor

from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import l2
from spinodal.mapping.deepest import is_trivial
from spinodal.mapping.rivals import Find, minimum_from
from spinodal.minima.minimise import LOST
from spinodal.parallel import Crew
from spinodal.phases.catalogue import Allowance, Fingerprint
from spinodal.phases.phase import Phase
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.results.placement import Placement, Rival, Start
from spinodal.sweeps.ahead import record_ahead
from spinodal.sweeps.moved import moved
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.resolution import Resolution, bracket_for
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.tasks.fitted import Fitted

DOUBLINGS = 12  # of beta beyond the map, in search of a transition that it did not reach


class Placing:
    """One placement in the making.

    Parameters
    ----------
    diagram : PhaseDiagram
    problem : Problem
        The task of the map, prepared as for the map.
    recorder : Recorder
    crew : Crew
        Seeks other minima ahead.
    """

    def __init__(self, diagram: PhaseDiagram, problem: Problem, recorder: Recorder, crew: Crew[Problem]) -> None:
        self.diagram, self.recorder, self.crew = diagram, recorder, crew
        self.landscape, self.control, self.observe = problem.landscape, problem.control, problem.observe
        self.walker = problem.walker(recorder)

    def place(self, found: Fitted, beta: float) -> Placement:
        """Place a model at a beta, or refuse one that is not near a minimum."""
        theta = found.theta
        self._refuse_another(theta)
        own = self._minimum(beta, theta)
        if own.minimum.stop in LOST:
            raise SpinodalError(
                got=f"L has no minimum near the model at beta = {beta:.4g} ({own.minimum.status})",
                allowed="a model near a minimum of E + beta ||theta||^2 is allowed",
                do="check the weight_decay it was trained with, and the loss of the task",
            )
        self._set_ranges(own)
        sweep = self._upwards(own)
        return Placement(
            diagram=self.diagram,
            start=replace(self._described(theta, own), read=found.remark),
            sweep=sweep,
            phase=self._phase(sweep),
            rivals=self._rivals(own),
            error_range=self.error_range,
        )

    def _refuse_another(self, theta: Tensor) -> None:
        """Refuse a recorder that holds the points of another model."""
        digest = zlib.crc32(theta.detach().cpu().double().numpy().tobytes())
        if self.recorder.note("model", lambda: {"crc32": digest})["crc32"] != digest:
            raise SpinodalError(
                got="the recorded points are those of another model",
                allowed="a placement is continued with the model that began it",
                do="give a new recorder",
            )

    def _set_ranges(self, own: Point) -> None:
        """Take the ranges of E and of the squared norm from the map, or from the model where the map spans less."""
        errors = [point.error for point in self.diagram.points]
        trivial = self.landscape.value(l2(self.control, "a placement", "leave --start out").trivial(own.minimum.theta))
        lift = abs(trivial - own.error) if math.isfinite(trivial) else 0.0
        self.error_range = max(max(errors) - min(errors), lift, 1e-9 * (1.0 + abs(own.error)))
        largest = max(point.norm_squared for point in (own, *self.diagram.points))
        self.norm_range = max(largest, self.error_range / max(own.beta, self.diagram.range[1]))

    def _minimum(self, beta: float, theta: Tensor) -> Point:
        vector = self.landscape.vector(theta)
        return self.walker.find(beta, lambda: (vector, Counts(parameters=self.landscape.size)))

    def _described(self, theta: Tensor, own: Point) -> Start:
        loss = Regularised(self.landscape, own.beta, self.control)
        value, gradient = loss.value_and_gradient(theta)
        reached = own.minimum.theta.to(theta)
        return Start(
            error=loss.error(value, theta),
            rank=self.observe(theta).rank,
            residual=float(gradient.norm()) / loss.scale(theta),
            moved=float((theta - reached).norm()) / max(float(theta.norm()), float(reached.norm()), 1e-3),
        )

    # -- what lies ahead --------------------------------------------------------------------

    def _upwards(self, own: Point) -> Sweep:
        """Follow the branch to its next macroscopic transition: through the map's range and, until it is trivial, beyond."""
        scout, sweep = self._scout(), Sweep((own,), (), "complete")
        top = max(self.diagram.range[1], own.beta)
        for _ in range(DOUBLINGS):
            top *= 2.0
            more = scout.walk(sweep.points[-1], top, until=lambda transition: not transition.minor)
            sweep = Sweep(sweep.points + more.points[1:], sweep.transitions + more.transitions, more.status)
            if self._has_fallen(sweep) or sweep.status != "complete" or self._is_trivial(sweep.points[-1]):
                break
        return sweep

    def _scout(self) -> Scout:
        return Scout(
            self.walker,
            error_range=self.error_range,
            norm_range=self.norm_range,
            resolution=Resolution(bracket=bracket_for(self.walker.solver.name, self.landscape.size)),
            is_end=self._is_trivial,
        )

    @staticmethod
    def _has_fallen(sweep: Sweep) -> bool:
        """Tell a walk that ended in a macroscopic transition."""
        return any(not transition.minor for transition in sweep.transitions)

    def _is_trivial(self, point: Point) -> bool:
        """Tell a model without outputs worth the name, or one whose outputs nobody knows."""
        known = [view for p in self.diagram.points if (view := p.observation.breadth) is not None]
        return point.observation.liveliness is None or is_trivial(point.observation, max(known, default=math.inf))

    # -- which phase ------------------------------------------------------------------------

    def _phase(self, sweep: Sweep) -> int | None:
        """Return the phase of the map that the branch meets and agrees with, the nearest one first."""
        branch = sweep.points[:-1] if self._has_fallen(sweep) else sweep.points
        beta = branch[0].beta
        for phase in sorted(self.diagram.phases, key=lambda phase: _distance(phase, beta)):
            mapped = nearest(phase, beta)
            if phase.beta[0] <= beta <= phase.beta[1] or beta <= mapped.beta <= branch[-1].beta:
                if self._agrees(branch, mapped):
                    return phase.id
            elif phase.beta[1] < beta and self._is_open(phase) and self._reaches(phase, branch[0]):
                return phase.id
        return None

    def _agrees(self, branch: tuple[Point, ...], mapped: Point) -> bool:
        """Tell whether the branch, followed to the beta of a mapped point, is that point."""
        near = min(branch, key=lambda point: abs(math.log(point.beta / mapped.beta)))
        return self._same(moved(self.walker, near, mapped.beta), mapped)

    def _is_open(self, phase: Phase) -> bool:
        """Tell whether the map did not see where a phase ends at its upper side."""
        downward = self.diagram.points[0].beta > self.diagram.points[-1].beta
        return downward or phase.falls_to is None

    def _reaches(self, phase: Phase, own: Point) -> bool:
        """Tell whether a phase, followed from its upper end to the model's beta, is the model's minimum."""
        end = phase.points[-1]
        begun = self._minimum(end.beta, self.diagram.at_point(end.index).theta)
        walked = self._scout().walk(begun, own.beta, until=lambda transition: not transition.minor)
        return not self._has_fallen(walked) and walked.status == "complete" and self._same(walked.points[-1], own)

    def _same(self, a: Point, b: Point) -> bool:
        """Tell one minimum from another at the same beta, as phases are told apart."""
        allowance = Allowance.of_phases(self.error_range, self.norm_range)
        first, second = (Fingerprint.of(point) for point in (a, b))
        return first.is_one_with(second, allowance)

    # -- which depth ------------------------------------------------------------------------

    def _rivals(self, own: Point) -> tuple[Rival, ...]:
        """Return the other minima at the model's beta that are reached from the phases of the map."""
        finds = [
            Find(phase.id, own.beta, self.diagram.at_point(nearest(phase, own.beta).index).theta)
            for phase in self.diagram.phases
        ]
        record_ahead(self.crew, self.recorder, minimum_from, finds)
        rivals: list[Rival] = []
        for find in finds:
            with self.walker.within(find.part):
                point = self._minimum(own.beta, find.theta)
            known = [own, *(rival.point for rival in rivals)]
            if point.minimum.converged and not any(self._same(point, other) for other in known):
                rivals.append(Rival(point, find.phase))
        return tuple(rivals)


def nearest(phase: Phase, beta: float) -> Point:
    """Return the point of a phase that is nearest to beta, on a log scale."""
    return min(phase.points, key=lambda point: abs(math.log(point.beta / beta)))


def _distance(phase: Phase, beta: float) -> float:
    """Return how far from a phase beta lies, in log beta; 0 inside."""
    low, high = phase.beta
    return max(math.log(low / beta), math.log(beta / high), 0.0)
