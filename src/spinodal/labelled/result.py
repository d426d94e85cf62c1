"""The result of a map in JSON types, and the records of its transitions and phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spinodal.codec import columns, keyed, plain
from spinodal.conventions import weight_decay
from spinodal.curvature.result import to_result
from spinodal.observe.observation import PARTS
from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.uncertainty import of_error, of_margin, of_norm
from spinodal.words.conclusion import concluded
from spinodal.words.numbers import half

SCHEMA = 1
UNCERTAIN = {"error": of_error, "norm": of_norm, "margin": of_margin}  # how well that is known


def to_json(diagram: Diagram) -> dict[str, Any]:
    """Return the result in JSON types; every key is always present (see the docs for the schema)."""
    return {
        **{"schema": SCHEMA, "run_status": diagram.run_status, "task": dict(diagram.task)},
        **keyed(diagram, "seed range convention=control.convention"),
        "control": diagram.control.to_dict(),
        "solver": diagram.solver,
        "transitions": _transitions(diagram),
        "phases": [phase_record(diagram, phase) for phase in diagram.phases],
        **keyed(diagram, "spinodals coexistence"),
        "branches": [{"phase": phase, **branch.to_dict()} for phase, branch in diagram.branches.items()],
        "loop": _loop(diagram),
        **keyed(diagram, "tree certificates"),
        "incomplete": _incomplete(diagram),
        "answer": diagram.conclusion.to_dict() | {"text": concluded(diagram)},
        "curvature": _curvature(diagram),
        **keyed(diagram, "low_end softened repeats"),
        "reading": dict(diagram.points[0].observation.reading),
        "missing": plain(diagram.missing),
        "placement": None,  # of a model on this map; `spinodal map --start` puts it here
        **_whose_points(diagram),
        "exact": plain(diagram.exact),
        "stats": {
            **keyed(diagram.spent, "error_evaluations gradient_evaluations hessian_products hessians passes"),
            "gradient_equivalents": diagram.spent.gradient_equivalents,
            "points": len(diagram.points),
            "unconverged": sum(not point.minimum.converged for point in diagram.points),
            "seconds": diagram.seconds,
        },
    }


def _whose_points(diagram: Diagram) -> dict[str, Any]:
    """Return the points that were followed, and the phases that no walk met, whose points are of another journal."""
    return {"followed": [point.index for point in diagram.points], "from_starts": list(diagram.started)}


def _loop(diagram: Diagram) -> dict[str, Any] | None:
    if diagram.loop is None:
        return None
    return {
        "area": plain(diagram.loop.area),
        "back_to": diagram.loop.down.points[-1].beta,
        "status": diagram.loop.down.status,
        "followed": [point.index for point in diagram.loop.down.points],
        "phases": list(diagram.back_phases),
    }


def _curvature(diagram: Diagram) -> dict[str, Any] | None:
    survey = diagram.curvature
    return None if survey is None else to_result(survey, diagram.ways, diagram.change_points)


def transition_record(diagram: Diagram, transition: Transition) -> dict[str, Any]:
    """Return a transition in JSON types, as `to_dict` lists it."""
    sides, step = (transition.before, transition.after), diagram.step_of(transition)
    scores = ("accuracy", "class_accuracy", "confusion")
    return {
        "beta": transition.beta,
        "weight_decay": weight_decay(transition.beta) if diagram.control.is_l2 else None,
        **keyed(transition, "bracket direction order kind missing minor status evidence"),
        **columns(sides, "error norm=observation.norm rank=observation.rank margin=minimum.margin"),
        **{name: {part: _pair([getattr(side.observation, name)[part] for side in sides]) for part in PARTS} for name in scores},
        "uncertainty": {"beta": half(transition.bracket), **_uncertainty(diagram, sides)},
        "repeats": plain(diagram.spread_of(transition)),
        "phases": None if step is None else list(step.phases if transition.direction == "up" else step.phases[::-1]),
        "phase_ranks": None if step is None else list(step.along[0]),
        "lost_classes": plain(diagram.lost_classes(transition)),
        "points": list(transition.indices),
    }


def phase_record(diagram: Diagram, phase: Phase) -> dict[str, Any]:
    """Return a phase in JSON types, as `to_dict` lists it."""
    return {
        **keyed(phase, "id beta rank error"),
        "accuracy": {part: _pair(phase.accuracy(part)) for part in PARTS},
        "classes": plain(phase.classes),
        "uncertainty": _uncertainty(diagram, (phase.points[0], phase.points[-1])),
        **keyed(phase, "falls_to existence"),
        "beyond": [point.index for point in phase.beyond],
    }


def unproven(diagram: Diagram) -> dict[str, Any]:
    """Return the entries of the result that tell what is not proven."""
    return {"incomplete": _incomplete(diagram), "transitions": _transitions(diagram)}


def _incomplete(diagram: Diagram) -> list[list[Any]]:
    return [[item.low, item.high, item.reason] for item in diagram.incomplete]


def _transitions(diagram: Diagram) -> list[dict[str, Any]]:
    return [transition_record(diagram, transition) for transition in diagram.all_transitions]


def _uncertainty(diagram: Diagram, points: Sequence[Point]) -> dict[str, Any]:
    """Return the errors of what is said of some points; of an accuracy, what one sample moves."""
    return {
        **{name: plain([of(point) for point in points]) for name, of in UNCERTAIN.items()},
        "accuracy": dict(diagram.sample_steps),
    }


def _pair(values: Sequence[Any] | None) -> list[Any] | None:
    """Return two values as a list, or None if either is missing."""
    return None if values is None or any(value is None for value in values) else list(plain(values))
