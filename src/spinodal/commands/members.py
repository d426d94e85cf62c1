"""Many maps of the command line, each an ordinary run, made by as many workers as there are."""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from spinodal.basins.hierarchy import checked_seeds
from spinodal.commands.arguments import Form
from spinodal.commands.asked import Asked
from spinodal.commands.cluster import cluster
from spinodal.commands.map import default_folder, map_task, open_task, settings_of
from spinodal.commands.threads import threads_of
from spinodal.commands.usage import INTERRUPTED
from spinodal.errors import SpinodalError, one_line, unexpected
from spinodal.files import reading, writing
from spinodal.mapping.members import ALONE, lacking
from spinodal.mapping.options import MapOptions
from spinodal.missing import Missing
from spinodal.parallel import Undone, shared_out
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.store import RunFolder, load
from spinodal.tasks.registry import make_task


@dataclass(frozen=True)
class MemberRun:
    """One map of many, and the run folder it goes into.

    Attributes
    ----------
    asked : Asked
        With the run folder.
    options : MapOptions
    at_once : int
        How many maps share the processors of a machine.
    """

    asked: Asked
    options: MapOptions
    at_once: int

    @property
    def out(self) -> Path:
        """Return the run folder."""
        assert self.asked.out is not None
        return self.asked.out

    @property
    def is_begun(self) -> bool:
        """Tell whether there is a run, finished or not."""
        return RunFolder.is_run(self.out)

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing is left to do; reading its run changes nothing."""
        return self.is_begun and RunFolder(self.out).is_finished


@dataclass(frozen=True)
class Site:
    """Where members are mapped: a working folder, and the folder of all runs, which every worker sees.

    Attributes
    ----------
    folder : Path
    where : str
        The working folder, from which other paths are told.
    threads : int
        Of a worker before it knows its map.
    token : str
    """

    folder: Path
    where: str = field(default_factory=os.getcwd)
    threads: int = field(default_factory=torch.get_num_threads)

    @property
    def token(self) -> str:
        """Return what tells it from others."""
        return f"{self.where}: {self.folder}"

    def open(self) -> Site:
        """Go to the working folder, or refuse a machine that does not see it."""
        if os.path.isdir(self.where):
            os.chdir(self.where)
        if not self.folder.is_dir():
            raise SpinodalError(
                got=f"no folder {self.folder} from {self.where} on {platform.node()}",
                allowed="workers that see the folder of the runs are needed",
                do="give --out on a file system that all machines share",
            )
        return self


def _numbers(text: str) -> Iterable[int]:
    low, colon, high = text.partition(":")
    return range(int(low), int(high)) if colon else [int(part) for part in text.split(",")]


SEEDS = Form("--seeds", _numbers, "A:B, from A to below B, or A,B,C is allowed", "0:3")


def seeds_in(text: str) -> tuple[int, ...]:
    """Return the seeds of `A:B`, from A to below B, or of `A,B,C`.

    Examples
    --------
    >>> seeds_in("0:3"), seeds_in("4,2")
    ((0, 1, 2), (4, 2))
    """
    return checked_seeds(SEEDS.of(text))


def folder_of_many(asked: Asked, *, of: str) -> Path:
    """Return the folder of all runs: the one that is named, or the next one of the task."""
    return asked.out or default_folder(make_task(asked.task, asked.settings).name, resume=asked.resume, of=of)


def map_seed_runs(
    asked: Asked, options: MapOptions, seeds: Sequence[int], folder: Path, console: Console
) -> tuple[list[MemberRun], tuple[Missing, ...]]:
    """Map a task with every seed that is not finished, each into `folder/seed-N`; return the members, and what is missing.

    Threads are those of each map; 0: as many as it needs of its share of the processors, and one where a scheduler shares out
    machines, whose workers take the place of processes. Settings that mean nothing, and runs that are there with others, are
    refused before anything is mapped.
    """
    at_once = 1 if asked.scheduler is not None else min(asked.workers, len(seeds))
    threads = asked.threads or (0 if asked.scheduler is None else 1)
    alone = replace(asked, threads=threads, workers=1, scheduler=None, json_file=None, quiet=True)
    runs = [MemberRun(replace(alone, out=folder / f"seed-{seed}"), replace(options, seed=seed), at_once) for seed in seeds]
    if RunFolder.is_run(folder):
        raise SpinodalError(
            got=f"{folder} holds a run of one map", allowed="a folder for many runs is allowed", do="give another --out"
        )
    left = _left(runs, console, resume=asked.resume)
    try:
        lent = nullcontext() if asked.scheduler is None else cluster(asked.scheduler, console)
        with lent as executor, _bar(console, len(runs), len(runs) - len(left)) as tell_of:
            with writing(folder, do="give another --out"):
                folder.mkdir(parents=True, exist_ok=True)
            share = shared_out(map_run, left, Site(folder), workers=asked.workers, executor=executor, tell=console.print)
            with closing(share):
                return runs, tuple(filter(None, (_told(left[number], made, tell_of) for number, made in share)))
    except (KeyboardInterrupt, typer.Exit):
        done = sum(run.is_finished for run in runs)
        console.print(f"interrupted: {done} of {len(runs)} maps are finished; continue with --resume --out {folder}")
        raise typer.Exit(INTERRUPTED) from None


def _told(run: MemberRun, made: Missing | Undone | None, tell_of: Callable[[str, str], None]) -> Missing | None:
    """Tell of a member as it is finished, or of why it is not, which is returned."""
    found = lacking(run.out.name, made) if isinstance(made, Undone) else made
    tell_of(run.out.name, _outcome(run) if found is None else f"not mapped: {found.cause}")
    return found


def mapped_members(runs: Sequence[MemberRun]) -> list[tuple[str, PhaseDiagram]]:
    """Return the names and the diagrams of members that have a result."""
    return [(run.out.name, load(run.out)) for run in runs if run.is_begun and RunFolder(run.out).has_result]


def member_folders(folder: Path) -> list[Path]:
    """Return the runs in the folder of an ensemble or of a hierarchy, by seed; none in any other folder."""
    with reading(folder):
        places = [path for path in folder.iterdir() if path.name.startswith("seed-")] if os.path.isdir(folder) else []
    runs = [path for path in places if path.name.removeprefix("seed-").isdecimal() and RunFolder.is_run(path)]
    return sorted(runs, key=lambda path: int(path.name.removeprefix("seed-")))


def refuse_missing(missing: Sequence[Missing], runs: Sequence[MemberRun], folder: Path) -> None:
    """Refuse to be content with less than was asked for, once what is there is written."""
    if missing:
        raise SpinodalError(
            got=f"{len(missing)} of {len(runs)} maps missing: {'; '.join(_by_cause(missing))}",
            allowed="a map of every member is needed; the others stand",
            do=f"mend that, and go on with --resume --out {folder}",
        )


def _by_cause(missing: Sequence[Missing]) -> Iterator[str]:
    """Yield what is missing, each cause once."""
    for cause in dict.fromkeys(item.cause for item in missing):
        yield f"{', '.join(item.what for item in missing if item.cause == cause)} ({cause})"


def map_run(_site: Site, run: MemberRun) -> Missing | None:
    """Map one member, in whatever process, and return what is missing in place of it, if anything is."""
    try:
        with ALONE:
            map_task(replace(run.asked, resume=run.is_begun), run.options, at_once=run.at_once)
    except typer.Exit:  # Ctrl-C, in this process
        raise
    except Exception as cause:  # noqa: BLE001 - it costs this member alone
        if run.asked.debug:
            traceback.print_exception(cause, file=sys.stderr)
        refusal = cause if isinstance(cause, SpinodalError) else unexpected(cause)
        return Missing(f"the map of {run.out.name}", one_line(refusal))
    return None


def _left(runs: Sequence[MemberRun], console: Console, *, resume: bool) -> list[MemberRun]:
    """Return the members that are not finished; refuse bad input, and runs that are there and are not those."""
    begun = [run for run in runs if run.is_begun]
    if begun and not resume:
        RunFolder(begun[0].out).require_same({}, resume=False)
    asked = runs[0].asked
    opened = open_task(asked, runs[0].options, console)
    for run in begun:
        known = RunFolder(run.out)
        config = settings_of(opened.task, replace(opened.options, seed=run.options.seed), opened.prepared[1], asked.centre)
        recorded = known.config.get("threads")
        threads = {} if recorded is None else {"threads": threads_of(asked.threads, recorded, opened.prepared[0])}
        known.require_same(config | threads)
    return [run for run in runs if not run.is_finished]


def _outcome(run: MemberRun) -> str:
    """Return in a few words what a finished member found."""
    result: dict[str, Any] = RunFolder(run.out).result()
    count = sum(not item["minor"] for item in result["transitions"])
    low, high = result["range"]
    status = "" if result["run_status"] == "complete" else f"; {result['run_status']}"
    found = f"{count} transition{'s' if count != 1 else ''}"
    return f"{found}, beta {low:.4g} to {high:.4g}, {result['stats']['seconds']:.1f} s{status}"


@contextmanager
def _bar(console: Console, total: int, done: int) -> Iterator[Callable[[str, str], None]]:
    """Show how many maps are finished, and lend what prints a line for each as it is."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"), TimeElapsedColumn()
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        line = bar.add_task("maps", total=total, completed=done)
        if done:
            console.print(f"{done} of {total} maps are finished already")
        count = done

        def told(name: str, outcome: str) -> None:
            nonlocal count
            count += 1
            bar.update(line, completed=count)
            console.print(f"{name} ({count} of {total}): {outcome}")

        yield told
