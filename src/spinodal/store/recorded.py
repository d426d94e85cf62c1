"""The diagram of a finished run, from its journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from spinodal.counts import Counts
from spinodal.curvature.survey import Survey, recalled
from spinodal.errors import SpinodalError, printable
from spinodal.layout import Layout
from spinodal.models import Models
from spinodal.phases import PhaseDiagram
from spinodal.store.joined_record import joined, points_beside
from spinodal.store.journal import DAMAGE, STATES, Journal
from spinodal.store.record import number, optional, positive, text, whole
from spinodal.sweeps.order import Evidence
from spinodal.sweeps.transition import Transition
from spinodal.tasks.task import Task
from spinodal.theory import ExactTransition
from spinodal.walk import Point

FIXED = f"{STATES}/fixed.safetensors"  # frozen parameters and buffers, the same at every point

TaskMaker = Callable[[Mapping[str, Any], Layout], Task]


def recorded_diagram(journal: Journal, make_task: TaskMaker | None = None) -> PhaseDiagram:
    """Return the diagram of a journal that holds a result; it gives models back where the task can be made.

    Raises
    ------
    SpinodalError
        If the result is damaged, or does not fit the points.
    """
    result = journal.recorded("result") or {}
    try:
        return _diagram(result, journal, make_task)
    except SpinodalError:
        raise
    except DAMAGE as cause:
        raise SpinodalError(
            got=f"the result in {journal.path} is damaged ({type(cause).__name__}: {' '.join(str(cause).split())})",
            allowed="what `spinodal map` wrote is needed",
            do="restore the file from a copy, or start anew in another folder",
        ) from cause


def _diagram(result: Mapping[str, Any], journal: Journal, make_task: TaskMaker | None) -> PhaseDiagram:
    """Return the diagram; every value is taken by its type, so that a wrong one fails here."""
    sides = {index for item in result["transitions"] for index in item["points"]}
    wanted = sides.union(result["followed"], points_beside(result))
    points = {index: journal.point(index) for index in sorted(map(whole, wanted))}
    transitions = [_transition(item, points) for item in result["transitions"]]
    back = [found for found in transitions if result.get("loop") and found.direction == "down"]
    followed = tuple(points[index] for index in result["followed"])
    low, high = map(positive, result["range"])
    stats = {key: whole(value) for key, value in result["stats"].items() if key in Counts.__dataclass_fields__}
    task = {**result["task"], "name": text(result["task"]["name"])}
    diagram = PhaseDiagram(
        task=task,
        seed=whole(result["seed"]),
        range=(low, high),
        points=followed,
        transitions=tuple(transitions[: len(transitions) - len(back)]),
        spent=Counts(**stats, parameters=len(followed[0].minimum.theta)),
        seconds=number(result["stats"]["seconds"]),
        solver=_words(result["solver"]),
        run_status=_words(result["run_status"]),
        exact=tuple(_exact(item) for item in result["exact"]),
        run={name: journal.recorded(name) for name in ("settings", "provenance")},
        models=_models(journal, task, make_task),
        curvature=_curvature(result.get("curvature"), journal),
        **joined(result, points, back),
    )
    _check_phases(diagram)
    return diagram


def _curvature(recorded: Mapping[str, Any] | None, journal: Journal) -> Survey | None:
    """Return the curvature along the map, None where it was not computed: runs of older versions know none."""
    return None if recorded is None else recalled(map(whole, recorded["points"]["point"]), journal.recorded)


def _check_phases(diagram: PhaseDiagram) -> None:
    """Raise ValueError where something belongs to a phase that the diagram does not have."""
    known = {phase.id for phase in diagram.phases}
    named = {*diagram.back_phases, *diagram.existence, *diagram.beyond, *diagram.branches}
    named |= {phase for item in diagram.coexistence for phase in item.phases} | {item.phase for item in diagram.spinodals}
    named |= {phase for edge in diagram.tree for phase in (edge.phase, edge.falls_to) if phase is not None}
    if not named <= known:
        raise ValueError(sorted(named - known))


def _words(value: object) -> str:
    """Return a text that may be printed: a run may have come from anybody."""
    return printable(text(value))


def _transition(item: Mapping[str, Any], points: Mapping[int, Point]) -> Transition:
    before, after = item["points"]
    low, high = map(positive, item["bracket"])
    return Transition(
        beta=positive(item["beta"]),
        bracket=(low, high),
        direction=_words(item["direction"]),
        order=_words(item["order"]),
        minor=bool(item["minor"]),
        status=_words(item["status"]),
        before=points[before],
        after=points[after],
        evidence=_evidence(item["evidence"]),
    )


def _evidence(item: Mapping[str, Any]) -> Evidence:
    return Evidence(
        exponent=optional(number, item["exponent"]),
        margin=number(item["margin"]),
        reach=optional(number, item["reach"]),
        halved_step=bool(item["halved_step"]),
        jump_norm_squared=number(item["jump_norm_squared"]),
        jump_curvature=number(item["jump_curvature"]),
    )


def _exact(item: Mapping[str, Any]) -> ExactTransition:
    return ExactTransition(
        singular_value=number(item["singular_value"]),
        order=_words(item["order"]),
        beta=positive(item["beta"]),
        coexistence=optional(number, item["coexistence"]),
    )


def _models(journal: Journal, task: Mapping[str, Any], make_task: TaskMaker | None) -> Models | None:
    recorded = journal.recorded("layout")
    if recorded is None or make_task is None:
        return None
    layout = Layout.from_dict(recorded)
    fixed = journal.folder / FIXED
    return Models(layout, lambda: _fixed(fixed, layout), lambda: make_task(task, layout), journal.verify)


def _fixed(place: Path, layout: Layout) -> dict[str, Tensor]:
    if not layout.fixed:
        return {}
    try:
        tensors: dict[str, Tensor] = load_file(place)
        for entry in layout.fixed:
            entry.check(tensors[entry.name])
    except DAMAGE as cause:
        raise SpinodalError(
            got=f"{place} is missing or damaged",
            allowed="models need the frozen parameters and buffers of the run",
            do="restore it from a copy, or resume the run to write it again",
        ) from cause
    return tensors
