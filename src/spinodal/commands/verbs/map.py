"""`spinodal map`: the phases of a task, in tables, figures, a report and a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import BETA, Form, pairs
from spinodal.commands.asked import Asked
from spinodal.commands.verbs.options import (
    Centre,
    Debug,
    Device,
    Dtype,
    Json,
    Quiet,
    Resume,
    Scheduler,
    Sets,
    TaskName,
    Threads,
    Tolerance,
    Workers,
)
from spinodal.errors import SpinodalError
from spinodal.processes.world import world

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
The published protocol, Adam on a grid of weight_decay with carried weights, to be compared with a map:
  spinodal map mnist --solver adam --grid 0:0.09:0.0002
The phases around a model, of L = E + beta ||theta - centre||^2:
  spinodal map gaussian --centre runs/gaussian-1:12
Eight seeds, two at a time: a run for each in runs/eight/seed-N, and in how many of them each transition is met, and where:
  spinodal map digits --seeds 0:8 --workers 2 --out runs/eight
Killed, cut by a time limit, or to have more seeds? What is finished is left alone, what was cut goes on:
  spinodal map digits --seeds 0:12 --workers 2 --out runs/eight --resume
One large network, whose sums over the data two processes share out; it can be gone on with by one, or by four:
  torchrun --nproc-per-node 2 --no-python spinodal map mnist --shards 4 --out runs/large
"""

Out = Annotated[
    Path | None, typer.Option("--out", help="Run folder. Default: runs/TASK-N, the next N; with --resume, the last one.")
]


def map_command(
    task: TaskName,
    settings: Sets = None,
    out: Out = None,
    resume: Resume = False,
    beta: Annotated[
        str | None,
        typer.Option(help="Range LOW:HIGH. Default: HIGH by doubling until the trivial phase, LOW = HIGH/300 or below."),
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
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Seeds A:B, from A to below B, or A,B,C: one map of each, and what they have in common.", metavar="A:B"
        ),
    ] = None,
    starts: Annotated[int, typer.Option(help="Random starts from which the deepest phase is chosen.")] = 4,
    repeats: Annotated[
        int, typer.Option(help="Repeat the walk N times from other starts; tell the spread of each transition.", metavar="N")
    ] = 0,
    solver: Annotated[str, typer.Option(help="auto, newton, newton_cg or lbfgs; with --grid, adam or sgd.")] = "auto",
    grid: Annotated[
        str | None,
        typer.Option(
            help="START:STOP:STEP of weight_decay: train at each value with carried weights (the published protocol)."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data at each value of --grid, at most.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Samples of a mini-batch of --grid.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of adam or sgd on --grid.")] = 1.5e-3,
    patience: Annotated[int, typer.Option(help="Epochs without a fall of L after which --grid goes on.")] = 5,
    tolerance: Tolerance = None,
    bracket: Annotated[
        float | None,
        typer.Option(help="Relative width of brackets. Default: 1e-5 dense, beyond 800 parameters 1e-4; 1e-3 matrix-free."),
    ] = None,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    centre: Centre = None,
    soften: Annotated[
        str | None,
        typer.Option(help="Sharpness of what takes the place of ReLU and its kin; LOW:HIGH also finds transitions without it."),
    ] = None,
    lead: Annotated[
        int | None,
        typer.Option(help="Samples of a map that leads a large network's; 0: none. Default: a quarter, at most 7500."),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Cut the data into S parts, whose sums the processes of torchrun share out: the same numbers for any of them.",
            metavar="S",
        ),
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
    workers: Workers = 1,
    scheduler: Scheduler = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop mapping after so long, as Ctrl-C does; what there is stays, and --resume goes on.", min=0.01),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Map the phases of TASK (see `MAP_HELP`)."""
    from spinodal.commands.ensemble import map_ensemble  # torch takes seconds to import, and the help needs none of it
    from spinodal.commands.map import map_task
    from spinodal.mapping.options import MapOptions

    options = MapOptions(
        beta=BETA.given(beta), direction=direction, seed=seed, starts=starts, repeats=repeats, solver=solver,
        tolerance=tolerance, bracket=bracket, dtype=dtype, device=device, branches=branches, curvature=curvature,
        soften=SOFTEN.given(soften), grid=GRID.given(grid), epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
        patience=patience, lead=lead, shards=shards,
    )  # fmt: skip
    _refuse_processes(shards, seeds, workers)
    model, asked = (start, at_weight_decay), Asked(
        task=task, settings=pairs(settings), out=out, resume=resume, centre=centre, threads=threads, workers=workers,
        scheduler=scheduler, json_file=json_file, quiet=quiet, debug=debug,
    )  # fmt: skip
    if seeds is not None:
        _refuse_limit(max_minutes)
        map_ensemble(asked, options, seeds=seeds, model=model)
    else:
        _refuse_alone(scheduler)
        map_task(asked, options, model=model, max_minutes=max_minutes)


def _refuse_processes(shards: int | None, seeds: str | None, workers: int) -> None:
    """Refuse several processes of a launcher for what they cannot share out."""
    here = world()
    if not here.is_shared:
        return
    if shards is None:
        raise SpinodalError(
            got=f"{here.size} processes (WORLD_SIZE = {here.size}) without --shards",
            allowed="processes that share out the sums over the data of one map are allowed",
            do=f"add --shards {here.size} or a multiple of it; or start one process, or unset WORLD_SIZE",
        )
    if seeds is not None or workers > 1:
        raise SpinodalError(
            got=f"{'--seeds' if seeds is not None else '--workers'} with --shards in {here.size} processes",
            allowed="processes of one map share out the sums over the data; workers share out maps, or the parts of one",
            do="leave one out: the numbers are the same",
        )


def _refuse_limit(max_minutes: float | None) -> None:
    """Refuse a time limit for several maps at once."""
    if max_minutes is not None:
        raise SpinodalError(
            got="--max-minutes with --seeds",
            allowed="a time limit is for one map",
            do="leave it out: an ensemble is stopped by Ctrl-C at any time, and --resume goes on",
        )


def _refuse_alone(scheduler: str | None) -> None:
    """Refuse a scheduler for one map."""
    if scheduler is not None:
        raise SpinodalError(
            got="--scheduler without --seeds",
            allowed="a scheduler shares out many maps",
            do="add --seeds 0:8; or --workers N in its place",
        )


def _steps(text: str) -> tuple[float, float, float]:
    start, stop, step = map(float, text.split(":"))
    return start, stop, step


def _sharpness(text: str) -> float | tuple[float, float]:
    low, colon, high = text.partition(":")
    return (float(low), float(high)) if colon else float(low)


GRID = Form("--grid", _steps, "START:STOP:STEP with three numbers is allowed, of weight_decay", "0:0.09:0.0002")
SOFTEN = Form("--soften", _sharpness, "a sharpness, or LOW:HIGH, is allowed", "20")
