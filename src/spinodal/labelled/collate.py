"""A phase diagram as labelled arrays: every variable with its dimensions, unit and convention."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spinodal.conventions import weight_decay
from spinodal.labelled.arrays import Arrays
from spinodal.labelled.curvature_variables import add_change_points, add_curvature
from spinodal.labelled.result import to_json
from spinodal.labelled.variables import add_exact, add_phases, add_points, add_transitions
from spinodal.observe.observation import PARTS
from spinodal.phases.diagram import Diagram
from spinodal.words.conclusion import answer

if TYPE_CHECKING:
    import xarray

COORDINATES = {
    "point": "number of the point in the journal; points come in the order walked, without the way back of a loop",
    "transition": "in the order met, the way back of a loop included",
    "phase": "by rising beta",
    "exact": "closed forms, by rising beta",
    "change_point": "of the curvature: those of E, then those of L, by rising beta; of a loop those of the way back last",
    "side": "of a transition, in the direction walked",
    "end": "of a phase: at its lowest or highest beta",
    "bracket": "end of a bracket",
    "part": "of the data",
    "class": "index of the class",
    "predicted": "index of the class that is predicted",
    "matrix": "name of the weight matrix",
    "mode": "place of the singular value, from the largest",
    "observable": "name of the order parameter",
}


def collate(diagram: Diagram) -> xarray.Dataset:
    """Return a diagram as a dataset.

    Dimensions are `point`, `transition`, `phase`, `exact` and `change_point`, labelled as `COORDINATES` says; those of length
    zero are left out with their variables. A missing measurement is NaN, a missing whole number -1.

    Raises
    ------
    SpinodalError
        If xarray is not installed.
    """
    result = to_json(diagram)
    labels = _labels(diagram)
    arrays = Arrays({name: len(values) for name, values in labels.items()})
    add_points(arrays, diagram)
    add_transitions(arrays, result["transitions"])
    add_phases(arrays, result["phases"])
    add_exact(arrays, result["exact"])
    add_curvature(arrays, diagram)
    add_change_points(arrays, diagram)
    return arrays.dataset(_coordinates(diagram, labels), _attributes(diagram, result))


def _labels(diagram: Diagram) -> dict[str, list[Any]]:
    """Return the labels along every dimension."""
    views = [point.observation for point in diagram.points]
    modes = max((len(values) for view in views for values in view.singular_values.values()), default=0)
    confused = max((len(rows or ()) for view in views for rows in view.confusion.values()), default=0)
    classes = max((len(recall or ()) for view in views for recall in view.class_accuracy.values()), default=0)
    return {
        "point": [point.index for point in diagram.points],
        "transition": list(range(len(diagram.all_transitions))),
        "phase": [phase.id for phase in diagram.phases],
        "exact": list(range(len(diagram.exact))),
        "change_point": list(range(len(diagram.change_points))),
        "side": ["before", "after"],
        "end": ["lowest", "highest"],
        "bracket": ["lower", "upper"],
        "part": list(PARTS),
        "class": list(range(classes)),
        "predicted": list(range(confused)),
        "matrix": list(views[0].singular_values),
        "mode": list(range(modes)),
        "observable": list(views[0].custom),
    }


def _coordinates(diagram: Diagram, labels: Mapping[str, list[Any]]) -> dict[str, Any]:
    arrays = Arrays({name: len(values) for name, values in labels.items()})
    for name, values in labels.items():
        add = arrays.words if any(isinstance(value, str) for value in values) else arrays.whole
        add(name, [name], values, name, COORDINATES[name])
    betas = [point.beta for point in diagram.points]
    is_l2, turned = diagram.control.is_l2, f"{diagram.control.name}: L = {diagram.control.convention}"
    told = "strength of the penalty: L = E + beta * ||theta - centre||^2" if is_l2 else turned
    arrays.numbers("beta", ["point"], betas, "beta", told)
    decays = [weight_decay(beta) if is_l2 else math.nan for beta in betas]
    arrays.numbers("weight_decay", ["point"], decays, "weight_decay", "weight_decay of torch.optim.SGD and Adam: 2 * beta")
    return dict(arrays.variables)


def _attributes(diagram: Diagram, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what describes the whole; mappings and counts as JSON, which netCDF has no types for."""
    settings = {key: value for key, value in diagram.task.items() if key != "name"}
    recorded = {name: json.dumps(value) for name, value in diagram.run.items() if value is not None}
    return {
        "title": f"Phases of {diagram.task['name']} along "
        + ("the strength of its L2 penalty" if diagram.control.is_l2 else f"{diagram.control.name} of {result['convention']}"),
        "summary": answer(diagram),
        "convention": result["convention"],
        "missing": "NaN for a measurement, -1 for a whole number; a dimension of length zero is left out",
        "task": str(diagram.task["name"]),
        "task_settings": json.dumps(settings),
        "seed": str(diagram.seed),
        "range": list(diagram.range),
        "solver": diagram.solver,
        "run_status": diagram.run_status,
        "cost": json.dumps(result["stats"]),
        "schema": str(result["schema"]),
        **recorded,
    }
