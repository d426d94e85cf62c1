"""What `spinodal report` does: the report and the figures of a run, made again."""

from __future__ import annotations

from pathlib import Path

from spinodal.commands.basins_run import is_shares_run, shares_of, write_shares_pages
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.path_run import is_path_run, path_result, write_path_run
from spinodal.commands.pictures import write_figures, write_report
from spinodal.missing import Attempts
from spinodal.store import load


def report_run(run: Path, target: Path, *, debug: bool) -> None:
    """Write the report of a run, and figures for papers in its folder."""
    if is_path_run(run):
        made = write_path_run(run, path_result(run), target)
        print(f"report: {made}\nfigures: {run / 'figures'}")  # noqa: T201
        return
    files, figures = Attempts(on_failure=failure_shown(debug)), run / "figures"
    if is_shares_run(run):
        made = write_shares_pages(shares_of(run), run, files, target)
        print(f"report: {made}\nfigures: {figures}")  # noqa: T201
        tell_missing(files.missing, f"spinodal report {run}")
        return
    diagram = load(run)
    made = write_report(diagram, run, target)
    write_figures(diagram, figures, files, whole=True)
    print(f"report: {made}\nfigures: {figures}")  # noqa: T201
    tell_missing(files.missing, f"spinodal report {run}")
