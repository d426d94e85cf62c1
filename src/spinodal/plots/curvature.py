"""What the figures of curvature show: error, scalar curvature and distance along beta, traces and saddle index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from spinodal.conventions import weight_decay
from spinodal.curvature.along import Curvature
from spinodal.curvature.result import LETTERS, SURFACES, CurvatureChange
from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import BetaAxis, beta_axis, ordered_points
from spinodal.plots.panel import MISSING, Curve, Panel, error_panel
from spinodal.spectrum.estimate import Estimate
from spinodal.sweeps.point import Point

FARTHEST = 1e-4  # of the largest magnitude: below it a symmetric logarithmic axis is linear in any case


@dataclass(frozen=True)
class ChangeMark:
    """A change point of R, which is no transition.

    Attributes
    ----------
    surface : {"error", "loss"}
    kind : {"step", "sign change"}
    beta : float
    text : str
        All that is known of it, one line each.
    """

    surface: str
    kind: str
    beta: float
    text: str


@dataclass(frozen=True)
class CurvatureRecord:
    """What the figures of curvature show, in papers and in the report.

    Attributes
    ----------
    title : str
    axis : BetaAxis
    error, curvature, distance : Panel
        E, R of E and of L, and the distance from the centre of the penalty.
    traces, index : Panel
        Traces of the Hessian and of its Gauss-Newton part; negative eigenvalues of H and of Hess L.
    spinodals, coexistence : tuple of float
        Betas, as far as branches or a loop found them.
    changes : tuple of ChangeMark
        The change points of R along the first way.
    """

    title: str
    axis: BetaAxis
    error: Panel
    curvature: Panel
    distance: Panel
    traces: Panel
    index: Panel
    spinodals: tuple[float, ...]
    coexistence: tuple[float, ...]
    changes: tuple[ChangeMark, ...]


def curvature_record(diagram: Diagram) -> CurvatureRecord | None:
    """Return the record of a diagram, None where no curvature was computed."""
    if diagram.curvature is None or not diagram.curvature.points:
        return None
    points = ordered_points(diagram)
    found = [diagram.curvature.at(point) for point in points]
    direction = "up" if diagram.points[0].beta <= diagram.points[-1].beta else "down"
    return CurvatureRecord(
        title=f"Curvature of {diagram.task['name']}",
        axis=beta_axis(diagram),
        error=error_panel(points),
        curvature=_curvature_panel(found),
        distance=_distance_panel(points),
        traces=_trace_panel(found),
        index=_index_panel(found),
        spinodals=tuple(sorted(item.beta for item in diagram.spinodals)),
        coexistence=tuple(sorted(item.beta for item in diagram.coexistence)),
        changes=tuple(_mark(change) for change in diagram.change_points if change.direction == direction),
    )


def _curvature_panel(found: Sequence[Curvature | None]) -> Panel:
    of_error = _curve("R of E", found, lambda item: item.error)
    of_loss = _curve("R of L", found, lambda item: item.loss)
    meaning = "Scalar (Ricci) curvature R of the graphs of E and of L over theta. Triangles: steps; crosses: sign changes."
    scale, linear = _scale((*of_error.values, *of_loss.values))
    note = "band: ± one standard error" if of_error.spread or of_loss.spread else ""
    return Panel("curvature", "scalar curvature R", meaning, (of_error, of_loss), scale=scale, linear_below=linear, note=note)


def _distance_panel(points: Sequence[Point]) -> Panel:
    values = tuple(point.observation.distance for point in points)
    whole = all(math.isclose(value, point.observation.norm, rel_tol=1e-9) for value, point in zip(values, points, strict=True))
    label = "distance from\nthe origin ‖θ‖" if whole else "distance\n‖θ − centre‖"
    meaning = "Distance of theta from the centre of the penalty, over the penalised parameters."
    return Panel("distance", label, meaning, (Curve("distance", values),))


def _trace_panel(found: Sequence[Curvature | None]) -> Panel:
    curves = [_curve("trace of H", found, lambda item: item.trace)]
    if any(item is not None and item.fisher_trace is not None for item in found):
        curves.append(_curve("Fisher trace", found, lambda item: item.fisher_trace))
    meaning = "Trace of the Hessian of E and of its Gauss-Newton part, the Fisher information of the model up to a factor."
    return Panel("traces", "trace", meaning, tuple(curves), note="band: ± one standard error" if curves[0].spread else "")


def _index_panel(found: Sequence[Curvature | None]) -> Panel:
    indices = [[None if item is None else getattr(item, f"index_of_{surface}") for item in found] for surface in SURFACES]
    curves = tuple(
        Curve(f"of {LETTERS[surface]}", tuple(MISSING if index is None else float(index.value) for index in column))
        for surface, column in zip(SURFACES, indices, strict=True)
    )
    bounded = any(index is not None and not index.is_exact for column in indices for index in column)
    meaning = "Saddle index: negative eigenvalues of the Hessian of E and of L, outside the zero modes."
    return Panel("index", "saddle index", meaning, curves, whole=True, note="lower bounds" if bounded else "")


def _curve(name: str, found: Sequence[Curvature | None], read: Callable[[Curvature], Estimate | None]) -> Curve:
    """Return one estimate at every point, with its standard error where any is not exact."""
    estimates = [None if item is None else read(item) for item in found]
    values = tuple(MISSING if item is None or not math.isfinite(item.value) else item.value for item in estimates)
    errors = tuple(MISSING if item is None or not math.isfinite(item.stderr) else item.stderr for item in estimates)
    return Curve(name, values, errors if any(error > 0.0 for error in errors) else None)


def _scale(values: Sequence[float]) -> tuple[Literal["linear", "log", "symlog"], float]:
    """Return the scale for values of any size: logarithmic, or symmetric where they have both signs, linear below a size."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0.0]
    if not sizes:
        return "linear", 0.0
    if all(value > 0.0 for value in values if math.isfinite(value)):
        return "log", 0.0
    least = max(min(sizes), FARTHEST * max(sizes))
    return "symlog", 10.0 ** math.floor(math.log10(least))


def _mark(change: CurvatureChange) -> ChangeMark:
    found = change.found
    low, high = found.bracket
    lines = [
        f"change point of R of {LETTERS[change.surface]}: {found.kind}",
        f"β: {found.beta:.7g}",
        f"weight_decay: {weight_decay(found.beta):.7g}",
        f"between β = {low:.7g} and {high:.7g}",
        f"R: {found.before:.6g} → {found.after:.6g}",
        "exact values" if math.isinf(found.significance) else f"{found.significance:.3g} standard errors",
    ]
    return ChangeMark(change.surface, found.kind, found.beta, "\n".join(lines))
