"""The section of a report that tells the shares of basins."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.plots.shares_figure import draw_shares
from spinodal.report.picture import svg_of
from spinodal.report.rows import Table, table
from spinodal.shares.shares import Shares
from spinodal.words.rows import PAGE
from spinodal.words.shares import NOTE, share_rows, share_sentences


@dataclass(frozen=True)
class SharesSection:
    """Sentences, the address of the figure, the table, and a note under it."""

    sentences: tuple[str, ...]
    picture: str
    table: Table
    note: str = NOTE


def shares_section(shares: Shares) -> SharesSection:
    """Return what the report of a map says of shares of its basins."""
    return SharesSection(tuple(share_sentences(shares.to_dict())), svg_of(draw_shares(shares)), share_table(shares))


def share_table(shares: Shares) -> Table:
    """Return the shares that are not zero, by rising beta, the largest first."""
    return table(share_rows(shares.to_dict(), PAGE))
