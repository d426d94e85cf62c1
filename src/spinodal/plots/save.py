"""Figures into a folder, for screen (PNG) and print (PDF, which holds vectors)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinodal.files import write_whole
from spinodal.phases.diagram import Diagram
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
from spinodal.plots.record import DiagramRecord, diagram_record
from spinodal.plots.s_curve_figure import draw_s_curves
from spinodal.plots.style import paper
from spinodal.plots.tree_figure import draw_tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Part = Callable[[str], AbstractContextManager[None]]

FIGURES: Mapping[str, Callable[[DiagramRecord], Figure | None]] = {
    "phase_map": draw_phase_map,
    "error": draw_error,
    "norm": draw_norm,
    "margin": draw_margin,
    "singular_values": draw_singular_values,
    "rank": draw_rank,
    "accuracy": draw_accuracy,
    "recall": draw_recall,
    "observables": draw_observables,
    "s_curves": draw_s_curves,
    "tree": draw_tree,
    "curvature": draw_curvature,
    "hessian": draw_hessian,
}
FIRST = ("phase_map", "s_curves", "curvature")  # what a map writes at once
RESOLUTION = 200  # dots per inch of a PNG
UNDATED: Mapping[str, Mapping[str, Any]] = {".png": {}, ".pdf": {"CreationDate": None}}  # the same figure is the same file


def _alone(_what: str) -> AbstractContextManager[None]:
    return nullcontext()


def save_figures(diagram: Diagram, folder: Path, *, part: Part = _alone) -> list[Path]:
    """Write every figure that applies as PNG and PDF into a folder, made if needed, and return the paths.

    The first path is that of the phase map. `part` makes a context in which one figure, named, is made: what goes wrong
    there, and does not leave it, costs that figure alone.
    """
    return _save_all(diagram, folder, FIGURES, part)


def save_phase_map(diagram: Diagram, folder: Path, *, part: Part = _alone) -> list[Path]:
    """Write the phase map and, where there are any, S-curves and curvature as PNG and PDF into a folder; return the paths."""
    return _save_all(diagram, folder, FIRST, part)


def _save_all(diagram: Diagram, folder: Path, names: Iterable[str], part: Part) -> list[Path]:
    record, paths = None, []
    with part("the figures"):
        diagram.control.require_l2("the figures")
        record = diagram_record(diagram)
    for name in names if record is not None else ():
        with part(f"the figure {name}"):
            figure = FIGURES[name](record)
            paths += [] if figure is None else save_figure(figure, folder, name)
    return paths


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write one figure as PNG and PDF into a folder, made if needed, and return the paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}{ending}" for ending in UNDATED]
    with paper():
        figure.get_layout_engine().execute(figure)  # type: ignore[union-attr]
        figure.set_layout_engine(None)  # laid out once, not again for every format
        for path in paths:
            content = BytesIO()
            figure.savefig(content, format=path.suffix[1:], dpi=RESOLUTION, metadata=dict(UNDATED[path.suffix]))
            write_whole(path, content.getvalue())
    return paths
