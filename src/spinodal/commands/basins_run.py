"""A run of `spinodal basins`: its tables, its figure and its report, from the shares or from the run folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from spinodal.commands.arguments import console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.tables import phases_table, told
from spinodal.files import writing
from spinodal.missing import Attempts
from spinodal.shares.shares import Shares
from spinodal.store import RunFolder, is_of_shares, load, recorded_shares
from spinodal.words.rows import TERMINAL
from spinodal.words.shares import NOTE, share_rows

SPARE = {"weight_decay": 1, "E": 2}  # columns, those that are left out first with higher numbers


def is_shares_run(run: Path) -> bool:
    """Tell whether a folder holds a run of `spinodal basins`, finished or not."""
    return RunFolder.is_run(run) and is_of_shares(RunFolder(run))


def shares_of(run: Path) -> Shares:
    """Return the shares of a finished run."""
    return recorded_shares(RunFolder(run), load)


def show_shares_run(run: Path, json_file: str | None) -> None:
    """Print the tables of a run."""
    shares = shares_of(run)
    write_json_file(json_file, shares.to_dict())
    print_shares(console_for(json_file, soft_wrap=True), shares)


def print_shares(console: Console, shares: Shares) -> None:
    """Print the shares as a table and in sentences; with a map, its phases and those that only starts found."""
    console.print()
    console.print(shares_table(shares, console.width), soft_wrap=False)
    console.print(NOTE)
    if shares.map is not None:
        console.print()
        console.print(phases_table(shares.diagram().to_dict(), console.width), soft_wrap=False)
    console.print(f"\n{shares}")
    console.print(f"convention: {shares.convention}")


def shares_table(shares: Shares, width: int) -> Table:
    """Return the shares that are not zero, one per row."""
    return told(f"Shares of {shares.task}", share_rows(shares.to_dict(), TERMINAL), width, spare=SPARE)


def write_shares_pages(shares: Shares, run: Path, files: Attempts, report: Path | None = None) -> Path:
    """Write the figure and the report, each of which may fail without harm to the other; return the latter."""
    from spinodal.plots import draw_shares, save_figure  # matplotlib is slow to import, and needed at the end only

    target = report or run / "report.html"
    with files.part("the figure"), writing(run / "figures"):
        save_figure(draw_shares(shares), run / "figures", "shares")
    with files.part(target.name), writing(target, do="mend that, or give another --out"):
        shares.report(target)
    return target
