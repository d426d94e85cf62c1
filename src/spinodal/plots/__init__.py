"""Figures: a diagram becomes a record, and the record becomes pictures, here and in the report."""

from spinodal.plots.axis import BetaAxis, beta_axis
from spinodal.plots.draw import (
    draw_accuracy,
    draw_error,
    draw_margin,
    draw_norm,
    draw_observables,
    draw_phase_map,
    draw_rank,
    draw_recall,
    draw_singular_values,
)
from spinodal.plots.panel import Curve, Panel
from spinodal.plots.recall import RecallMap
from spinodal.plots.record import DiagramRecord, diagram_record
from spinodal.plots.save import save_figures, save_phase_map

__all__ = [
    "BetaAxis",
    "Curve",
    "DiagramRecord",
    "Panel",
    "RecallMap",
    "beta_axis",
    "diagram_record",
    "draw_accuracy",
    "draw_error",
    "draw_margin",
    "draw_norm",
    "draw_observables",
    "draw_phase_map",
    "draw_rank",
    "draw_recall",
    "draw_singular_values",
    "save_figures",
    "save_phase_map",
]
