"""A table for people, in which no number is cut off whatever the width of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table

GAP = 2  # spaces between columns
FOLDED = 9  # characters, and no less than its longest word, that a folded column keeps


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    heading : str
    cells : sequence of str
    spare : int
        0 if it is always shown; otherwise columns with higher numbers are left out first where the terminal is narrow.
    folds : bool
        Whether its cells may be folded at spaces.
    """

    heading: str
    cells: Sequence[str]
    spare: int = 0
    folds: bool = False

    @property
    def width(self) -> int:
        """Return the characters that it needs."""
        texts = [self.heading, *self.cells]
        longest = max(map(len, texts))
        words = max(len(word) for text in texts for word in text.split())
        return min(longest, max(FOLDED, words)) if self.folds else longest


def table(title: str, columns: Sequence[Column], width: int) -> Table:
    """Return a table of at most `width` characters, with the columns that fit and the names of those that do not."""
    shown = fitting(columns, width)
    left_out = [column.heading for column in columns if column not in shown]
    made = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
        caption=f"left out for lack of width: {', '.join(left_out)}" if left_out else None, caption_justify="left",
    )  # fmt: skip
    fits = needed(shown) <= width
    for column in shown:
        justify: Literal["left", "right"] = "left" if column.folds else "right"
        least = column.width if fits else None  # Rich takes room from the widest column, in the middle of a word
        made.add_column(column.heading, justify=justify, overflow="fold", no_wrap=fits and not column.folds, min_width=least)
    for row in zip(*(column.cells for column in shown), strict=True):
        made.add_row(*row)
    return made


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit into a width, in the order given."""
    shown = list(columns)
    for column in sorted((column for column in columns if column.spare), key=lambda column: -column.spare):
        if needed(shown) > width:
            shown.remove(column)
    return shown


def needed(columns: Sequence[Column]) -> int:
    """Return the characters that columns need side by side (Rich counts half a gap after the last one)."""
    return sum(column.width + GAP for column in columns) - GAP // 2
