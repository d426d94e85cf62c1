"""The command line: `spinodal map`, `show`, `tasks`, `theory`."""

from __future__ import annotations

import glob
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from threadpoolctl import threadpool_limits

from spinodal import __version__
from spinodal.errors import SpinodalError, one_line, unexpected
from spinodal.mapping import MapOptions, log_fraction, map_phases, prepare
from spinodal.mapping import Progress as Watcher
from spinodal.penalty import CONVENTION
from spinodal.phases import PhaseDiagram
from spinodal.store import RunFolder, load, writing
from spinodal.tables import phases_table, summary, theory_table, transitions_table
from spinodal.tasks import Task
from spinodal.tasks.registry import BUILT_IN, arguments_of, make_task
from spinodal.theory import deep_linear
from spinodal.transitions import Transition
from spinodal.usage import UsageError, Verbs, refusal
from spinodal.walk import Point

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
SMALL = 1_000_000  # parameters times samples up to which one thread is as fast, and faster beside other programs

MAP_HELP = """Map the phases of TASK: table, figure, run folder.

\b
Examples:
  spinodal map digits
  spinodal map gaussian --set activation=linear --set hidden=10,10 --json result.json
  spinodal map my_net.py:task --beta 1e-4:0.1 --out runs/mine --resume
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
Json = Annotated[str | None, typer.Option("--json", help="Write the result as JSON to this file, or '-' for standard output.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A task argument, key=value; lists as 10,10. Repeatable.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")]


def main() -> None:
    """Run the command line; errors are one line and exit code 2, Ctrl-C is exit code 130."""
    try:
        sys.exit(_exit_code())
    except Exception as error:  # whatever it is, a traceback is for those who ask for it
        if "--debug" in sys.argv:
            raise
        refused = error if isinstance(error, SpinodalError) else unexpected(error)
        print(f"error: {one_line(refused)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def _exit_code() -> int | None:
    try:
        code: int | None = typer.main.get_command(app).main(prog_name="spinodal", standalone_mode=False)
    except UsageError as error:
        raise refusal(error) from error
    except typer.Abort:  # what older versions of Typer make of Ctrl-C
        return INTERRUPTED
    return code


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
    direction: Annotated[str, typer.Option(help="up: follow the deepest phase; down: follow the trivial one.")] = "up",
    seed: Annotated[int, typer.Option(help="Seed of the random starts.")] = 0,
    starts: Annotated[int, typer.Option(help="Random starts from which the deepest phase is chosen.")] = 4,
    solver: Annotated[str, typer.Option(help="auto, newton, newton_cg or lbfgs.")] = "auto",
    tolerance: Annotated[float | None, typer.Option(help="Relative residual of a minimum. Default: the solver's.")] = None,
    bracket: Annotated[
        float | None, typer.Option(help="Relative width of brackets. Default: 1e-5 dense, 1e-3 matrix-free.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Processor threads. Default 0: 1 for small problems, else all.", min=0)] = 0,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map the phases of TASK (see `MAP_HELP`)."""
    options = MapOptions(
        beta=_range(beta), direction=direction, seed=seed, starts=starts, solver=solver,
        tolerance=tolerance, bracket=bracket, dtype=dtype, device=device,
    )  # fmt: skip
    _check_json(json_file)
    made = make_task(task, _pairs(settings or []))
    landscape, _ = prepare(made, options)  # refuse bad input before anything is written
    _use_threads(threads, landscape.size * landscape.batches.total)
    console = Console(stderr=json_file == "-", quiet=quiet, soft_wrap=True, highlight=False)
    config = {"task": {"name": made.name, **made.settings}, "map": asdict(options)}
    with RunFolder(out or _default_folder(made.name, resume=resume), config, resume=resume) as folder:
        diagram = _mapped(made, options, folder, console)
        folder.save(diagram)
        figures = _figures(diagram, folder)
    _show(console, diagram.to_dict(), diagram.answer())
    console.print(f"run folder: {folder.path}  (figure: {figures})")
    _write_json(json_file, diagram.to_dict())


def _mapped(task: Task, options: MapOptions, folder: RunFolder, console: Console) -> PhaseDiagram:
    """Map with a progress bar, and say on Ctrl-C what is kept."""
    try:
        with _Bar(console, downward=options.direction == "down") as bar:
            return map_phases(task, options=options, recorder=folder.journal, progress=bar)
    except KeyboardInterrupt:
        console.print(
            f"interrupted: {folder.journal.count} points are kept in {folder.path}; continue with --resume --out {folder.path}"
        )
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")], json_file: Json = None, debug: Debug = False
) -> None:
    """Print the tables of a finished run."""
    _check_json(json_file)
    diagram = load(run)
    _show(Console(stderr=json_file == "-", soft_wrap=True, highlight=False), diagram.to_dict(), diagram.answer())
    _write_json(json_file, diagram.to_dict())


@app.command()
def tasks(json_file: Json = None, debug: Debug = False) -> None:
    """List the built-in tasks and their arguments."""
    _check_json(json_file)
    table = Table()
    for heading in ("task", "what", "arguments (--set key=value)"):
        table.add_column(heading, overflow="fold")
    listing = {}
    for name, maker in BUILT_IN.items():
        arguments = arguments_of(name)
        first = (maker.__doc__ or "").strip().split("\n")[0]
        table.add_row(name, first, "\n".join(f"{key} = {_text(value)}" for key, value in arguments.items()))
        listing[name] = {"summary": first, "arguments": {key: _plain(value) for key, value in arguments.items()}}
    console = Console(stderr=json_file == "-", highlight=False)
    console.print(table)
    console.print("Your own: path/to/file.py:function, a function that returns a spinodal.Task.")
    _write_json(json_file, listing)


@app.command()
def theory(
    singular_values: Annotated[str, typer.Option(help="Of the input-output covariance, comma-separated.")] = "0.9,0.5",
    matrices: Annotated[int, typer.Option(help="Number N of weight matrices (hidden layers + 1).")] = 3,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the exact transitions of deep linear networks."""
    _check_json(json_file)
    found = deep_linear(_numbers(singular_values), matrices=matrices)
    console = Console(stderr=json_file == "-", highlight=False)
    console.print(theory_table(found, console.width) if found else "N = 1: no transition, w = s / (1 + beta)")
    console.print(f"convention: {CONVENTION}; E is the mean over samples of the sum over outputs")
    _write_json(json_file, {"matrices": matrices, "convention": CONVENTION, "transitions": [asdict(item) for item in found]})


class _Bar(Watcher):
    """A progress bar over log beta, and a line per transition as it is found."""

    def __init__(self, console: Console, *, downward: bool) -> None:
        self.console, self.downward = console, downward
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self.limits = (1.0, 2.0)

    def __enter__(self) -> _Bar:
        self.bar.start()
        self.line = self.bar.add_task("finding the range of beta", total=1.0)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def range(self, low: float, high: float, solver: str) -> None:
        self.limits = (low, high)
        self.console.print(f"beta from {low:.4g} to {high:.4g} ({CONVENTION}), solver {solver}")
        self.bar.update(self.line, description="minimising at both ends")

    def point(self, point: Point) -> None:
        walked = log_fraction(point.beta, *self.limits)
        self.bar.update(
            self.line,
            completed=1.0 - walked if self.downward else walked,
            description=f"beta = {point.beta:.4g}, E = {point.error:.4g}, rank {point.observation.rank}",
        )

    def transition(self, transition: Transition) -> None:
        if not transition.minor:
            self.console.print(str(transition))


def _show(console: Console, result: dict[str, Any], answer: str) -> None:
    console.print()
    console.print(transitions_table(result, console.width), soft_wrap=False)
    console.print()
    console.print(phases_table(result, console.width), soft_wrap=False)
    console.print(summary(result))
    console.print()
    console.print(answer)


def _use_threads(threads: int, work: int) -> None:
    """Fix the threads by the work of one evaluation, in parameters times samples."""
    chosen = threads or (1 if work <= SMALL else 0)
    if chosen:
        torch.set_num_threads(chosen)
        threadpool_limits(chosen)


def _figures(diagram: PhaseDiagram, folder: RunFolder) -> Path:
    from spinodal.plots import save_phase_map  # matplotlib is slow to import, and needed at the end only

    with writing(folder.path / "figures"):
        return save_phase_map(diagram, folder.path / "figures")[0]


def _check_json(target: str | None) -> None:
    """Refuse a JSON file that cannot be written, before anything is computed."""
    if target in (None, "-"):
        return
    try:
        os.stat(str(target))
    except FileNotFoundError:
        pass  # it will be made
    except OSError as cause:  # a name too long, a loop of links, a file where a folder should be
        raise _unwritable(target, cause.strerror) from cause
    place = Path(str(target)).resolve()
    if place.is_dir():
        raise _unwritable(target, "it is a folder")
    if not place.parent.is_dir():
        raise _unwritable(target, f"there is no folder {Path(str(target)).parent}")
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise _unwritable(target, "permission denied")


def _unwritable(target: str | None, why: str | None) -> SpinodalError:
    return SpinodalError(
        got=f"{target} cannot be written: {why}",
        allowed="a file in an existing, writable folder is allowed",
        do="check --json",
    )


def _write_json(target: str | None, value: Any) -> None:
    if target is None:
        return
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as cause:
        raise _unwritable(target, cause.strerror) from cause


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


def _pairs(settings: list[str]) -> dict[str, str]:
    pairs = {}
    for item in settings:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise SpinodalError(got=f"--set {item!r}", allowed="key=value is allowed", do="for example --set hidden=10,10")
        pairs[key.strip()] = value
    return pairs


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


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
