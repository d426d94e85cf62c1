"""What the report's script gets: the records of the figures, and texts to show beside them, as JSON."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from spinodal.codec import keyed
from spinodal.labelled.result import to_json
from spinodal.phases.diagram import Diagram
from spinodal.phases.step import Step
from spinodal.plots.axis import BetaAxis, ordered_points, walked_phases
from spinodal.plots.recall import RecallMap
from spinodal.plots.record import DiagramRecord
from spinodal.plots.view import first_view
from spinodal.report.curvature_payload import curvature_figures
from spinodal.report.curvature_rows import curvature_columns
from spinodal.report.panel_payload import curves_figure, panel_record
from spinodal.report.rows import point_columns, rank_pair, transition_table
from spinodal.report.s_curve_payload import s_curve_figure, tree_figure
from spinodal.theory import ExactTransition
from spinodal.words.numbers import rounded
from spinodal.words.sentences import where

UNSAFE = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})


def payload(diagram: Diagram, record: DiagramRecord) -> dict[str, Any]:
    """Return everything that the script draws.

    Parameters
    ----------
    diagram : Diagram
    record : DiagramRecord
        Of the diagram `shown`.
    shown : Diagram
        The same with the points that are drawn.
    """
    points = ordered_points(diagram)
    columns = [*point_columns(points, diagram.sample_steps), *curvature_columns(points, diagram.curvature)]
    return {
        "axis": _axis(record.axis, first_view(diagram, record.axis.limits)),
        "columns": [{"name": name, "cells": cells} for name, cells in columns],
        "phases": _phases(diagram, record.axis.limits),
        "transitions": _transitions(diagram),
        "exact": [_exact(form) for form in diagram.exact],
        "figures": figures(record),
        "result": to_json(diagram),
    }


def figures(record: DiagramRecord) -> list[dict[str, Any]]:
    """Return the figures in the order shown; one with several `choices` shows one of them at a time."""
    groups = [
        [record.error], [record.accuracy] if record.accuracy else [], [record.norm], list(record.singular_values),
        [record.rank] if record.singular_values else [], [record.margin], *([panel] for panel in record.observables),
    ]  # fmt: skip
    curves = [curves_figure([panel_record(panel) for panel in group]) for group in groups if group]
    curvature = curvature_figures(record.curvature) if record.curvature else []
    branches = [s_curve_figure(record.s_curves)] if record.s_curves else []
    tree = [tree_figure(record.tree)] if record.tree else []
    maps = [_recall(recall) for recall in record.recall]
    return (
        curves
        + curvature
        + branches
        + tree
        + [{"kind": "recall", "caption": item["meaning"], "choices": [item]} for item in maps]
    )


def script_json(value: Any) -> str:
    r"""Return JSON that can stand inside an HTML script element, whatever texts it holds.

    Examples
    --------
    >>> script_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(UNSAFE)


def _axis(axis: BetaAxis, first: tuple[float, float]) -> dict[str, Any]:
    rough = {"edges": rounded(axis.edges), "minor": rounded(axis.minor)}
    return {**keyed(axis, "beta pieces limits"), **rough, "first": list(first)}


def _phases(diagram: Diagram, limits: tuple[float, float]) -> list[dict[str, Any]]:
    """Return the phases, each reaching to the transitions beside it, those that only the way back of a loop met last."""
    phases = walked_phases(diagram)
    borders = [limits[0], *sorted(transition.beta for transition in diagram.macroscopic), limits[1]]
    ranges = list(pairwise(borders)) if len(borders) == len(phases) + 1 else [phase.beta for phase in phases]
    shown = dict(zip((phase.id for phase in phases), ranges, strict=True))
    return [
        {
            "id": phase.id,
            "low": shown.get(phase.id, phase.beta)[0],
            "high": shown.get(phase.id, phase.beta)[1],
            "rank": phase.rank if diagram.has_matrices else None,
            "walked": phase.id in shown,
        }
        for phase in diagram.phases
    ]


def _transitions(diagram: Diagram) -> list[dict[str, Any]]:
    table = transition_table(diagram)
    return [
        {
            "number": step.number,
            "beta": step.beta,
            "gone": gone(step, has_matrices=diagram.has_matrices),
            "text": "\n".join(f"{name}: {cell}" for name, cell in zip(table.headings[1:], row[1:], strict=True) if cell),
            "short": f"transition {step.number}: {where(step).replace('beta', 'β')}"
            + (f", rank {' → '.join(rank_pair(step))}" if diagram.has_matrices else ""),
        }
        for step, row in zip(diagram.steps, table.rows, strict=True)
    ]


def gone(step: Step, *, has_matrices: bool) -> str:
    """Return what goes at a transition as beta rises, as short as a label: "rank 9 → 8, 8 lost"; "" where nothing does."""
    below, above = step.ranks
    rank = f"rank {below} → {above}" if has_matrices and below != above else ""
    lost = f"{' '.join(map(str, step.lost))} lost" if step.classes is not None and step.lost else ""
    return ", ".join(filter(None, [rank, lost]))


def _exact(form: ExactTransition) -> dict[str, Any]:
    text = f"closed form: {form.order} order, mode s = {form.singular_value:.6g}\nβ = {form.beta:.8g}"
    return {"beta": form.beta, "text": text}


def _recall(recall: RecallMap) -> dict[str, Any]:
    return {**keyed(recall, "key label meaning classes"), "note": "", "rows": [rounded(row, 4) for row in recall.rows]}
