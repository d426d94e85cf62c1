"""What `spinodal basins` does: random starts trained at several beta, and the phases that they reach, counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from spinodal.commands.asked import Asked
from spinodal.commands.basins_run import print_shares, write_shares_pages
from spinodal.commands.centre import centred, setting
from spinodal.commands.json_file import write_json_file
from spinodal.commands.limit import TimeLimit
from spinodal.commands.map import default_folder, in_own_dtype, settled_threads, tell_remarks
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.threads import workers_of
from spinodal.commands.usage import INTERRUPTED
from spinodal.errors import SpinodalError
from spinodal.landscape.control import Turned
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import Prepared, prepare
from spinodal.missing import Attempts
from spinodal.parallel import worker_pool
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.basin_shares import basin_shares, betas_of, seeds_of
from spinodal.shares.shares import Shares
from spinodal.shares.training import Training
from spinodal.store import RunFolder, load, map_setting, save_shares, settle_map
from spinodal.store.control import keep_control
from spinodal.tasks import Task
from spinodal.tasks.blame import owner_of
from spinodal.tasks.registry import make_task


@dataclass(frozen=True)
class Sampling:
    """What is counted: the values of beta, the starts, and how they are trained.

    Attributes
    ----------
    beta : tuple of float
    starts, seed : int
    training : Training
    """

    beta: tuple[float, ...]
    starts: int
    seed: int
    training: Training

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        betas_of(self.beta)
        seeds_of(self.starts, self.seed)


def count_starts(
    asked: Asked, sampling: Sampling, options: MapOptions, *, map_run: Path | None, max_minutes: float | None
) -> None:
    """Train starts of a task that is named, count which phases they reach, and write and print all of it."""
    made = make_task(asked.task, asked.settings)
    options, console = in_own_dtype(made, options), asked.console()
    diagram = None if map_run is None else _map_for(map_run, made)
    prepared = landscape, control = prepare(made, options, _control(asked.centre, made, options, diagram))
    tell_remarks(console, landscape)
    path = asked.out or default_folder(made.name, resume=asked.resume, of="basins")
    config = _config(made, sampling, options, control, asked.centre) | map_setting(map_run, path)
    config |= settled_threads(asked.threads, asked.workers, landscape, path)
    workers = workers_of(asked.threads, asked.workers, landscape)
    with RunFolder(path, config, resume=asked.resume) as folder, _kept(folder, console, TimeLimit(max_minutes)):
        keep_control(folder.path, control)
        if diagram is not None:
            settle_map(folder.journal, diagram)
        shares = _shares(made, sampling, options, prepared, diagram, folder, console, workers)
        found, files = save_shares(shares, folder), Attempts(owner_of(made), failure_shown(asked.debug))
        write_shares_pages(shares, folder.path, files)
    write_json_file(asked.json_file, found)
    print_shares(console, shares)
    console.print(f"run folder: {path}  (report: {path / 'report.html'})")
    tell_missing(files.missing, f"spinodal report {path}")


def _map_for(run: Path, task: Task) -> PhaseDiagram:
    """Return the map of a run, or refuse one that is not finished, or of another model."""
    RunFolder(run).require_result()
    diagram = load(run)
    if diagram.models is not None:
        diagram.models.layout.refuse_other(task.model, task.name)
    return diagram


def _control(centre: str | None, task: Task, options: MapOptions, diagram: PhaseDiagram | None) -> Any:
    """Return the penalty around a centre that is named, else that of the map, else None: that of the task."""
    named = centred(centre, task, options.device)
    return named if named is not None or diagram is None else diagram.control.made


def _config(task: Task, sampling: Sampling, options: MapOptions, control: Turned, centre: str | None) -> dict[str, Any]:
    """Return what identifies a run, but for its map and its threads."""
    how = {name: getattr(options, name) for name in ("solver", "tolerance", "dtype", "device")}
    counted = {"at": list(sampling.beta), "starts": sampling.starts, "seed": sampling.seed}
    named = {"task": {"name": task.name, **task.settings}, "basins": counted | {"training": asdict(sampling.training)} | how}
    return named | dict(setting(control, centre))


def _shares(
    task: Task,
    sampling: Sampling,
    options: MapOptions,
    prepared: Prepared,
    diagram: PhaseDiagram | None,
    folder: RunFolder,
    console: Console,
    workers: int,
) -> Shares:
    how = sampling.training
    with worker_pool(workers) as executor:
        return basin_shares(
            task, beta=sampling.beta, starts=sampling.starts, seed=sampling.seed, training=how.method,
            learning_rate=how.learning_rate, epochs=how.epochs, diagram=diagram, options=options, prepared=prepared,
            recorder=folder.journal, tell=console.print, executor=executor,
        )  # fmt: skip


@contextmanager
def _kept(folder: RunFolder, console: Console, limit: TimeLimit) -> Iterator[None]:
    """Say on Ctrl-C, at the end of the time given, and where a start fails, what is kept and how to go on."""

    def said(cause: str, do: str) -> None:
        console.print(f"{cause}: {folder.journal.count} points are kept in {folder.path}; {do} --resume --out {folder.path}")

    try:
        with limit:
            yield
    except KeyboardInterrupt:
        said(limit.cause, "continue with")
        raise typer.Exit(INTERRUPTED) from None
    except SpinodalError:
        raise
    except Exception:
        said("stopped", "once the error is mended, continue with")
        raise
