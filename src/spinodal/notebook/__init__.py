"""Results as pages of a notebook, figures and files: the door of `spinodal.shown` leads here."""

from spinodal.notebook.drawing import plot
from spinodal.notebook.page import html, report

__all__ = ["html", "plot", "report"]
