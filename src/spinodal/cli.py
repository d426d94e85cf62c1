"""The command line: `spinodal map`, `show`, `report`, `curvature`, `export`, `tasks`, `theory`."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spinodal import __version__
from spinodal.blame import owner_of
from spinodal.commands.arguments import (
    Debug,
    Json,
    Quiet,
    Sets,
    Threads,
    console_for,
    pairs,
    run_and_point,
    text_of,
    threads_for,
    use_threads,
)
from spinodal.commands.chosen_point import chosen_point
from spinodal.commands.curvature import CURVATURE_HELP, curvature_command
from spinodal.commands.json_file import check_json, write_json_file
from spinodal.commands.missing import failure_shown, tell_missing
from spinodal.commands.progress_bar import ProgressBar
from spinodal.commands.streams import abandon_output, open_streams, unwritable_output
from spinodal.commands.tables import phases_table, summary, theory_table, transitions_table
from spinodal.commands.usage import UsageError, Verbs, refusal
from spinodal.errors import SpinodalError, one_line, positive_beta, unexpected
from spinodal.landscape import Landscape
from spinodal.mapping import MapOptions, Prepared, map_phases, prepare
from spinodal.missing import Attempts
from spinodal.penalty import CONVENTION
from spinodal.phases import PhaseDiagram
from spinodal.placement import Placement
from spinodal.placing import place, theta_of
from spinodal.reading.sentences import sentences
from spinodal.store import (
    RunFolder,
    load,
    placement_folder,
    placement_journal,
    placements,
    read_checkpoint,
    save_placement,
    writing,
)
from spinodal.tasks import Task
from spinodal.tasks.registry import BUILT_IN, arguments_of, make_task
from spinodal.theory import deep_linear

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
Model = tuple[Path, float, Any, Tensor]  # to be placed: its file, weight_decay, contents and theta

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

EXPORT_HELP = """Write the model at a point of RUN as safetensors: the state dict of the task's model.

\b
Examples:
  spinodal export runs/digits model.safetensors --at-weight-decay 0.1
  spinodal export runs/digits:42 model.safetensors       (point 42 of the journal)
"""

app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Map the phases of a neural network: where, as the L2 strength beta grows, the trained model jumps, "
    f"and what is lost at each jump. Convention: {CONVENTION}.",
)

Out = Annotated[
    Path | None, typer.Option("--out", help="Run folder. Default: runs/TASK-N, the next N; with --resume, the last one.")
]


def main() -> None:
    """Run the command line; errors are one line and exit code 2, Ctrl-C is exit code 130."""
    open_streams()
    try:
        code = _exit_code()
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that went away (`| head`) wants no more, and no explanation
        abandon_output()
        code = 1
    except Exception as error:  # whatever it is, a traceback is for those who ask for it
        if "--debug" in sys.argv:
            raise
        print(f"error: {one_line(_refusal(error))}", file=sys.stderr)  # noqa: T201
        code = 2
    sys.exit(code)


def _refusal(error: Exception) -> SpinodalError:
    if isinstance(error, OSError) and error.filename is None:  # errors of files are refused where the file is known
        abandon_output()
        return unwritable_output(error)
    return error if isinstance(error, SpinodalError) else unexpected(error)


def _exit_code() -> int | None:
    try:
        code: int | None = typer.main.get_command(app).main(prog_name="spinodal", standalone_mode=False)
    except UsageError as error:
        raise refusal(error) from error
    except typer.Abort:  # what older versions of Typer make of Ctrl-C
        return INTERRUPTED
    return code


app.command("curvature", help=CURVATURE_HELP)(curvature_command)


@app.callback(invoke_without_command=True)
def version_option(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Print the version if asked, and the help if nothing was asked."""
    if version:
        print(f"spinodal {__version__}")  # noqa: T201
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201


@app.command("map", help=MAP_HELP)
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
        typer.Option(help="Relative width of brackets. Default: 1e-5 dense, beyond 500 parameters 1e-4; 1e-3 matrix-free."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
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
    )  # fmt: skip
    check_json(json_file)
    made = make_task(task, pairs(settings or []))
    landscape, penalty = prepare(made, options)  # refuse bad input before anything is written
    model = _model(start, at_weight_decay, made, landscape)
    path = out or _default_folder(made.name, resume=resume)
    config = {"task": {"name": made.name, **made.settings}, "map": asdict(options), **_threads(threads, landscape, path)}
    console = console_for(json_file, quiet=quiet, soft_wrap=True)
    for sentence in sentences({"error": "; ".join(landscape.remarks), "unused": ", ".join(landscape.idle)}):
        console.print(sentence)
    with RunFolder(path, config, resume=resume) as folder:
        files = Attempts(owner_of(made), failure_shown(debug))
        diagram = _mapped(made, options, (landscape, penalty), folder, console, files.on_failure)
        diagram = _saved(diagram, folder, files)
        try:
            placement = None if model is None else _placed(diagram, model, made, options, folder.path, console)
        finally:
            report = _pictures(diagram, folder, files)
    result = folder.result()
    write_json_file(json_file, result | {"placement": placement and placement.to_dict()})
    _show(console, result, replace(diagram, missing=(*diagram.missing, *files.missing)).answer())
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
    """Map with a progress bar, and say on Ctrl-C what is kept."""

    def keep(diagram: PhaseDiagram) -> None:
        with Attempts(on_failure=on_failure).part("the report of the walk"):  # it is written again when the map is finished
            if folder.save_walk(diagram) is not None:
                _report(load(folder.path), folder.path, folder.path / "report.html")

    try:
        with ProgressBar(console, direction=options.direction, keep=keep, on_failure=on_failure) as bar:
            return map_phases(task, options=options, recorder=folder.journal, progress=bar, prepared=prepared)
    except KeyboardInterrupt:
        console.print(
            f"interrupted: {folder.journal.count} points are kept in {folder.path}; continue with --resume --out {folder.path}"
        )
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")], json_file: Json = None, debug: Debug = False
) -> None:
    """Print the tables of a run: of an unfinished one what is there, and the command that goes on with it."""
    check_json(json_file)
    diagram, placed = load(run), placements(run)
    write_json_file(json_file, diagram.to_dict() | {"placements": placed})
    console = console_for(json_file, soft_wrap=True)
    _show(console, diagram.to_dict(), diagram.answer())
    for item in placed:
        console.print(f"\n{item['file']}: {item['answer']}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="The HTML file. Default: report.html in the run folder.")] = None,
    debug: Debug = False,
) -> None:
    """Write the report of a run, one HTML file that needs no network, and in the run folder figures for papers."""
    diagram, figures = load(run), run / "figures"
    files = Attempts(on_failure=failure_shown(debug))
    made = _report(diagram, run, out or run / "report.html")
    _figures(diagram, figures, files, whole=True)
    print(f"report: {made}\nfigures: {figures}")  # noqa: T201
    tell_missing(files.missing, f"spinodal report {run}")


@app.command(help=EXPORT_HELP)
def export(
    run: Annotated[str, typer.Argument(metavar="RUN[:POINT]", help="A run folder, and a point of its journal.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The safetensors file to write.")],
    at_weight_decay: Annotated[float | None, typer.Option(help="The point nearest to this weight_decay (2 * beta).")] = None,
    at_beta: Annotated[float | None, typer.Option(help="The point nearest to this beta.")] = None,
    debug: Debug = False,
) -> None:
    """Write the model at a point of RUN (see `EXPORT_HELP`)."""
    folder, point = run_and_point(run)
    diagram = load(folder)
    snapshot = chosen_point(diagram, point, at_beta=at_beta, at_weight_decay=at_weight_decay)
    snapshot.save(file)
    print(f"{file}: point {snapshot.point.index}, weight_decay = {snapshot.weight_decay:.6g}, E = {snapshot.error:.6g}")  # noqa: T201


@app.command()
def tasks(json_file: Json = None, debug: Debug = False) -> None:
    """List the built-in tasks and their arguments."""
    check_json(json_file)
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


@app.command()
def theory(
    singular_values: Annotated[str, typer.Option(help="Of the input-output covariance, comma-separated.")] = "0.9,0.5",
    matrices: Annotated[int, typer.Option(help="Number N of weight matrices (hidden layers + 1).")] = 3,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the exact transitions of deep linear networks."""
    check_json(json_file)
    found = deep_linear(_numbers(singular_values), matrices=matrices)
    console = console_for(json_file)
    console.print(theory_table(found, console.width) if found else "N = 1: no transition, w = s / (1 + beta)")
    console.print(f"convention: {CONVENTION}; E is the mean over samples of the sum over outputs")
    rows = [asdict(item) for item in found]
    write_json_file(json_file, {"matrices": matrices, "convention": CONVENTION, "transitions": rows})


def _show(console: Console, result: dict[str, Any], answer: str) -> None:
    console.print()
    console.print(transitions_table(result, console.width), soft_wrap=False)
    console.print()
    console.print(phases_table(result, console.width), soft_wrap=False)
    console.print(summary(result))
    console.print()
    console.print(answer)


def _pictures(diagram: PhaseDiagram, folder: RunFolder, files: Attempts) -> Path:
    """Write the figures and the report, and return the latter; what fails is recorded as missing."""
    _figures(diagram, folder.path / "figures", files, whole=False)
    folder.lack_files(files.missing)
    report = folder.path / "report.html"
    with files.part("report.html"):
        _report(load(folder.path), folder.path, report)
    folder.lack_files(files.missing)
    return report


def _figures(diagram: PhaseDiagram, folder: Path, files: Attempts, *, whole: bool) -> None:
    """Write the phase map, or every figure."""

    @contextmanager
    def part(what: str) -> Iterator[None]:
        with files.part(what), writing(folder, do="mend that; `spinodal report RUN` makes the figures again"):
            yield

    with part("the figures"):
        from spinodal.plots import save_figures, save_phase_map  # matplotlib is slow to import, and needed at the end only

        (save_figures if whole else save_phase_map)(diagram, folder, part=part)


def _report(diagram: PhaseDiagram, run: Path, target: Path) -> Path:
    from spinodal.report import save_report  # as is plotly

    with writing(target, do="mend that, or give another --out"):
        return save_report(diagram, target, provenance=diagram.run, placements=placements(run))


def _model(start: Path | None, decay: float | None, task: Task, landscape: Landscape) -> Model | None:
    """Return the file, weight_decay, contents and theta of a model to be placed, or refuse it before anything is computed."""
    if start is None and decay is None:
        return None
    if start is None or decay is None:
        given, other = ("--at-weight-decay", "--start FILE") if start is None else ("--start", "--at-weight-decay W")
        raise SpinodalError(
            got=f"{given} alone",
            allowed="both or neither are allowed",
            do=f"add {other}: a model is placed where it was trained",
        )
    held = read_checkpoint(start)
    return start, positive_beta(decay, "--at-weight-decay"), held, theta_of(held, task, landscape)


def _placed(diagram: PhaseDiagram, model: Model, task: Task, options: MapOptions, run: Path, console: Console) -> Placement:
    """Place a model, and keep the placement in the run folder."""
    start, decay, held, theta = model
    folder = placement_folder(run, theta, decay)
    console.print(f"placing {start} at weight_decay = {decay:g}")
    placement = place(diagram, held, weight_decay=decay, task=task, options=options, recorder=placement_journal(folder))
    save_placement(folder, placement, start)
    return placement


def _default_folder(name: str, *, resume: bool) -> Path:
    """Return runs/NAME-N with N after the last one taken; to resume, the last one."""
    stem = Path(name.split(":")[0]).stem
    endings = [path.name.removeprefix(f"{stem}-") for path in Path("runs").glob(f"{glob.escape(stem)}-*")]
    last = max((int(ending) for ending in endings if ending.isdecimal()), default=0)
    return Path("runs") / f"{stem}-{max(last, 1) if resume else last + 1}"


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


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",") if part.strip()]
        if not numbers:
            raise ValueError(text)
        return numbers
    except ValueError as cause:
        raise SpinodalError(
            got=f"{text!r} is not a list of numbers", allowed="comma-separated numbers are allowed", do="try 0.9,0.5"
        ) from cause


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
