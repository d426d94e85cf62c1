"""A figure inside of a page: as data, so that the page asks for no file."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

from spinodal.plots.style import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLUTION = 110  # dots per inch of a small figure


def svg_of(figure: Figure) -> str:
    """Return a figure as the address of an image made of lines, its words as text: outlines take three times as much."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        return f"data:image/svg+xml;base64,{_written(figure, 'svg', metadata={'Date': None})}"


def png_of(figure: Figure) -> str:
    """Return a figure as the address of an image made of dots, which stays small however much is drawn."""
    return f"data:image/png;base64,{_written(figure, 'png', dpi=RESOLUTION)}"


def _written(figure: Figure, kind: str, **how: Any) -> str:
    content = BytesIO()
    with paper():
        figure.savefig(content, format=kind, **how)
    return base64.b64encode(content.getvalue()).decode("ascii")
