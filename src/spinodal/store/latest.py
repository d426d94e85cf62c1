"""What a journal knows of the result: the last one that was recorded, and what is missing from it."""

from __future__ import annotations

from typing import Any

from spinodal.missing import Missing
from spinodal.phases.diagram import UNFINISHED
from spinodal.store.journal import Journal

FILES = "files"  # the fact that tells which files could not be made


def latest_result(journal: Journal, command: str) -> dict[str, Any] | None:
    """Return the result of a run, or what a finished walk has without what builds on it; None while there is no such walk.

    Parameters
    ----------
    journal : Journal
    command : str
        What goes on with the run.
    """
    result, walk = journal.latest("result"), journal.recorded("walk")
    if result is not None:
        files = (journal.latest(FILES) or {}).get("missing", [])
        return {**result, "missing": [*result["missing"], *files]} if files else result
    if walk is None:
        return None
    rest = Missing(what_follows(journal), f"unfinished; go on with {command}")
    return {**walk, "run_status": UNFINISHED, "missing": [rest.to_dict()]}


def what_follows(journal: Journal) -> str:
    """Return what a map was asked for besides the walk."""
    settings = (journal.recorded("settings") or {}).get("map", {})
    asked = settings if isinstance(settings, dict) else {}
    loops = asked.get("direction") == "loop"
    parts = ["the way back of the loop"] if loops else []
    parts += ["branches and coexistence points"] if loops or asked.get("branches") else []
    parts += ["the curvature along the map"] if asked.get("curvature") else []
    return ", ".join(parts) or "what builds on the walk"
