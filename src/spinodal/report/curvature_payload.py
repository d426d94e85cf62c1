"""The figures of curvature as the report's script gets them."""

from __future__ import annotations

from typing import Any

from spinodal.codec import keyed
from spinodal.curvature.result import LETTERS
from spinodal.plots.curvature import CurvatureRecord
from spinodal.report.panel_payload import curves_figure, panel_record

HEIGHTS = {"error": 0.96, "loss": 0.88}  # of the marks, as parts of the height of their figure


def curvature_figures(record: CurvatureRecord) -> list[dict[str, Any]]:
    """Return R with its change points, then traces and saddle index."""
    figures = [curves_figure([panel_record(panel)]) for panel in (record.curvature, record.traces, record.index)]
    low, high = record.axis.limits
    figures[0]["marks"] = [
        {
            **keyed(change, "beta kind text"),
            "height": HEIGHTS[change.surface],
            "curve": list(LETTERS).index(change.surface),
        }
        for change in record.changes
    ]
    for figure in figures:
        figure["coexistence"] = [beta for beta in record.coexistence if low <= beta <= high]
    return figures
