"""`spinodal map`: the phases of a task, in tables, figures, a report and a run folder."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from spinodal.arguments import whole_number
from spinodal.commands.arguments import Debug, Json, Quiet, Sets, Threads, console_for, pairs, threads_for, use_threads
from spinodal.commands.json_file import check_json, write_json_file
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.model_to_place import model_to_place, placed
from spinodal.commands.pictures import write_pictures, write_report
from spinodal.commands.progress_bar import ProgressBar
from spinodal.commands.show import show_result
from spinodal.errors import SpinodalError
from spinodal.landscape import Landscape
from spinodal.landscape.reading.sentences import sentences
from spinodal.mapping.map import MapOptions, Prepared, map_phases, prepare
from spinodal.missing import Attempts
from spinodal.phases.diagram import PhaseDiagram
from spinodal.store import RunFolder, load
from spinodal.tasks import Task
from spinodal.tasks.blame import owner_of
from spinodal.tasks.registry import make_task

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it

MAP_HELP = """Map the phases of TASK: tables, figures, report, run folder.

\b
Examples:
  spinodal map digits
  spinodal map gaussian --set activation=linear --set hidden=10,10 --json result.json
  spinodal map my_net.py:task --beta 1e-4:0.1 --out runs/mine --resume
  spinodal map gaussian --branches --curvature
Where does a model of mine stand, trained with SGD or Adam and weight_decay=0.01?
  spinodal map my_net.py:task --start model.safetensors --at-weight-decay 0.01
Another one on the same map:
  spinodal map my_net.py:task --resume --start other.pt --at-weight-decay 0.02
"""

Out = Annotated[
    Path | None, typer.Option("--out", help="Run folder. Default: runs/TASK-N, the next N; with --resume, the last one.")
]


def map_command(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A built-in task (see `spinodal tasks`) or path/to/file.py:function.")
    ],
    settings: Sets = None,
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the run folder if there is one.")] = False,
    beta: Annotated[
        str | None, typer.Option(help="Range LOW:HIGH. Default: HIGH by doubling until the trivial phase, LOW = HIGH/300.")
    ] = None,
    direction: Annotated[
        str, typer.Option(help="up: follow the deepest phase; down: the trivial one; loop: up and back.")
    ] = "up",
    branches: Annotated[
        bool, typer.Option("--branches", help="Follow every phase through its fold; find where phases are equally deep.")
    ] = False,
    curvature: Annotated[
        bool, typer.Option("--curvature", help="Compute scalar curvature, saddle index and Fisher trace at every point.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the random starts.")] = 0,
    starts: Annotated[int, typer.Option(help="Random starts from which the deepest phase is chosen.")] = 4,
    solver: Annotated[str, typer.Option(help="auto, newton, newton_cg or lbfgs.")] = "auto",
    tolerance: Annotated[float | None, typer.Option(help="Relative residual of a minimum. Default: the solver's.")] = None,
    bracket: Annotated[
        float | None,
        typer.Option(help="Relative width of brackets. Default: 1e-5 dense, beyond 800 parameters 1e-4; 1e-3 matrix-free."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    soften: Annotated[
        str | None,
        typer.Option(help="Sharpness of what takes the place of ReLU and its kin; LOW:HIGH also finds transitions without it."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="A trained model to place on the map: a checkpoint, safetensors or PyTorch's (nothing in it is run)."
        ),
    ] = None,
    at_weight_decay: Annotated[
        float | None, typer.Option(help="The weight_decay it was trained with, as of SGD or Adam: 2 * beta.")
    ] = None,
    threads: Threads = 0,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map the phases of TASK (see `MAP_HELP`)."""
    options = MapOptions(
        beta=_range(beta), direction=direction, seed=seed, starts=starts, solver=solver,
        tolerance=tolerance, bracket=bracket, dtype=dtype, device=device, branches=branches, curvature=curvature,
        soften=_sharpness(soften),
    )  # fmt: skip
    check_json(json_file)
    made = make_task(task, pairs(settings or []))
    landscape, penalty = prepare(made, options)  # refuse bad input before anything is written
    model = model_to_place(start, at_weight_decay, made, landscape)
    path = out or default_folder(made.name, resume=resume)
    config = {"task": {"name": made.name, **made.settings}, "map": asdict(options), **_threads(threads, landscape, path)}
    console = console_for(json_file, quiet=quiet, soft_wrap=True)
    for sentence in sentences({"error": "; ".join(landscape.remarks), "unused": ", ".join(landscape.idle)}):
        console.print(sentence)
    with RunFolder(path, config, resume=resume) as folder:
        files = Attempts(owner_of(made), failure_shown(debug))
        diagram = _mapped(made, options, (landscape, penalty), folder, console, files.on_failure)
        diagram = _saved(diagram, folder, files)
        try:
            placement = None if model is None else placed(diagram, model, made, options, folder.path, console)
        finally:
            report = write_pictures(diagram, folder, files)
    result = folder.result()
    write_json_file(json_file, result | {"placement": placement and placement.to_dict()})
    show_result(console, result, replace(diagram, missing=(*diagram.missing, *files.missing)).answer())
    if placement is not None:
        console.print(f"\n{placement}")
    console.print(f"run folder: {folder.path}  (report: {report})")
    tell_missing((*diagram.missing, *files.missing), folder.command)


def _threads(asked: int, landscape: Landscape, path: Path) -> dict[str, int]:
    """Fix the threads, and return them as a setting of the run: other threads round otherwise, and may end on another branch.

    A run that is resumed keeps its own; one of an older version has none on record.
    """
    known = RunFolder(path).config if RunFolder.is_run(path) else None
    recorded = None if known is None else known.get("threads")
    if recorded is not None:
        whole_number(f"threads in {path / 'config.toml'}", recorded, least=1, do="mend that, or start anew in another folder")
    chosen = asked or recorded or threads_for(landscape.size * landscape.batches.total)
    use_threads(chosen)
    return {} if known is not None and recorded is None else {"threads": chosen}


def _saved(diagram: PhaseDiagram, folder: RunFolder, files: Attempts) -> PhaseDiagram:
    """Record a diagram and return it; if it cannot be written down, return what of it is recorded."""
    with files.part("the result"):
        folder.save(diagram, files=files)
        return diagram
    return load(folder.path)


def _mapped(
    task: Task,
    options: MapOptions,
    prepared: Prepared,
    folder: RunFolder,
    console: Console,
    on_failure: Callable[[str, BaseException], None],
) -> PhaseDiagram:
    """Map with a progress bar, and say on Ctrl-C, and where the walk fails, what is kept."""

    def keep(diagram: PhaseDiagram) -> None:
        with Attempts(on_failure=on_failure).part("the report of the walk"):  # it is written again when the map is finished
            if folder.save_walk(diagram) is not None:
                write_report(load(folder.path), folder.path, folder.path / "report.html")

    try:
        with ProgressBar(console, direction=options.direction, keep=keep, on_failure=on_failure) as bar:
            return map_phases(task, options=options, recorder=folder.journal, progress=bar, prepared=prepared)
    except KeyboardInterrupt:
        console.print(f"interrupted: {_kept(folder)}; continue with --resume --out {folder.path}")
        raise typer.Exit(INTERRUPTED) from None
    except Exception:
        if folder.journal.count:
            console.print(f"stopped: {_kept(folder)}; once the error is mended, continue with --resume --out {folder.path}")
        raise


def _kept(folder: RunFolder) -> str:
    count = folder.journal.count
    return f"{count} point{'s are' if count != 1 else ' is'} kept in {folder.path}"


def default_folder(name: str, *, resume: bool) -> Path:
    """Return runs/NAME-N with N after the last one taken; to resume, the last one."""
    stem = Path(name.split(":")[0]).stem
    endings = [path.name.removeprefix(f"{stem}-") for path in Path("runs").glob(f"{glob.escape(stem)}-*")]
    last = max((int(ending) for ending in endings if ending.isdecimal()), default=0)
    return Path("runs") / f"{stem}-{max(last, 1) if resume else last + 1}"


def _sharpness(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return (float(low), float(high)) if colon else float(low)
    except ValueError as cause:
        raise SpinodalError(
            got=f"--soften {text!r}", allowed="a sharpness, or LOW:HIGH, is allowed", do="for example --soften 20"
        ) from cause


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError(text)
        return float(low), float(high)
    except ValueError as cause:
        raise SpinodalError(
            got=f"--beta {text!r}", allowed="LOW:HIGH with two numbers is allowed", do="for example --beta 1e-4:0.1"
        ) from cause
