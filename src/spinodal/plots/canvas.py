"""A figure that a notebook shows without pyplot and without its state."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

RESOLUTION = 110  # dots per inch on a screen


class Canvas(Figure):
    """A figure of matplotlib that knows how to show itself in a notebook."""

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=RESOLUTION)
        return content.getvalue()
