"""What `spinodal map` does: the phases of a task, in tables, figures, a report and a run folder."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from spinodal.arguments import whole_number
from spinodal.commands.asked import Asked
from spinodal.commands.centre import centred, setting
from spinodal.commands.json_file import write_json_file
from spinodal.commands.limit import TimeLimit
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.model_to_place import model_to_place, placed
from spinodal.commands.pictures import write_pictures, write_report
from spinodal.commands.show import show_result
from spinodal.commands.threads import threads_of, use_threads, workers_of
from spinodal.commands.usage import INTERRUPTED
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.control import Turned
from spinodal.landscape.reading.sentences import sentences
from spinodal.mapping.map import map_phases
from spinodal.mapping.options import OWN, MapOptions
from spinodal.mapping.place import place
from spinodal.mapping.preparing import Prepared, prepare
from spinodal.mapping.progress_bar import ProgressBar
from spinodal.missing import Attempts
from spinodal.parallel import Executor, worker_pool
from spinodal.processes.lost import LostProcess
from spinodal.processes.sharing import shared
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder, load
from spinodal.store.control import keep_control
from spinodal.tasks import Task
from spinodal.tasks.blame import owner_of
from spinodal.tasks.registry import make_task


def map_task(
    asked: Asked,
    options: MapOptions,
    *,
    model: tuple[Path | None, float | None] = (None, None),
    max_minutes: float | None = None,
    at_once: int = 0,
) -> None:
    """Map the phases of a task that is named, place a model if one is given, and write and print all of it.

    So many maps, `at_once`, have the processors of this machine; 0: this one is alone, and may have workers for its threads.
    """
    _refuse_placing(model, options)
    console = asked.console()
    with shared(options.shards, partial(open_task, asked, options, console), _landscape, device=options.device) as opened:
        _map_opened(opened, asked, console, model=model, limit=TimeLimit(max_minutes), at_once=at_once)


def _landscape(opened: Opened) -> Landscape:
    return opened.prepared[0]


@dataclass(frozen=True)
class Opened:
    """A task that is prepared to be mapped, with its options."""

    task: Task
    options: MapOptions
    prepared: Prepared


def open_task(asked: Asked, options: MapOptions, console: Console) -> Opened:
    """Make a task and prepare it; refuse bad input before anything is written."""
    made = make_task(asked.task, asked.settings)
    own = in_own_dtype(made, options)
    if own.shards is not None:
        use_threads(1)
    turned = centred(asked.centre, made, own.device)
    return Opened(made, own, prepare(made, own, turned, on_landscape=partial(tell_remarks, console)))


def _map_opened(
    opened: Opened,
    asked: Asked,
    console: Console,
    *,
    model: tuple[Path | None, float | None],
    limit: TimeLimit,
    at_once: int,
) -> None:
    """Map the phases of a task that is opened."""
    made, options, prepared = opened.task, opened.options, opened.prepared
    landscape, control = prepared
    to_place = model_to_place(*model, made, landscape)
    path = asked.out or default_folder(made.name, resume=asked.resume)
    config = settings_of(made, options, control, asked.centre)
    config |= settled_threads(asked.threads, asked.workers * max(at_once, 1), landscape, path)
    workers = asked.workers if at_once else workers_of(asked.threads, asked.workers, landscape)
    with RunFolder(path, config, resume=asked.resume) as folder, worker_pool(workers) as executor:
        keep_control(folder.path, control)
        files = Attempts(owner_of(made), failure_shown(asked.debug))
        diagram = _mapped(opened, folder, console, files.on_failure, executor, limit)
        diagram = _saved(diagram, folder, files)
        put = partial(place, task=made, options=options, prepared=prepared, executor=executor)
        try:
            placement = None if to_place is None else placed(diagram, to_place, folder, console, put)
        finally:
            report = write_pictures(diagram, folder, files)
    result = folder.result()
    write_json_file(asked.json_file, result | {"placement": placement and placement.to_dict()})
    show_result(console, result, replace(diagram, missing=(*diagram.missing, *files.missing)).answer())
    if placement is not None:
        console.print(f"\n{placement}")
    console.print(f"run folder: {folder.path}  (report: {report})")
    tell_missing((*diagram.missing, *files.missing), folder.command)


def in_own_dtype(task: Task, options: MapOptions) -> MapOptions:
    """Return options with the precision of a task where they leave it to the task."""
    return replace(options, dtype=task.dtype) if options.dtype == OWN else options


def settings_of(task: Task, options: MapOptions, control: Turned, centre: str | None) -> dict[str, Any]:
    """Return what identifies a run, but for its threads."""
    return {"task": {"name": task.name, **task.settings}, "map": asdict(options), **setting(control, centre)}


def tell_remarks(console: Console, landscape: Landscape) -> None:
    """Say what is to be remarked on E, kinks above all, before anything that takes time."""
    for sentence in sentences({"error": "; ".join(landscape.remarks), "unused": ", ".join(landscape.idle)}):
        console.print(sentence)


def _refuse_placing(model: tuple[Path | None, float | None], options: MapOptions) -> None:
    """Refuse to place a model among models that were trained on a grid: none of them is a minimum."""
    if options.grid is not None and model != (None, None):
        raise SpinodalError(
            got="a model to place together with --grid",
            allowed="a model is placed on a map of minima",
            do="leave --grid out, or --start and --at-weight-decay",
        )


def settled_threads(asked: int, workers: int, landscape: Landscape, path: Path) -> dict[str, int]:
    """Fix the threads, and return them as a setting of the run: other threads round otherwise, and may end on another branch.

    A run that is resumed keeps its own; one of an older version has none on record.
    """
    known = RunFolder(path).config if RunFolder.is_run(path) else None
    recorded = None if known is None else known.get("threads")
    if recorded is not None:
        whole_number(f"threads in {path / 'config.toml'}", recorded, least=1, do="mend that, or start anew in another folder")
    chosen = threads_of(asked, recorded, landscape, workers)
    use_threads(chosen)
    return {} if known is not None and recorded is None else {"threads": chosen}


def _saved(diagram: PhaseDiagram, folder: RunFolder, files: Attempts) -> PhaseDiagram:
    """Record a diagram and return it; if it cannot be written down, return what of it is recorded."""
    with files.part("the result"):
        folder.save(diagram, files=files)
        return diagram
    return load(folder.path)


def _mapped(
    opened: Opened,
    folder: RunFolder,
    console: Console,
    on_failure: Callable[[str, BaseException], None],
    executor: Executor | None,
    limit: TimeLimit,
) -> PhaseDiagram:
    """Map with a progress bar, and say on Ctrl-C, at the end of the time given, and where the walk fails, what is kept."""

    def keep(diagram: PhaseDiagram) -> None:
        with Attempts(on_failure=on_failure).part("the report of the walk"):  # it is written again when the map is finished
            if folder.save_walk(diagram) is not None:
                write_report(load(folder.path), folder.path, folder.path / "report.html")

    task, options, prepared = opened.task, opened.options, opened.prepared
    try:
        convention = prepared[1].convention
        bar = ProgressBar(console, direction=options.direction, convention=convention, keep=keep, on_failure=on_failure)
        with limit, bar:
            return map_phases(
                task, options=options, recorder=folder.journal, progress=bar, prepared=prepared, executor=executor
            )
    except LostProcess as cause:
        console.print(f"{cause.which}: {_kept(folder)}; continue with --resume --out {folder.path}")
        raise
    except KeyboardInterrupt:
        console.print(f"{limit.cause}: {_kept(folder)}; continue with --resume --out {folder.path}")
        raise typer.Exit(INTERRUPTED) from None
    except Exception:
        if folder.journal.count:
            console.print(f"stopped: {_kept(folder)}; once the error is mended, continue with --resume --out {folder.path}")
        raise


def _kept(folder: RunFolder) -> str:
    count = folder.journal.count
    return f"{count} point{'s are' if count != 1 else ' is'} kept in {folder.path}"


def default_folder(name: str, *, resume: bool, of: str = "") -> Path:
    """Return runs/NAME-N, or runs/NAME-OF-N, with N after the last one taken; to resume, the last one."""
    stem = f"{Path(name.split(':')[0]).stem}{of and '-'}{of}"
    endings = [path.name.removeprefix(f"{stem}-") for path in Path("runs").glob(f"{glob.escape(stem)}-*")]
    last = max((int(ending) for ending in endings if ending.isdecimal()), default=0)
    return Path("runs") / f"{stem}-{max(last, 1) if resume else last + 1}"
