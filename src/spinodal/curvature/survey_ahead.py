"""Curvature at the points of a map, computed by workers ahead of the survey."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from spinodal.curvature.survey import note_name, noted
from spinodal.landscape.penalty import l2
from spinodal.parallel import Crew
from spinodal.sweeps.point import Point
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.recorder import Recorder


def survey_ahead(
    crew: Crew[Problem], points: Iterable[Point], recorder: Recorder, *, seed: int, on_point: Callable[[int, int], None]
) -> None:
    """Let workers compute the curvature at the points that the recorder does not know, and record it as it comes."""
    distinct = {point.index: point for point in points}
    unknown = [point for index, point in sorted(distinct.items()) if not recorder.knows(note_name(index))]
    wanted = [(replace(point, tangent=point.tangent[:0]), seed) for point in unknown]  # which may be large
    for done, (place, note) in enumerate(crew.results(noted_ahead, wanted), start=len(distinct) - len(wanted)):
        on_point(done, len(distinct))
        recorder.note(note_name(wanted[place][0].index), lambda: note)  # noqa: B023 - it is called at once


def noted_ahead(problem: Problem, job: tuple[Point, int]) -> dict[str, Any]:
    """Return what is noted of the curvature at a point, in a worker."""
    point, seed = job
    return noted(point, problem.landscape, l2(problem.control, "the curvature of L"), seed, problem.owner)
