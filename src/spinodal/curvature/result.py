"""Curvature along a map as its result states it: columns over the points, and the change points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.curvature.along import Curvature
from spinodal.curvature.changes import ChangePoint, change_points
from spinodal.curvature.record import estimate_record, index_record, null
from spinodal.curvature.survey import Survey
from spinodal.sweeps.point import Point

Way = tuple[Sequence[Point], str]  # points in the order walked, and the direction
SURFACES = ("error", "loss")
LETTERS = {"error": "E", "loss": "L"}
OF_ESTIMATES = ("value", "stderr", "products", "method", "seed", "status")
OF_INDICES = ("value", "exact", "lowest", "products", "status")
CONVENTION = "R, trace and eigenvalues scale with E as it is normalised; Hess L = H + 2 beta on penalised parameters"


@dataclass(frozen=True)
class CurvatureChange:
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

    surface: str
    direction: str
    points: tuple[int, int]
    found: ChangePoint

    @property
    def beta(self) -> float:
        """Return where it is."""
        return self.found.beta

    def __str__(self) -> str:
        """Return the change point in one line."""
        return f"R of {LETTERS[self.surface]}, way {self.direction}: {self.found}"

    def to_dict(self) -> dict[str, Any]:
        """Return the change point in JSON types."""
        record = asdict(self.found)
        return {
            "surface": self.surface,
            "kind": record.pop("kind"),
            "beta": self.found.beta,
            "weight_decay": weight_decay(self.found.beta),
            "bracket": list(self.found.bracket),
            "direction": self.direction,
            "value": [self.found.before, self.found.after],
            "significance": null(self.found.significance),
            "points": list(self.points),
        }


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
            "point": [point.index for point in points],
            "beta": [point.beta for point in points],
            "margin": [null(point.minimum.margin) for point in points],
            **columns(found),
        },
        "failed": [{"point": index, "text": text} for index, text in sorted(survey.failed.items())],
        "change_points": [change.to_dict() for change in changes],
    }


def columns(found: Sequence[Curvature | None]) -> dict[str, Any]:
    """Return the numbers of points as columns."""
    estimates = {name: [getattr(item, name, None) for item in found] for name in (*SURFACES, "trace", "fisher_trace")}
    return {
        **{name: _columns(OF_ESTIMATES, [item and estimate_record(item) for item in of]) for name, of in estimates.items()},
        **{f"index_of_{surface}": _columns(OF_INDICES, _indices(found, surface)) for surface in SURFACES},
        "caveats": sorted({text for item in found if item for text in item.caveats}),
    }


def _columns(names: Sequence[str], records: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    return {name: [None if record is None else record[name] for record in records] for name in names}


def _indices(found: Sequence[Curvature | None], surface: str) -> list[dict[str, Any] | None]:
    return [None if item is None else index_record(getattr(item, f"index_of_{surface}")) for item in found]
