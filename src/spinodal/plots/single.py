"""One panel of a diagram on axes that somebody gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spinodal.errors import SpinodalError
from spinodal.plots.draw import draw_recall_map
from spinodal.plots.panel import Panel
from spinodal.plots.record import DiagramRecord
from spinodal.plots.style import draw_marks, draw_panel, set_beta

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = ("error", "norm", "margin", "singular_values", "rank", "accuracy", "recall")  # figures with a first panel of their own


def draw_single(axes: Axes, *, record: DiagramRecord, kind: str) -> None:
    """Draw one kind of `PANELS` against beta: of the singular values those of the narrowest matrix, of recalls the first."""
    found = getattr(record, kind)
    first = (found[0] if found else None) if isinstance(found, tuple) else found
    if first is None:
        raise SpinodalError(
            got=f"kind {kind!r} of a model without {'matrices' if kind == 'singular_values' else 'classes'}",
            allowed="what the model has is allowed",
            do="choose error, norm, margin or rank",
        )
    if isinstance(first, Panel):
        draw_panel(axes, first, record.axis)
        draw_marks(axes, record.axis)
    else:
        draw_recall_map(cast("Figure", axes.figure), axes, first, record)
    set_beta(axes, record.axis.limits)
