"""Phases that only random starts found enter a diagram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import count

from spinodal.phases.diagram import Diagram
from spinodal.phases.joined import D
from spinodal.sweeps.point import Point
from spinodal.tasks.models import Models


def with_started(diagram: D, found: Mapping[int, Sequence[Point]]) -> D:
    """Return a diagram with phases that only starts found.

    Parameters
    ----------
    diagram : Diagram
    found : mapping of phases to their points, by rising beta
        Phases are numbered after those of the diagram, without a gap. Points are numbered here, after all others, since
        theirs may be numbers of another journal.

    Raises
    ------
    ValueError
        For phases of other numbers, or without a point.
    """
    first = len(diagram.phases)
    if sorted(found) != list(range(first, first + len(found))) or not all(found.values()):
        raise ValueError(sorted(found))
    number = count(1 + max(_numbers(diagram)))
    started = {
        phase: tuple(replace(point, index=next(number), origin=None) for point in found[phase]) for phase in sorted(found)
    }
    known = {point.index for points in started.values() for point in points}
    return replace(diagram, started={**diagram.started, **started}, models=_besides(diagram.models, known))


def _besides(models: Models | None, others: Set[int]) -> Models | None:
    """Return what gives models back where some points are not of the journal that verifies states."""
    if models is None:
        return None
    verify = models.verify
    return replace(models, verify=lambda index: None if index in others else verify(index))


def _numbers(diagram: Diagram) -> Iterator[int]:
    """Yield the numbers of all points."""
    for phase in diagram.phases:
        yield from (point.index for point in (*phase.points, *phase.beyond))
    for transition in diagram.all_transitions:
        yield from (transition.before.index, transition.after.index)
