"""Panels of curves as the report's script gets them."""

from __future__ import annotations

from typing import Any

from spinodal.codec import keyed
from spinodal.plots.panel import Panel
from spinodal.words.numbers import rounded


def panel_record(panel: Panel) -> dict[str, Any]:
    """Return a panel in JSON types."""
    curves = [
        {"name": c.name, "values": rounded(c.values), "spread": None if c.spread is None else rounded(c.spread)}
        for c in panel.curves
    ]
    return {**keyed(panel, "key label meaning note scale linear_below whole most"), "curves": curves}


def curves_figure(panels: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a figure of curves; of several panels, which are those of the weight matrices, one is chosen."""
    if len(panels) == 1:
        return {"kind": "curves", "caption": panels[0]["meaning"], "choices": panels}
    choices = [{**panel, "name": panel["label"].rpartition("\nof ")[2]} for panel in panels]
    caption = "Singular values of one weight matrix:"
    return {"kind": "curves", "caption": caption, "selects": "weight matrix", "choices": choices}
