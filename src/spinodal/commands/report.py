"""`spinodal report`: the report and the figures of a run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import Debug
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.pictures import write_figures, write_report
from spinodal.missing import Attempts
from spinodal.store import load


def report_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="The HTML file. Default: report.html in the run folder.")] = None,
    debug: Debug = False,
) -> None:
    """Write the report of a run, one HTML file that needs no network, and in the run folder figures for papers."""
    diagram, figures = load(run), run / "figures"
    files = Attempts(on_failure=failure_shown(debug))
    made = write_report(diagram, run, out or run / "report.html")
    write_figures(diagram, figures, files, whole=True)
    print(f"report: {made}\nfigures: {figures}")  # noqa: T201
    tell_missing(files.missing, f"spinodal report {run}")
