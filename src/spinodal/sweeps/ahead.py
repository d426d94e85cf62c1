"""Parts of the work that workers do ahead of the walk that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from spinodal.parallel import Crew
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder
from spinodal.sweeps.request import Request


class Part(Protocol):
    """A part of the work that depends on no other: what it asks for, it asks for under its own name."""

    @property
    def part(self) -> str:
        """Return its name (see `Walker.within`)."""
        ...


J = TypeVar("J", bound=Part)
Made = list[tuple[Request, Point]]


def record_ahead(crew: Crew[Problem], recorder: Recorder, function: Callable[[Problem, J], Made], parts: Sequence[J]) -> None:
    """Let workers do parts that were not done yet, and record the points that they made, and that they did them."""
    wanted = [part for part in parts if not recorder.knows(_done(part))]
    for place, made in crew.results(function, wanted):
        for request, point in made:
            recorder.take(request, point)
        count = len(made)
        recorder.note(_done(wanted[place]), lambda: {"points": count})  # noqa: B023 - it is called at once


def _done(part: Part) -> str:
    return f"{part.part}: computed ahead"
