"""The diagram of a walk that is not finished, from the points of its journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from spinodal.codec import positive, read
from spinodal.counts import Counts
from spinodal.errors import printable
from spinodal.missing import Missing
from spinodal.phases.diagram import UNFINISHED, stretches_of
from spinodal.phases.tree import falls_along
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store.control import recorded_control
from spinodal.store.journal import Journal
from spinodal.store.record import read_transition
from spinodal.sweeps.point import Point
from spinodal.sweeps.transition import Transition


def unfinished_diagram(journal: Journal, command: str) -> PhaseDiagram:
    """Return what a walk has found so far: its points up to the last one that is known to lie on the branch.

    A point lies on it if another one was followed from it, or if it is the far side of a transition.

    Parameters
    ----------
    journal : Journal
        Of at least one point.
    command : str
        What goes on with the run.
    """
    settings = journal.recorded("settings") or {}
    task, options = _mapping(settings.get("task")), _mapping(settings.get("map"))
    down = options.get("direction") == "down"
    met = _transitions(journal)
    points = [journal.point(index) for index in _followed(journal, met, start=1 if down and journal.count > 1 else 0)]
    transitions = [item for item in met if item.after.index in {point.index for point in points}]
    phases = range(len(stretches_of(points, transitions)))[:: -1 if down else 1]
    reached = f"the walk {'below' if down else 'beyond'} beta = {points[-1].beta:.6g}"
    return PhaseDiagram(
        task={**task, "name": printable(str(task.get("name", "custom")))},
        seed=_whole_or_zero(options.get("seed")),
        range=_range(journal, options, points),
        points=tuple(points),
        transitions=tuple(transitions),
        tree=falls_along(phases, transitions),
        spent=_spent(journal),
        seconds=journal.elapsed,
        solver=printable(points[0].minimum.solver),
        run_status=UNFINISHED,
        sharpness=_sharpness(options.get("soften")),
        control=recorded_control(journal),
        run={name: journal.recorded(name) for name in ("settings", "provenance")},
        missing=(Missing(reached, f"unfinished; go on with {command}"),),
    )


def _followed(journal: Journal, met: list[Transition], *, start: int) -> list[int]:
    """Return the numbers of the points on the branch, in the order walked."""
    if journal.count <= 2:
        return [start]
    near = {item.after.index: item.before.index for item in met}  # not always what it was followed from
    last = journal.count - 1
    index = last if last in near else journal.origin(last)
    chain: list[int] = []
    while index is not None and index not in chain:
        chain.append(index)
        index = near.get(index, journal.origin(index))
    if chain[-1:] != [start]:  # another search than the walk itself
        return [start]
    return [index for index in reversed(chain) if not journal.point(index).given_up]


def _transitions(journal: Journal) -> list[Transition]:
    found: list[Transition] = []
    for number in count():
        record = journal.recorded(f"transition {number}")
        if record is None:
            return found
        found.append(read_transition(record, {index: journal.point(read(int, index)) for index in record["points"]}))
    return found


def _range(journal: Journal, options: Mapping[str, Any], points: list[Point]) -> tuple[float, float]:
    """Return the range that was asked for, or that the points at its two ends show."""
    asked = options.get("beta")
    if isinstance(asked, list) and len(asked) == 2:
        return positive(asked[0]), positive(asked[1])
    ends = [journal.point(index).beta for index in range(min(journal.count, 2))]
    return min(*ends, points[0].beta), max(*ends, points[-1].beta)


def _spent(journal: Journal) -> Counts:
    """Return what all points cost, those beside the branch included, and the search for the range."""
    first = journal.point(0).minimum.stats
    spent = Counts(parameters=first.parameters)
    note = journal.recorded("range")
    if note is not None:
        spent = spent + read(Counts, note["counts"])
    for index in range(journal.count):
        spent = spent + journal.point(index).minimum.stats
    return spent


def _sharpness(asked: object) -> float | None:
    """Return the sharpness of a map, asked for alone or as the first of two."""
    first = asked[0] if isinstance(asked, list) and asked else asked
    return None if first in (None, "auto") else positive(first)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole_or_zero(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
