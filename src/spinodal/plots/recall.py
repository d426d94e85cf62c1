"""The recall of every class over the points of a diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spinodal.plots.panel import MISSING
from spinodal.sweeps.point import Point

PARTS = {"train": "training data", "held_out": "held-out data"}


@dataclass(frozen=True)
class RecallMap:
    """What a heat map of recall shows.

    Attributes
    ----------
    key, label, meaning : str
        A short name, the label of the vertical axis, and one sentence for a caption.
    classes : tuple of str
        Their labels, one per row.
    rows : tuple of tuples of float
        `rows[class][point]` between 0 and 1; NaN where a class has no samples.
    """

    key: str
    label: str
    meaning: str
    classes: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]


def recall_maps(points: Sequence[Point]) -> tuple[RecallMap, ...]:
    """Return the maps of training and held-out data, where there are any; first the one that tells which classes live."""
    first = points[0].observation
    parts = sorted(PARTS, key=lambda part: part != first.telling)
    return tuple(_recall_map(points, part) for part in parts if first.class_accuracy[part])


def _recall_map(points: Sequence[Point], part: str) -> RecallMap:
    count = len(points[0].observation.class_accuracy[part] or ())
    known = [point.observation.class_accuracy[part] or (None,) * count for point in points]
    return RecallMap(
        key="recall" if part == "train" else f"recall_{part}",
        label=f"class ({PARTS[part]})",
        meaning=f"Recall of every class: the part of its samples classified rightly, on the {PARTS[part]}.",
        classes=tuple(str(index) for index in range(count)),
        rows=tuple(
            tuple(MISSING if value is None else float(value) for value in column) for column in zip(*known, strict=True)
        ),
    )
