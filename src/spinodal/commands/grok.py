"""What `spinodal grok` does: map, prepare, predict, train, and write and print all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from torch import Tensor

from spinodal.commands.arguments import run_and_point
from spinodal.commands.asked import Asked
from spinodal.commands.json_file import write_json_file
from spinodal.commands.map import default_folder
from spinodal.commands.missing import failure_shown
from spinodal.commands.table import Column, table
from spinodal.commands.threads import threads_for, use_threads
from spinodal.commands.usage import INTERRUPTED
from spinodal.dynamics.grokking import Grokking, GrokOptions, grok
from spinodal.dynamics.trajectory import Trajectory
from spinodal.errors import SpinodalError
from spinodal.files import write_json, writing
from spinodal.landscape import Landscape
from spinodal.mapping.estimate import duration
from spinodal.mapping.map import map_phases
from spinodal.mapping.options import MapOptions
from spinodal.mapping.preparing import Prepared, prepare
from spinodal.missing import Attempts
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import Journal, RunFolder, load
from spinodal.tasks import Task
from spinodal.tasks.blame import owner_of
from spinodal.tasks.registry import make_task

EVERY = 10.0  # seconds between two lines, and between two states that are kept
BRACKET = 1e-2  # relative width of the transitions of the map, of which the phases alone are wanted
TRAINING = "training"
RUNS = 9  # of the experiment


def grok_task(asked: Asked, options: GrokOptions, *, source: str | None) -> None:
    """Make the experiment with a task that is named, and write and print all of it."""
    made = make_task(asked.task, asked.settings)
    mapping = MapOptions(seed=options.seed, bracket=BRACKET)
    prepared = prepare(made, mapping)
    landscape = prepared[0]
    options, known = _from(source, options, made)
    path = asked.out or default_folder(f"grok-{Path(made.name.split(':')[0]).stem}", resume=asked.resume)
    use_threads(asked.threads or threads_for(landscape.size * landscape.batches.total * RUNS))
    console = asked.console()
    config = {"task": {"name": made.name, **made.settings}, "map": asdict(mapping), "grok": asdict(options)}
    with RunFolder(path, config | {"from": source}, resume=asked.resume) as folder:
        try:
            diagram = known or _mapped(made, mapping, prepared, folder, console)
            found = _made(made, landscape, diagram, options, folder.journal, console)
        except KeyboardInterrupt:
            console.print(f"interrupted; continue with --resume --out {path}")
            raise typer.Exit(INTERRUPTED) from None
        _write(found, folder, Attempts(owner_of(made), failure_shown(asked.debug)))
    write_json_file(asked.json_file, found.to_dict())
    console.print(_table(found, console.width), soft_wrap=False)
    console.print(found.answer())
    console.print(f"run folder: {path}  (figure: {path / 'figures' / 'grok.png'})")


def _from(source: str | None, options: GrokOptions, task: Task) -> tuple[GrokOptions, PhaseDiagram | None]:
    """Return the phase to start from and its map, where one is named."""
    if source is None:
        return options, None
    run, phase = run_and_point(source)
    diagram = load(run)
    if phase is None:
        raise SpinodalError(
            got=f"--from {source} names no phase", allowed="RUN:PHASE is allowed", do=f"for example --from {source}:1"
        )
    if diagram.models is not None:
        diagram.models.layout.refuse_other(task.model, task.name)
    return replace(options, phase=phase), diagram


def _mapped(task: Task, options: MapOptions, prepared: Prepared, folder: RunFolder, console: Console) -> PhaseDiagram:
    console.print(f"mapping the phases of {task.name}")
    diagram = map_phases(task, options=options, recorder=folder.journal, prepared=prepared)
    folder.save(diagram)
    console.print(f"{len(diagram.phases)} phases; {diagram.answer()}")
    return diagram


def _made(
    task: Task, landscape: Landscape, diagram: PhaseDiagram, options: GrokOptions, journal: Journal, console: Console
) -> Grokking:
    """Make the experiment, and keep what there is of the training every ten seconds."""
    kept = Kept(journal)
    spoken = Spoken(console)
    return grok(
        task, landscape, diagram, options, keep=kept.once, tell=console.print, progress=spoken.progress, snapshot=kept.snapshot,
        known=kept.latest(),
    )  # fmt: skip


class Kept:
    """Parts of the experiment in a journal, each under its own key, and states of the training under their epochs."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.last = journal, time.monotonic()

    def once(
        self, key: str, make: Callable[[], tuple[dict[str, Any], dict[str, Tensor]]]
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what is recorded under a key, made and recorded if it is not there yet."""
        entry = self.journal.find(key)
        if entry is None:
            record, tensors = make()
            entry = self.journal.add("note", key, record, tensors)
        return entry.record, entry.tensors()

    def snapshot(self, history: Trajectory) -> None:
        """Keep the training as it is, unless that was done just now."""
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self._add(history)

    def _add(self, history: Trajectory) -> None:
        key = f"{TRAINING} to epoch {int(history.state['epoch'][0])}"
        if self.journal.find(key) is None:
            self.journal.add("trajectory", key, history.to_dict(), history.tensors())
            self.journal.renew(TRAINING, {"key": key})

    def latest(self) -> Trajectory | None:
        """Return the training as it was kept last, None where it was not."""
        note = self.journal.latest(TRAINING)
        entry = None if note is None else self.journal.find(note["key"])
        return None if entry is None else Trajectory.from_record(entry.record, entry.tensors())


class Spoken:
    """A line about the training every ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.began = console, time.monotonic()
        self.last = self.began

    def progress(self, epoch: int, errors: Tensor) -> None:
        """Say how far the runs are that have not arrived."""
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            runs = f"{len(errors)} run{'s' if len(errors) > 1 else ''}"
            self.console.print(
                f"{duration(now - self.began)}: epoch {epoch:,}, {runs} on the way, E from {float(errors.min()):.3g}"
            )


def _write(found: Grokking, folder: RunFolder, files: Attempts) -> None:
    """Write grok.json and the figure."""
    target = folder.path / "grok.json"
    with writing(target):
        write_json(target, found.to_dict())
    with files.part("the figure"), writing(folder.path / "figures"):
        from spinodal.plots.grok_figure import save_grok  # matplotlib is slow to import, and needed at the end only

        save_grok(found, folder.path / "figures")


def _table(found: Grokking, width: int) -> Any:
    """Return a table of the starts."""

    def number(value: float | None, form: str = ",.0f") -> str:
        return "-" if value is None else format(value, form)

    starts = found.starts
    columns = [
        Column("start", [start.name for start in starts]),
        Column("prepared at beta", [number(start.beta, ".4g") for start in starts], spare=2),
        Column("for epochs", [number(start.prepared) for start in starts], spare=1),
        Column("amplitude", [number(start.amplitude, ".3g") for start in starts]),
        Column("predicted by flow", [number(start.by_flow) for start in starts]),
        Column("by the integral", [number(start.by_integral) for start in starts]),
        Column("measured", [number(start.measured) for start in starts]),
    ]
    return table(f"Epochs until E = {found.threshold:.3g}", columns, width)
