"""A result as a piece of a notebook, or as a file."""

from __future__ import annotations

from pathlib import Path

from spinodal.basins.tree import Hierarchy
from spinodal.errors import SpinodalError
from spinodal.notebook.contents import contents
from spinodal.notebook.drawing import kinds, plot
from spinodal.report.hierarchy import save_hierarchy
from spinodal.report.page import encodable, page_of, save_report, template, written
from spinodal.report.picture import png_of
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.shares import Shares


def html(result: object) -> str:
    """Return a result as HTML that stands in a page: sentences, tables, the figure that says most."""
    told = contents(result)
    text: str = template("fragment.html").render(answer=told.sentences, tables=told.tables, **_pictured(result))
    return encodable(text)


def report(result: object, path: Path) -> Path:
    """Write a result as one HTML file and return its path; of a diagram and of a hierarchy it is their own report.

    Shares that know their map are a section of its report.
    """
    if isinstance(result, PhaseDiagram):
        return save_report(result, path, provenance=result.run)
    if isinstance(result, Shares) and result.map is not None and result.map.control.is_l2:
        return save_report(result.diagram(), path, provenance=result.map.run, shares=result)
    if isinstance(result, Hierarchy):
        return save_hierarchy(result, path)
    told = contents(result)
    title, pictured = type(result).__name__, _pictured(result)
    return written(path, page_of("result.html", title=title, answer=told.sentences, tables=told.tables, **pictured))


def _pictured(result: object) -> dict[str, str]:
    """Return the figure that says most, and its name; empty texts where there is none."""
    try:
        name = next(iter(kinds(result)), "")
    except SpinodalError:  # a map along another control has tables and no figures
        name = ""
    return {"picture": png_of(plot(result, name, None)) if name else "", "drawn": name.replace("_", " ")}
