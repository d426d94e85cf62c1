"""Curves over the points of a diagram: what one figure shows, before it is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from spinodal.sweeps.point import Point

MOST_SINGULAR_VALUES = 32  # per weight matrix; the largest are drawn
MISSING = math.nan
AFAR = 4.0  # free parameters that are so many times larger would leave nothing to see of the penalised ones


@dataclass(frozen=True)
class Curve:
    """One quantity at every point.

    Attributes
    ----------
    name : str
    values : tuple of float
        One per point of the axis; NaN where it is missing.
    spread : tuple of float or None
        Its error at every point, where it has one.
    """

    name: str
    values: tuple[float, ...]
    spread: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Panel:
    """The curves of one figure.

    Attributes
    ----------
    key : str
        A short name for files and links.
    label : str
        Of the vertical axis, with the unit if the quantity has one.
    meaning : str
        One sentence for a caption.
    curves : tuple of Curve
    scale : {"linear", "log", "symlog"}
        A logarithmic axis leaves out what is not positive; `note` says how much that is. A symmetric one has both signs.
    linear_below : float
        Magnitude below which a symmetric logarithmic axis is linear.
    whole : bool
        Whether the values are whole numbers, and hence steps.
    most : float or None
        The largest value there can be.
    note : str
        What is not drawn, or "".
    """

    key: str
    label: str
    meaning: str
    curves: tuple[Curve, ...]
    scale: Literal["linear", "log", "symlog"] = "linear"
    whole: bool = False
    most: float | None = None
    note: str = ""
    linear_below: float = 0.0


def error_panel(points: Sequence[Point]) -> Panel:
    """Return E at every point."""
    return Panel("error", "error E", "Error E, a mean over the samples.", (Curve("E", _floats(p.error for p in points)),))


def norm_panel(points: Sequence[Point]) -> Panel:
    """Return `||theta||` at every point, beside its penalised part where they differ: only that must fall with beta."""
    whole = _floats(point.observation.norm for point in points)
    part = _floats(point.observation.distance for point in points)
    if all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(whole, part, strict=True)):
        return Panel("norm", "norm ‖θ‖", "Norm ‖θ‖ of all trainable parameters.", (Curve("‖θ‖", whole),))
    penalised = Curve("in the penalty", part)
    if 0.0 < AFAR * max(part) < max(whole):
        note = f"of all trainable parameters: {min(whole):.3g} to {max(whole):.3g}"
        return Panel("norm", "norm of penalised\nparameters", "Norm of the parameters in the penalty.", (penalised,), note=note)
    meaning = "Norm of the parameters in the penalty, and of all trainable ones."
    return Panel("norm", "norm", meaning, (penalised, Curve("all", whole)))


def margin_panel(points: Sequence[Point]) -> Panel:
    """Return the margin at every point, with the residual of its eigenpair; NaN where it is not known."""
    margins = _floats(point.minimum.margin for point in points)
    errors = _floats(point.minimum.margin_error for point in points)
    total, hidden, missing = len(margins), sum(value <= 0 for value in margins), sum(math.isnan(value) for value in margins)
    positive = [value for value in margins if value > 0]
    notes = [
        "band: ± the residual of the eigenpair" if _is_visible(errors, margins) else "",
        f"{hidden} of {total} points have a margin ≤ 0 and are not on the logarithmic axis" if hidden and positive else "",
        f"{missing} of {total} points have no margin" if missing else "",
    ]
    return Panel(
        "margin", "margin of Hess L",
        "Margin: the smallest eigenvalue of the Hessian of L outside the zero modes; it vanishes where a phase ends.",
        (Curve("margin", margins, errors),), scale="log" if positive else "linear", note="; ".join(filter(None, notes)),
    )  # fmt: skip


def _is_visible(errors: Sequence[float], margins: Sequence[float]) -> bool:
    """Tell whether any error is more than 1 % of its value."""
    return any(error > 0.01 * abs(value) for error, value in zip(errors, margins, strict=True))


def singular_value_panels(points: Sequence[Point]) -> tuple[Panel, ...]:
    """Return the singular values of every weight matrix, that of the smallest rank at the lowest beta first."""
    first = points[0].observation
    names = sorted(first.singular_values, key=lambda name: (first.ranks.get(name, 0), len(first.singular_values[name])))
    return tuple(_singular_values(points, name) for name in names)


def _singular_values(points: Sequence[Point], matrix: str) -> Panel:
    count = len(points[0].observation.singular_values[matrix])
    shown = min(count, MOST_SINGULAR_VALUES)
    rows = [point.observation.singular_values[matrix] for point in points]
    curves = tuple(Curve(f"σ{index + 1}", _floats(row[index] for row in rows)) for index in range(shown))
    note = f"the {shown} largest of {count}" if shown < count else ""
    return Panel(
        "singular_values", f"singular values\nof {matrix}", f"Singular values of {matrix}.", curves, note=note,
    )  # fmt: skip


def rank_panel(points: Sequence[Point]) -> Panel:
    """Return the effective rank of the model and of every weight matrix."""
    names = list(points[0].observation.ranks)
    model = Curve("model", _floats(point.observation.rank for point in points))
    matrices = [Curve(name, _floats(point.observation.ranks[name] for point in points)) for name in names]
    meaning = "Effective rank: singular values above max(0.1 · largest, 0.001); of the model, the smallest over its matrices."
    return Panel("rank", "effective rank", meaning, (model, *matrices), whole=True)


def accuracy_panel(points: Sequence[Point]) -> Panel | None:
    """Return the accuracy on the training and on the held-out data; None without classes."""
    curves = []
    for part, name in (("train", "train"), ("held_out", "held out")):
        values = [point.observation.accuracy[part] for point in points]
        if any(value is not None for value in values):
            curves.append(Curve(name, _floats(values)))
    if not curves:
        return None
    return Panel("accuracy", "accuracy", "Accuracy: the part of the samples classified rightly.", tuple(curves), most=1.0)


def observable_panels(points: Sequence[Point]) -> tuple[Panel, ...]:
    """Return the task's own observables, each in a panel."""
    return tuple(_observable(points, name) for name in points[0].observation.custom)


def _observable(points: Sequence[Point], name: str) -> Panel:
    values = _floats(point.observation.custom.get(name) for point in points)
    return Panel("observable", name, f"Observable of the task: {name}.", (Curve(name, values),))


def _floats(values: Iterable[float | None]) -> tuple[float, ...]:
    """Return finite numbers as they are and everything else as NaN."""
    return tuple(float(value) if value is not None and math.isfinite(value) else MISSING for value in values)
