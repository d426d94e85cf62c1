"""The diagram of a run, from its journal: finished, or as far as it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from spinodal.codec import positive, read
from spinodal.counts import Counts
from spinodal.curvature.survey import Survey, recalled
from spinodal.errors import SpinodalError, refusing
from spinodal.labelled.result import SCHEMA
from spinodal.landscape.layout import Layout
from spinodal.phases.limit import Limit
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store.control import recorded_control
from spinodal.store.entry import STATES, text
from spinodal.store.joined_record import joined, points_beside
from spinodal.store.journal import Journal
from spinodal.store.latest import latest_result
from spinodal.store.log import ANEW, DAMAGE
from spinodal.store.record import read_transition
from spinodal.store.unfinished import unfinished_diagram
from spinodal.tasks.models import Models
from spinodal.tasks.task import Task
from spinodal.theory import ExactTransition

FIXED = f"{STATES}/fixed.safetensors"  # frozen parameters and buffers, the same at every point

TaskMaker = Callable[[Mapping[str, Any], Layout], Task]


def recorded_diagram(journal: Journal, command: str, make_task: TaskMaker | None = None) -> PhaseDiagram:
    """Return the diagram of a journal of at least one point; it gives models back where the task can be made.

    Parameters
    ----------
    journal : Journal
    command : str
        What goes on with the run, said where it is not finished.
    make_task : callable, optional

    Raises
    ------
    SpinodalError
        If the result is damaged, or does not fit the points.
    """
    with refusing(
        DAMAGE,
        lambda cause: f"the result in {journal.path} is damaged ({type(cause).__name__}: {' '.join(str(cause).split())})",
        allowed="what `spinodal map` wrote is needed",
        do=f"restore the file from a copy, or {ANEW}",
        passing=SpinodalError,
    ):
        result = latest_result(journal, command)
        if result is None:
            diagram = unfinished_diagram(journal, command)
            return replace(diagram, models=_models(journal, diagram.task, make_task))
        _refuse_newer(result, journal)
        return _diagram(result, journal, make_task)


def _refuse_newer(result: Mapping[str, Any], journal: Journal) -> None:
    if result.get("schema", SCHEMA) != SCHEMA:
        raise SpinodalError(
            got=f"the result in {journal.path} has schema {result['schema']!r}",
            allowed=f"schema {SCHEMA} is allowed",
            do="use the version of spinodal that wrote it (provenance.json)",
        )


def _diagram(result: Mapping[str, Any], journal: Journal, make_task: TaskMaker | None) -> PhaseDiagram:
    """Return the diagram; every value is taken by its type, so that a wrong one fails here."""
    sides = {index for item in result["transitions"] for index in item["points"]}
    wanted = sides.union(result["followed"], points_beside(result))
    points = {index: journal.point(index) for index in sorted(read(tuple[int, ...], list(wanted)))}
    transitions = [read_transition(item, points) for item in result["transitions"]]
    back = [found for found in transitions if result.get("loop") and found.direction == "down"]
    up = tuple(transitions[: len(transitions) - len(back)])
    followed = tuple(points[index] for index in result["followed"])
    low, high = map(positive, result["range"])
    task = {**result["task"], "name": text(result["task"]["name"])}
    softened = result.get("softened") or {}
    diagram = read(
        PhaseDiagram,
        result,
        task=task,
        range=(low, high),
        points=followed,
        exact=read(tuple[ExactTransition, ...], result["exact"]),  # every result has them
        spent=replace(read(Counts, result["stats"]), parameters=len(followed[0].minimum.theta)),
        seconds=read(float, result["stats"]["seconds"]),
        limits=read(tuple[Limit, ...], softened.get("limits", ())),
        sharpness=read(float, softened["sharpness"]) if softened else None,
        run={name: journal.recorded(name) for name in ("settings", "provenance")},
        models=_models(journal, task, make_task),
        curvature=_curvature(result.get("curvature"), journal),
        control=recorded_control(journal),
        **vars(joined(result, points, up, back)),
    )
    _check_phases(diagram)
    return diagram


def _curvature(recorded: Mapping[str, Any] | None, journal: Journal) -> Survey | None:
    """Return the curvature along the map, None where it was not computed: runs of older versions know none."""
    if recorded is None:
        return None
    failed = {read(int, item["point"]): read(str, item["text"]) for item in recorded.get("failed", ())}
    return recalled(read(tuple[int, ...], recorded["points"]["point"]), journal.recorded, failed)


def _check_phases(diagram: PhaseDiagram) -> None:
    """Raise ValueError where something belongs to a phase that the diagram does not have."""
    known = {phase.id for phase in diagram.phases}
    named = {*diagram.back_phases, *diagram.existence, *diagram.beyond, *diagram.branches}
    named |= {phase for item in diagram.coexistence for phase in item.phases} | {item.phase for item in diagram.spinodals}
    named |= {phase for edge in diagram.tree for phase in (edge.phase, edge.falls_to) if phase is not None}
    if not named <= known:
        raise ValueError(sorted(named - known))


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
    allowed = "models need the frozen parameters and buffers of the run"
    do = "restore it from a copy, or resume the run to write it again"
    with refusing(DAMAGE, f"{place} is missing or damaged", allowed=allowed, do=do):
        tensors: dict[str, Tensor] = load_file(place)
        for entry in layout.fixed:
            entry.check(tensors[entry.name])
        return tensors
