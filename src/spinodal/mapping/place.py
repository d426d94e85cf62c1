"""Places an existing model on a map: which minimum it belongs to, which phase that is, what lies ahead of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spinodal.conventions import one_beta
from spinodal.counts import Counts
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Control
from spinodal.landscape.control_record import ControlRecord
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty, l2
from spinodal.mapping.deepest import is_trivial
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import prepare, usable_device
from spinodal.minima.minimise import LOST, solver_for
from spinodal.observe import Observer
from spinodal.phases.catalogue import Allowance, Fingerprint
from spinodal.phases.phase import Phase
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.results.placement import Placement, Rival, Start
from spinodal.sweeps.moved import moved
from spinodal.sweeps.resolution import Resolution, bracket_for
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.walk import Forgetful, Point, Recorder, Walker
from spinodal.tasks.fitted import Fitted, fitted
from spinodal.tasks.models import Models
from spinodal.tasks.task import DTYPES, Task

DOUBLINGS = 12  # of beta beyond the map, in search of a transition that it did not reach


def place(
    diagram: PhaseDiagram,
    start: nn.Module | Mapping[str, Any] | Tensor,
    *,
    beta: float | None = None,
    weight_decay: float | None = None,
    task: Task | None = None,
    options: MapOptions | None = None,
    recorder: Recorder | None = None,
    penalty: Control | None = None,
) -> Placement:
    """Place an existing model on the map of its task.

    The model is minimised at its beta, its branch is followed upwards to the next macroscopic transition,
    and compared with the phases of the map at equal beta: by E, `||theta||^2` and singular values, which no
    symmetry of the network changes. Other minima are sought from every phase of the map.

    Parameters
    ----------
    diagram : PhaseDiagram
        Of the same task.
    start : nn.Module, state dict, what `read_checkpoint` returns, or theta of shape (n,)
        What is beside the parameters of the model is left out, and the remark says so.
    beta : float > 0
        At which it was trained, or give PyTorch's `weight_decay`, which is twice that.
    task : Task, optional
        Default: the one that was mapped, where it is known (see `load`).
    options : MapOptions, optional
        Device and tolerance. Default: those of `MapOptions`. Precision and solver are those of the map.
    recorder : Recorder, optional
        Where points are kept. Default: nowhere.
    penalty : Penalty, optional
        The one that the map is along. Default: that of the map, where it is known (see `load`).

    Returns
    -------
    Placement

    Raises
    ------
    SpinodalError
        If neither or both of beta and weight_decay are given, the model does not fit the task's, or the
        recorder holds the placement of another model.

    Notes
    -----
    *What it is not:* proof that no deeper minimum exists; it names the deepest of those that were found.

    Examples
    --------
    A linear net with one hidden layer, where the mode of singular value .4 dies at weight_decay = .8:

    >>> from spinodal import map_phases, tasks
    >>> task = tasks.gaussian(activation="linear", hidden=(4,), singular_values=(0.9, 0.4), samples=50)
    >>> diagram = map_phases(task)
    >>> placement = place(diagram, diagram.at(0.1).module(), weight_decay=0.2)
    >>> print(placement.answer())
    At weight_decay = 0.2 your model is in phase 0 of 3 (numbered from 0, rank 2), the only minimum known there. \
The next transition is at 4 times your weight_decay (weight_decay = 0.800000): rank 2 -> 1; \
largest weight_decay before the first loss of rank at a transition: 0.79999... (beta = 0.39999...).
    """
    chosen = one_beta(beta, weight_decay)
    made = task or _task(diagram)
    turned = penalty or _control(diagram)
    return _Placing(diagram, made, options or MapOptions(), recorder or Forgetful(), turned).place(start, chosen)


class _Placing:
    """One placement in the making."""

    def __init__(
        self, diagram: PhaseDiagram, task: Task, options: MapOptions, recorder: Recorder, control: Control | None
    ) -> None:
        self.diagram, self.task, self.recorder = diagram, task, recorder
        control = control.to(usable_device(options.device)) if isinstance(control, Penalty) else control
        self.landscape, self.control = prepare(task, _as_mapped(options, diagram), control)
        _refuse_other(ControlRecord.of(self.control), diagram.control)
        solver = solver_for(self.landscape, diagram.solver)
        self.observe = Observer(self.landscape, self.control, task)
        self.walker = Walker(
            self.landscape, self.control, self.observe, solver=solver, tolerance=options.tolerance, recorder=recorder
        )

    def place(self, start: nn.Module | Mapping[str, Any] | Tensor, beta: float) -> Placement:
        found = found_of(start, self.task, self.landscape)
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
            mapped = _nearest(phase, beta)
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
        first, second = (Fingerprint.of(point.minimum, point.observation) for point in (a, b))
        return first.is_one_with(second, allowance)

    # -- which depth ------------------------------------------------------------------------

    def _rivals(self, own: Point) -> tuple[Rival, ...]:
        """Return the other minima at the model's beta that are reached from the phases of the map."""
        found: list[Rival] = []
        for phase in self.diagram.phases:
            mapped = _nearest(phase, own.beta)
            point = self._minimum(own.beta, self.diagram.at_point(mapped.index).theta)
            known = [own, *(rival.point for rival in found)]
            if point.minimum.converged and not any(self._same(point, other) for other in known):
                found.append(Rival(point, phase.id))
        return tuple(found)


def theta_of(start: nn.Module | Mapping[str, Any] | Tensor, task: Task, landscape: Landscape) -> Tensor:
    """Return theta of a module, the contents of a checkpoint or a vector, on a task's landscape; refuse what does not fit."""
    return found_of(start, task, landscape).theta


def found_of(start: nn.Module | Mapping[str, Any] | Tensor, task: Task, landscape: Landscape) -> Fitted:
    """Return theta of a start, on a task's landscape, and where it was found."""
    found = Fitted(start) if isinstance(start, Tensor) else fitted(start, Models.of(task))
    return replace(found, theta=landscape.vector(found.theta))


def _as_mapped(options: MapOptions, diagram: PhaseDiagram) -> MapOptions:
    """Return options with the range, the precision and the softening of a map."""
    mapped = diagram.points[0].minimum.theta.dtype
    named: dict[torch.dtype, Any] = {dtype: name for name, dtype in DTYPES.items()}
    return replace(options, beta=diagram.range, dtype=named[mapped], soften=diagram.sharpness)


def _control(diagram: PhaseDiagram) -> Control | None:
    """Return the control of a map; None for the task's own."""
    record = diagram.control
    if record.made is None and record != ControlRecord():
        raise SpinodalError(
            got=f"this map does not hold its control, {record.described}",
            allowed="the control that was mapped is needed",
            do="pass penalty=...",
        )
    return record.made


def _refuse_other(given: ControlRecord, mapped: ControlRecord) -> None:
    if given != mapped:
        raise SpinodalError(
            got=f"the control is {given.described}, and that of the map is {mapped.described}",
            allowed="a model is placed with the control of the map",
            do="leave it out, or map with this one",
        )


def _task(diagram: PhaseDiagram) -> Task:
    if diagram.models is None:
        raise SpinodalError(
            got="this map does not know its task", allowed="the task that was mapped is needed", do="pass task=..."
        )
    return diagram.models.task()


def _nearest(phase: Phase, beta: float) -> Point:
    """Return the point of a phase that is nearest to beta, on a log scale."""
    return min(phase.points, key=lambda point: abs(math.log(point.beta / beta)))


def _distance(phase: Phase, beta: float) -> float:
    """Return how far from a phase beta lies, in log beta; 0 inside."""
    low, high = phase.beta
    return max(math.log(low / beta), math.log(beta / high), 0.0)
