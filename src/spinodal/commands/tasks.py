"""What `spinodal tasks` does: the built-in tasks and their arguments."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from spinodal.commands.arguments import console_for, text_of
from spinodal.commands.json_file import write_json_file
from spinodal.tasks.registry import BUILT_IN, arguments_of


def list_tasks(json_file: str | None) -> None:
    """Print the built-in tasks with their arguments."""
    table = Table()
    for heading in ("task", "what", "arguments (--set key=value)"):
        table.add_column(heading, overflow="fold")
    listing = {}
    for name, maker in BUILT_IN.items():
        arguments = arguments_of(name)
        first = (maker.__doc__ or "").strip().split("\n")[0]
        table.add_row(name, first, "\n".join(f"{key} = {text_of(value)}" for key, value in arguments.items()))
        listing[name] = {"summary": first, "arguments": {key: _plain(value) for key, value in arguments.items()}}
    console = console_for(json_file)
    console.print(table)
    console.print("Your own: path/to/file.py:function, a function that returns a spinodal.Task.")
    write_json_file(json_file, listing)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
