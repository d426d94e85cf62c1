"""What `spinodal show` does: the tables of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from spinodal.commands.arguments import console_for
from spinodal.commands.basins_run import is_shares_run, show_shares_run
from spinodal.commands.json_file import write_json_file
from spinodal.commands.path_run import is_path_run, show_path_run
from spinodal.commands.tables import phases_table, summary, transitions_table
from spinodal.dynamics.reaching import reachable
from spinodal.store import load, placements


def show_run(run: Path, json_file: str | None, learning_rate: float | None = None) -> None:
    """Print the tables of a run, and write its result where one is asked for."""
    if is_path_run(run):
        show_path_run(run, json_file)
        return
    if is_shares_run(run):
        show_shares_run(run, json_file)
        return
    diagram, placed = load(run), placements(run)
    reach = None if learning_rate is None else reachable(diagram, learning_rate)
    asked = {} if reach is None else {"reachable": reach.to_dict()}
    write_json_file(json_file, diagram.to_dict() | {"placements": placed} | asked)
    console = console_for(json_file, soft_wrap=True)
    show_result(console, diagram.to_dict(), diagram.answer())
    for item in placed:
        console.print(f"\n{item['file']}: {item['answer']}")
    if reach is not None:
        console.print(f"\n{reach}")


def show_result(console: Console, result: dict[str, Any], answer: str) -> None:
    """Print the tables of a result, what it cost, and the answer."""
    console.print()
    console.print(transitions_table(result, console.width), soft_wrap=False)
    console.print()
    console.print(phases_table(result, console.width), soft_wrap=False)
    console.print(summary(result))
    console.print()
    console.print(answer)
