"""How a result shows itself: in a line, and, through a door that rooms above open, as a page, a figure or a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 400  # characters of a result in one line


class Renderer(Protocol):
    """What draws and writes results; it knows all of them, and none of them knows it."""

    def html(self, result: object) -> str:
        """Return a result as HTML for a notebook."""

    def plot(self, result: object, kind: str | None, ax: Axes | None) -> Figure:
        """Draw a result."""

    def report(self, result: object, path: Path) -> Path:
        """Write a result as one HTML file."""


_door: list[Callable[[], Renderer]] = []  # what loads the renderer, set by the package as it is imported


def open_with(load: Callable[[], Renderer]) -> None:
    """Have results rendered by what `load` returns, when one is first asked for it."""
    _door[:] = [load]


def one_line(text: str) -> str:
    r"""Return a text as one line of at most `LONGEST` characters.

    Examples
    --------
    >>> one_line("2 phases;\n one transition"), len(one_line("word " * 500))
    ('2 phases; one transition', 400)
    """
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"


class Shown:
    """A result that fits on a line, on a page of a notebook, and in a file to send to somebody."""

    def __repr__(self) -> str:
        """Return the kind of result and what it says, in one line."""
        return f"<{type(self).__name__}: {one_line(str(self))}>"

    def _repr_html_(self) -> str:
        """Return the answer, tables and a figure, for a notebook."""
        return _door[0]().html(self)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the result as one HTML file that asks for nothing from any network, and return its path.

        Raises
        ------
        SpinodalError
            If the file cannot be written, or a package that the page needs is missing.
        """
        return _door[0]().report(self, Path(path))


class Drawn(Shown):
    """A result that has a figure."""

    def plot(self, kind: str | None = None, *, ax: Axes | None = None) -> Figure:
        """Draw the result and return the figure, which a notebook shows.

        Parameters
        ----------
        kind : str, optional
            Which figure; a name that is not known is refused with those that are. Default: the one that says most.
        ax : matplotlib Axes, optional
            Where to draw, for kinds of one panel. Default: a figure of its own.

        Raises
        ------
        SpinodalError
            For a kind that this result does not have, an `ax` for a figure of several panels, or missing matplotlib.
        """
        return _door[0]().plot(self, kind, ax)
