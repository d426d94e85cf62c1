"""`spinodal tasks`: the built-in tasks and their arguments."""

from __future__ import annotations

from spinodal.commands.verbs.options import Debug, Json


def tasks_command(json_file: Json = None, debug: Debug = False) -> None:
    """List the built-in tasks and their arguments."""
    from spinodal.commands.tasks import list_tasks  # torch takes seconds to import, and the help needs none of it

    list_tasks(json_file)
