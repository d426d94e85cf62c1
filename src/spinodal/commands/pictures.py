"""The figures and the report of a run, each of which may fail without harm to the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spinodal.missing import Attempts
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder, load, placements, writing


def write_pictures(diagram: PhaseDiagram, folder: RunFolder, files: Attempts) -> Path:
    """Write the figures and the report, and return the latter; what fails is recorded as missing."""
    write_figures(diagram, folder.path / "figures", files, whole=False)
    folder.lack_files(files.missing)
    report = folder.path / "report.html"
    with files.part("report.html"):
        write_report(load(folder.path), folder.path, report)
    folder.lack_files(files.missing)
    return report


def write_figures(diagram: PhaseDiagram, folder: Path, files: Attempts, *, whole: bool) -> None:
    """Write the phase map, or every figure."""

    @contextmanager
    def part(what: str) -> Iterator[None]:
        with files.part(what), writing(folder, do="mend that; `spinodal report RUN` makes the figures again"):
            yield

    with part("the figures"):
        from spinodal.plots import save_figures, save_phase_map  # matplotlib is slow to import, and needed at the end only

        (save_figures if whole else save_phase_map)(diagram, folder, part=part)


def write_report(diagram: PhaseDiagram, run: Path, target: Path) -> Path:
    """Write the report of a diagram, and return its file."""
    from spinodal.report import save_report  # as is plotly

    with writing(target, do="mend that, or give another --out"):
        return save_report(diagram, target, provenance=diagram.run, placements=placements(run))
