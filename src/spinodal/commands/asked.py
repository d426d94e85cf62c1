"""What a command line asks of a verb that makes runs, besides what the verb alone has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from spinodal.commands.arguments import console_for


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A task by its name, where its run goes, with what it is computed, and who is told.

    Attributes
    ----------
    task, settings : str, mapping
        As `make_task` takes them.
    out : Path or None
        The run folder; None for the next one of the task.
    resume : bool
    centre : str or None
        The model that the penalty pulls to, as `centred` takes it.
    threads, workers : int
        Threads 0: those of a run that is resumed, else as many as fit.
    scheduler : str or None
        Whose workers make many runs.
    json_file : str or None
    quiet, debug : bool
    """

    task: str
    settings: Mapping[str, str]
    out: Path | None = None
    resume: bool = False
    centre: str | None = None
    threads: int = 0
    workers: int = 1
    scheduler: str | None = None
    json_file: str | None = None
    quiet: bool = False
    debug: bool = False

    def console(self) -> Console:
        """Return where tables and progress go."""
        return console_for(self.json_file, quiet=self.quiet, soft_wrap=True)
