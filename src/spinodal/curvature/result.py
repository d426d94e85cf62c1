"""Curvature along a map as its result states it: columns over the points, and the change points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spinodal.codec import Record, columns, plain
from spinodal.conventions import weight_decay
from spinodal.curvature.along import Curvature
from spinodal.curvature.changes import ChangePoint, change_points
from spinodal.curvature.survey import Survey
from spinodal.sweeps.point import Point

Way = tuple[Sequence[Point], str]  # points in the order walked, and the direction
SURFACES = ("error", "loss")
LETTERS = {"error": "E", "loss": "L"}
OF_ESTIMATES = "value stderr products method seed status"
OF_INDICES = "value exact=is_exact lowest products status"
CONVENTION = "R, trace and eigenvalues scale with E as it is normalised; Hess L = H + 2 beta on penalised parameters"


@dataclass(frozen=True)
class CurvatureChange(Record):
    """A change point of the scalar curvature along one way of a map.

    Attributes
    ----------
    surface : {"error", "loss"}
        Of which R.
    direction : {"up", "down"}
        The way on which its points lie.
    points : (number, number)
        The points of the journal between which it lies, that at the lower beta first.
    found : ChangePoint
    """

    JSON = (
        "surface kind=found.kind beta weight_decay bracket=found.bracket direction value=found.ends "
        "significance=found.significance points"
    )

    surface: str
    direction: str
    points: tuple[int, int]
    found: ChangePoint

    @property
    def beta(self) -> float:
        """Return where it is."""
        return self.found.beta

    @property
    def weight_decay(self) -> float:
        """Return where it is as PyTorch counts."""
        return weight_decay(self.beta)

    def __str__(self) -> str:
        """Return the change point in one line."""
        return f"R of {LETTERS[self.surface]}, way {self.direction}: {self.found}"


def found_changes(survey: Survey, ways: Iterable[Way]) -> tuple[CurvatureChange, ...]:
    """Return the change points of R of E, then those of R of L, by rising beta, way after way."""
    return tuple(
        change for points, direction in ways for surface in SURFACES for change in _changes(survey, points, surface, direction)
    )


def _changes(survey: Survey, points: Sequence[Point], surface: str, direction: str) -> Iterator[CurvatureChange]:
    known = {point.beta: point.index for point in points if point.index in survey.points}
    estimates = [getattr(survey.points[index], surface) for index in known.values()]
    values, errors = [item.value for item in estimates], [item.stderr for item in estimates]
    for found in change_points(list(known), values, errors):
        low, high = found.bracket
        yield CurvatureChange(surface, direction, (known[low], known[high]), found)


def to_result(survey: Survey, ways: Iterable[Way], changes: Iterable[CurvatureChange]) -> dict[str, Any]:
    """Return the curvature along the ways of a map in JSON types; null stands for what is not known."""
    points = [point for walked, _ in ways for point in walked]
    found = [survey.points.get(point.index) for point in points]
    return {
        "convention": CONVENTION,
        "points": {
            **columns(points, "point=index beta margin=minimum.margin"),
            **_estimates(found),
        },
        "failed": [{"point": index, "text": text} for index, text in sorted(survey.failed.items())],
        "change_points": plain(list(changes)),
    }


def _estimates(found: Sequence[Curvature | None]) -> dict[str, Any]:
    """Return the numbers of points as columns."""
    words = dict.fromkeys((*SURFACES, "trace", "fisher_trace"), OF_ESTIMATES)
    words |= {f"index_of_{surface}": OF_INDICES for surface in SURFACES}
    return {
        **{name: columns([getattr(item, name, None) for item in found], of) for name, of in words.items()},
        "caveats": sorted({text for item in found if item for text in item.caveats}),
    }
