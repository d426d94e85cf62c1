"""A run folder of `spinodal connect`: its result, shown and written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinodal.commands.arguments import console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.path_tables import columns_of, sentences_of, show_paths
from spinodal.errors import SpinodalError, refusing
from spinodal.files import reading, write_json, writing
from spinodal.store import RunFolder

RESULT = "path.json"


def is_path_run(run: Path) -> bool:
    """Tell whether a folder holds a run of `spinodal connect`, finished or not."""
    return RunFolder.is_run(run) and "connect" in RunFolder(run).config


def path_result(run: Path) -> dict[str, Any]:
    """Return the result of such a run; refuse one that is not finished, or damaged."""
    place = run / RESULT
    if not place.exists():
        folder = RunFolder(run)
        raise SpinodalError(
            got=f"the run in {run} is not finished: no path is complete yet",
            allowed="a finished run of `spinodal connect` is allowed",
            do=f"go on with {folder.command}",
        )
    with (
        refusing(
            (ValueError, RecursionError, KeyError, TypeError, IndexError),
            lambda cause: f"{place} is damaged: {cause}",
            allowed="the result as `spinodal connect` writes it is allowed",
            do=f"delete it and write it again with {RunFolder(run).command}",
        ),
        reading(place),
    ):
        result: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        columns_of(result["paths"]), sentences_of(result["paths"])
        return result


def show_path_run(run: Path, json_file: str | None) -> None:
    """Print the check and the table of paths of a run."""
    result = path_result(run)
    write_json_file(json_file, result)
    console = console_for(json_file, soft_wrap=True)
    console.print(f"{title_of(result)}\nCan they be merged? {result['check']['answer']}")
    show_paths(console, result["paths"])


def title_of(result: Mapping[str, Any]) -> str:
    """Return the task and both ends."""
    return f"{result['task']['name']}: {result['ends'][0]} to {result['ends'][1]}"


def write_path_run(run: Path, result: Mapping[str, Any], report: Path | None = None) -> Path:
    """Write the result, the figure and the report of a run; return the last."""
    from spinodal.plots.path_figure import save_paths  # matplotlib is slow to import, and needed at the end only
    from spinodal.report.path_page import save_path_report

    target = report or run / "report.html"
    with writing(run / RESULT):
        write_json(run / RESULT, json.loads(json.dumps(result)))
    with writing(run / "figures"):
        save_paths(result["paths"], run / "figures", title_of(result))
    save_path_report(result, target, provenance=RunFolder(run).journal.recorded("provenance") or {})
    return target
