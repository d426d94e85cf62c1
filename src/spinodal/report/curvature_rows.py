"""Tables of curvature: its change points beside the transitions, and its values at both sides of every transition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from spinodal.conventions import weight_decay
from spinodal.curvature.along import Curvature
from spinodal.curvature.result import LETTERS, CurvatureChange
from spinodal.curvature.survey import Survey
from spinodal.phases.diagram import Diagram
from spinodal.report.rows import Table, arrow, number, table
from spinodal.spectrum.estimate import Estimate
from spinodal.spectrum.saddle_index import SaddleIndex
from spinodal.sweeps.point import Point
from spinodal.words.numbers import half, to_error, width
from spinodal.words.rows import HALF_BRACKET

CAUTION = (
    "R is not invariant when E is rescaled, and it defines no transition: a step of R shows that the network moved to another "
    "place, a sign change need not show anything. Read R beside the margin, the index and the jumps of E and ‖θ‖."
)


def change_point_table(diagram: Diagram) -> Table:
    """Return the change points of R by rising beta, each with what is nearest to it: transition, spinodal, coexistence."""
    found = sorted(diagram.change_points, key=lambda change: (change.beta, change.surface))
    return table([_change(diagram, change) for change in found])


def curvature_table(diagram: Diagram) -> Table:
    """Return the curvature at the ends of the map and on both sides of its macroscopic transitions, by rising beta."""
    survey = diagram.curvature
    if survey is None:
        return table([])
    first, last = diagram.ends
    sides = [(first, "lowest β")]
    for transition in sorted(diagram.macroscopic, key=lambda item: item.beta):
        pair = sorted((transition.before, transition.after), key=lambda point: point.beta)
        named = [f"{side} the transition at β = {transition.beta:.5g}" for side in ("below", "above")]
        sides += zip(pair, named, strict=True)
    rows = [_values(survey, point, place) for point, place in [*sides, (last, "highest β")] if survey.at(point)]
    return table(rows)


def curvature_columns(points: Sequence[Point], survey: Survey | None) -> list[tuple[str, list[str]]]:
    """Return the curvature at points as texts, to be shown on hovering; nothing where it was not computed."""
    if survey is None:
        return []
    found = [survey.at(point) for point in points]
    rows = [{} if item is None else _cells(item) for item in found]
    names = next((list(row) for row in rows if row), [])
    return [(name, [row.get(name, "") for row in rows]) for name in names]


def without(diagram: Diagram) -> list[str]:
    """Return sentences on the points without curvature, one per reason."""
    reasons = Counter(diagram.curvature.failed.values()) if diagram.curvature else Counter[str]()
    return [f"At {_points(count)} there is none: {reason}." for reason, count in sorted(reasons.items())]


def unseen(diagram: Diagram) -> str:
    """Return what is to be said of points whose index of L contradicts a positive margin, "" where there are none."""
    survey = diagram.curvature or Survey()
    found = [(survey.at(point), point.minimum.margin) for point in diagram.points]
    count = sum(1 for item, margin in found if item is not None and item.index_of_loss.value and margin > 0.0)
    if not count:
        return ""
    return (
        f"At {_points(count)} Hess L has a negative eigenvalue, which is proven, and the margin is positive: the search for "
        "the smallest eigenvalue missed it. The walk stopped at a saddle there, along a soft direction; a smaller tolerance "
        "may leave it."
    )


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count:,} points"


def _change(diagram: Diagram, change: CurvatureChange) -> dict[str, str]:
    found = change.found
    return {
        "R of": LETTERS[change.surface],
        "kind": found.kind,
        "way": change.direction if diagram.back is not None else "",
        "weight_decay": to_error(weight_decay(change.beta), weight_decay(half(found.bracket))),
        "β": to_error(change.beta, half(found.bracket)),
        HALF_BRACKET: width(found.bracket),
        "R": arrow([number(found.before), number(found.after)]),
        "standard errors": "exact" if math.isinf(found.significance) else number(found.significance, 3),
        "nearest transition": _nearest(change.beta, [item.beta for item in diagram.all_transitions if not item.minor]),
        "nearest spinodal": _nearest(change.beta, [item.beta for item in diagram.spinodals]),
        "nearest coexistence": _nearest(change.beta, [item.beta for item in diagram.coexistence]),
    }


def _nearest(beta: float, others: Sequence[float]) -> str:
    """Return the nearest of some betas and how far it lies from this one, relative to it."""
    if not others:
        return ""
    nearest = min(others, key=lambda other: abs(math.log(other / beta)))
    return f"{nearest:.6g} ({nearest / beta - 1.0:+.2g})"


def _values(survey: Survey, point: Point, place: str) -> dict[str, str]:
    found = survey.points[point.index]
    return {
        "where": place,
        "weight_decay": f"{weight_decay(point.beta):.6g}",
        "β": f"{point.beta:.7g}",
        **_cells(found),
        "margin": number(point.minimum.margin, 3),
    }


def _cells(found: Curvature) -> dict[str, str]:
    return {
        "R of E": _estimate(found.error),
        "R of L": _estimate(found.loss),
        "trace of H": _estimate(found.trace),
        "Fisher trace": "" if found.fisher_trace is None else _estimate(found.fisher_trace),
        "index of E": _index(found.index_of_error),
        "index of L": _index(found.index_of_loss),
    }


def _estimate(estimate: Estimate) -> str:
    """Return a value, and unless it is exact its standard error, as precise as that is."""
    if estimate.status == "exact" or not estimate.stderr:
        return number(estimate.value)
    return f"{number(estimate.value, _digits(estimate))} ± {number(estimate.stderr, 2)}"


def _digits(estimate: Estimate) -> int:
    """Return how many digits reach two of the standard error's, from five to ten."""
    wanted = math.log10(estimate.relative) if 0.0 < estimate.relative < 1.0 else 0.0
    return min(max(math.ceil(2.0 - wanted), 5), 10)


def _index(index: SaddleIndex) -> str:
    return f"{'' if index.is_exact else '≥ '}{index.value}"
