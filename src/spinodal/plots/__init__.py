"""Figures: a diagram becomes a record, and the record becomes pictures, here and in the report."""

from spinodal.plots.axis import BetaAxis, beta_axis
from spinodal.plots.basin_tree import BasinTreeRecord, Joint, Trunk, basin_tree_record
from spinodal.plots.basin_tree_figure import draw_basin_tree
from spinodal.plots.comparison_figure import draw_comparison
from spinodal.plots.curvature import ChangeMark, CurvatureRecord, curvature_record
from spinodal.plots.curvature_figure import draw_curvature, draw_hessian
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
from spinodal.plots.ensemble_figure import draw_ensemble
from spinodal.plots.mark import Mark
from spinodal.plots.panel import Curve, Panel
from spinodal.plots.phase_tree import PhaseBar, TreeRecord, tree_record
from spinodal.plots.recall import RecallMap
from spinodal.plots.record import DiagramRecord, diagram_record
from spinodal.plots.s_curve import BranchCurve, Extension, SCurveRecord, Way, s_curve_record
from spinodal.plots.s_curve_figure import draw_s_curves
from spinodal.plots.save import save_figure, save_figures, save_phase_map
from spinodal.plots.shares_figure import draw_shares
from spinodal.plots.tree_figure import draw_tree

__all__ = [
    "BasinTreeRecord",
    "BetaAxis",
    "BranchCurve",
    "ChangeMark",
    "CurvatureRecord",
    "Curve",
    "DiagramRecord",
    "Extension",
    "Joint",
    "Mark",
    "Panel",
    "PhaseBar",
    "RecallMap",
    "SCurveRecord",
    "TreeRecord",
    "Trunk",
    "Way",
    "basin_tree_record",
    "beta_axis",
    "curvature_record",
    "diagram_record",
    "draw_accuracy",
    "draw_basin_tree",
    "draw_comparison",
    "draw_curvature",
    "draw_ensemble",
    "draw_error",
    "draw_hessian",
    "draw_margin",
    "draw_norm",
    "draw_observables",
    "draw_phase_map",
    "draw_rank",
    "draw_recall",
    "draw_s_curves",
    "draw_shares",
    "draw_singular_values",
    "draw_tree",
    "s_curve_record",
    "save_figure",
    "save_figures",
    "save_phase_map",
    "tree_record",
]
