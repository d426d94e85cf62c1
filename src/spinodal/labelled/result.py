"""The result of a map in JSON types, and the records of its transitions and phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.curvature.result import to_result
from spinodal.observe.observation import PARTS
from spinodal.phases.branch_record import to_record
from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.uncertainty import of_error, of_margin, of_norm
from spinodal.words.conclusion import concluded
from spinodal.words.numbers import half

SCHEMA = 1


def to_json(diagram: Diagram) -> dict[str, Any]:
    """Return the result in JSON types; every key is always present (see the docs for the schema)."""
    return {
        "schema": SCHEMA,
        "run_status": diagram.run_status,
        "task": dict(diagram.task),
        "seed": diagram.seed,
        "range": list(diagram.range),
        "convention": diagram.control.convention,
        "control": diagram.control.to_dict(),
        "solver": diagram.solver,
        "transitions": _transitions(diagram),
        "phases": [phase_record(diagram, phase) for phase in diagram.phases],
        "spinodals": [item.to_dict() for item in diagram.spinodals],
        "coexistence": [item.to_dict() for item in diagram.coexistence],
        "branches": [{"phase": phase, **to_record(branch)} for phase, branch in diagram.branches.items()],
        "loop": _loop(diagram),
        "tree": [edge.to_dict() for edge in diagram.tree],
        "certificates": diagram.certificates.to_dict(),
        "incomplete": _incomplete(diagram),
        "answer": diagram.conclusion.to_dict() | {"text": concluded(diagram)},
        "curvature": _curvature(diagram),
        "low_end": diagram.low_end.to_dict(),
        "softened": None if diagram.softened is None else diagram.softened.to_dict(),
        "repeats": [item.to_dict() for item in diagram.repeats],
        "reading": dict(diagram.points[0].observation.reading),
        "missing": [item.to_dict() for item in diagram.missing],
        "placement": None,  # of a model on this map; `spinodal map --start` puts it here
        **_whose_points(diagram),
        "exact": [asdict(item) for item in diagram.exact],
        "stats": {
            "error_evaluations": diagram.spent.error_evaluations,
            "gradient_evaluations": diagram.spent.gradient_evaluations,
            "hessian_products": diagram.spent.hessian_products,
            "hessians": diagram.spent.hessians,
            "passes": diagram.spent.passes,
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
        "area": _finite(diagram.loop.area),
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
    seen = [side.observation for side in sides]
    phases = None if step is None else list(step.phases if transition.direction == "up" else step.phases[::-1])
    lost, spread = diagram.lost_classes(transition), diagram.spread_of(transition)
    return {
        "beta": transition.beta,
        "weight_decay": weight_decay(transition.beta) if diagram.control.is_l2 else None,
        "bracket": list(transition.bracket),
        "direction": transition.direction,
        "order": transition.order,
        "kind": transition.kind,
        "missing": transition.missing,
        "minor": transition.minor,
        "status": transition.status,
        "evidence": {name: _finite(value) for name, value in asdict(transition.evidence).items()},
        "error": [side.error for side in sides],
        "norm": [view.norm for view in seen],
        "rank": [view.rank for view in seen],
        "margin": [_finite(side.minimum.margin) for side in sides],
        "accuracy": {part: _pair([view.accuracy[part] for view in seen]) for part in PARTS},
        "class_accuracy": {part: _pair([_row(view.class_accuracy[part]) for view in seen]) for part in PARTS},
        "confusion": {part: _pair([_rows(view.confusion[part]) for view in seen]) for part in PARTS},
        "uncertainty": {"beta": half(transition.bracket), **_uncertainty(diagram, sides)},
        "repeats": None if spread is None else spread.to_dict(),
        "phases": phases,
        "phase_ranks": None if step is None else list(step.along[0]),
        "lost_classes": None if lost is None else list(lost),
        "points": [side.index for side in sides],
    }


def phase_record(diagram: Diagram, phase: Phase) -> dict[str, Any]:
    """Return a phase in JSON types, as `to_dict` lists it."""
    return {
        "id": phase.id,
        "beta": list(phase.beta),
        "rank": phase.rank,
        "error": list(phase.error),
        "accuracy": {part: _pair(phase.accuracy(part)) for part in PARTS},
        "classes": None if phase.classes is None else list(phase.classes),
        "uncertainty": _uncertainty(diagram, (phase.points[0], phase.points[-1])),
        "falls_to": phase.falls_to,
        "existence": None if phase.existence is None else phase.existence.to_dict(),
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
        "error": [_finite(of_error(point)) for point in points],
        "norm": [_finite(of_norm(point)) for point in points],
        "margin": [_finite(of_margin(point)) for point in points],
        "accuracy": dict(diagram.sample_steps),
    }


def _pair(values: Sequence[Any] | None) -> list[Any] | None:
    """Return two values as a list, or None if either is missing."""
    return None if values is None or any(value is None for value in values) else list(values)


def _finite(value: Any) -> Any:
    """Return None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(values: Sequence[Sequence[Any]] | None) -> list[list[Any]] | None:
    return None if values is None else [list(row) for row in values]


def _row(values: Sequence[float | None] | None) -> list[float | None] | None:
    return None if values is None else list(values)
