"""`spinodal report`: the report and the figures of a run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.verbs.options import Debug


def report_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="The HTML file. Default: report.html in the run folder.")] = None,
    debug: Debug = False,
) -> None:
    """Write the report of a run, one HTML file that needs no network, and in the run folder figures for papers."""
    from spinodal.commands.report import report_run  # torch takes seconds to import, and the help needs none of it

    report_run(run, out or run / "report.html", debug=debug)
