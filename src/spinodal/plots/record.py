"""Everything that the figures of a diagram show, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.phases.diagram import Diagram
from spinodal.plots.axis import BetaAxis, beta_axis, ordered_points
from spinodal.plots.curvature import CurvatureRecord, curvature_record
from spinodal.plots.panel import (
    Panel,
    accuracy_panel,
    error_panel,
    margin_panel,
    norm_panel,
    observable_panels,
    rank_panel,
    singular_value_panels,
)
from spinodal.plots.phase_tree import TreeRecord, tree_record
from spinodal.plots.recall import RecallMap, recall_maps
from spinodal.plots.s_curve import SCurveRecord, s_curve_record


@dataclass(frozen=True)
class DiagramRecord:
    """What the figures show: the same for papers and for the report.

    Attributes
    ----------
    title : str
    axis : BetaAxis
    error, norm, margin, rank : Panel
    singular_values : tuple of Panel
        One per weight matrix, that of the smallest rank at the lowest beta first.
    accuracy : Panel or None
        None without classes.
    recall : tuple of RecallMap
        Of the training and of the held-out data, as far as there are any.
    observables : tuple of Panel
        The task's own.
    s_curves : SCurveRecord or None
        Of the branches and of both ways of a loop; None where there are none.
    tree : TreeRecord or None
        Likewise.
    curvature : CurvatureRecord or None
        Of the curvature along beta; None where it was not computed.
    """

    title: str
    axis: BetaAxis
    error: Panel
    norm: Panel
    margin: Panel
    rank: Panel
    singular_values: tuple[Panel, ...]
    accuracy: Panel | None
    recall: tuple[RecallMap, ...]
    observables: tuple[Panel, ...]
    s_curves: SCurveRecord | None
    tree: TreeRecord | None
    curvature: CurvatureRecord | None = None


def diagram_record(diagram: Diagram) -> DiagramRecord:
    """Return the record of a diagram; no model is needed for it."""
    points = ordered_points(diagram)
    return DiagramRecord(
        title=f"Phases of {diagram.task['name']}",
        axis=beta_axis(diagram),
        error=error_panel(points),
        norm=norm_panel(points),
        margin=margin_panel(points),
        rank=rank_panel(points),
        singular_values=singular_value_panels(points),
        accuracy=accuracy_panel(points),
        recall=recall_maps(points),
        observables=observable_panels(points),
        s_curves=s_curve_record(diagram),
        tree=tree_record(diagram),
        curvature=curvature_record(diagram),
    )
