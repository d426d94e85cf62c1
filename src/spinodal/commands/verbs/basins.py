"""`spinodal basins`: which phase training reaches from random starts, at each of several beta."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import Form, pairs
from spinodal.commands.asked import Asked
from spinodal.commands.verbs.options import (
    Centre,
    Debug,
    Device,
    Dtype,
    Json,
    Quiet,
    Resume,
    Sets,
    TaskName,
    Threads,
    Tolerance,
    Workers,
)

BASINS_HELP = """Train TASK from many random starts at several beta, and count which phase each reaches: the shares of basins.

\b
Examples:
  spinodal basins gaussian --at 0.05,0.1,0.2 --starts 64
  spinodal basins my_net.py:task --at 1e-3,1e-2 --starts 16 --training lbfgs --workers 2
Beside a map, whose phases keep their numbers; what only starts find is numbered after them and joins the map's phases:
  spinodal map gaussian --out runs/g
  spinodal basins gaussian --map runs/g --at 0.05,0.1,0.2 --out runs/g-basins
  spinodal show runs/g-basins
Killed, or cut by a time limit? What is finished is left alone, what was cut goes on, to the same numbers:
  spinodal basins gaussian --map runs/g --at 0.05,0.1,0.2 --out runs/g-basins --resume

\b
What is done:
  train      the same starts at every beta, by gradient descent (gd) with half the learning rate below which it is stable, or by
             L-BFGS (lbfgs), with far fewer gradients, whose long steps may lead elsewhere
  minimise   from every end, as a map does; where that changes E by 1 % of its range, or finds no minimum, the start is not
             finished: give it more --epochs
  match      minima that are one up to symmetries are one phase; a phase is followed from beta to beta
  count      how many starts reach each phase, with an interval that holds the true share in 95 of 100 such samples
Written to the run folder: shares.json, shares.nc, report.html, figures/shares.png and .pdf. Bands over beta show the shares;
with --map, below E of all phases in the same colours.
"""


def basins_command(
    task: TaskName,
    at: Annotated[str, typer.Option("--at", metavar="BETA,BETA...", help="Values of beta, with commas between.")],
    settings: Sets = None,
    map_run: Annotated[
        Path | None,
        typer.Option("--map", metavar="RUN", help="A finished run of `spinodal map` of the same task, beside which to count."),
    ] = None,
    starts: Annotated[int, typer.Option(help="Random starts, the same at every beta.")] = 64,
    seed: Annotated[int, typer.Option(help="Of the random starts: start k has seed 1000 * SEED + k.")] = 0,
    training: Annotated[str, typer.Option(help="gd: gradient descent; lbfgs: L-BFGS, with far fewer gradients.")] = "gd",
    learning_rate: Annotated[
        float | None, typer.Option(help="Of gd. Default: half the limit of stability, from the curvature at each beta.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Most steps of a start; it ends before where its residual is small.")] = 20_000,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder. Default: runs/TASK-basins-N, the next N; with --resume, the last one."),
    ] = None,
    resume: Resume = False,
    solver: Annotated[str, typer.Option(help="auto, newton, newton_cg or lbfgs: what minimises from the ends.")] = "auto",
    tolerance: Tolerance = None,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    centre: Centre = None,
    threads: Threads = 0,
    workers: Workers = 1,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so long, as Ctrl-C does; what there is stays, and --resume goes on.", min=0.01),
    ] = None,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Count which phase training reaches from random starts (see `BASINS_HELP`)."""
    from spinodal.commands.basins import Sampling, count_starts  # torch takes seconds to import, and the help needs none of it
    from spinodal.mapping.options import MapOptions
    from spinodal.shares.training import Training

    options = MapOptions(seed=seed, solver=solver, tolerance=tolerance, dtype=dtype, device=device)
    sampling = Sampling(AT.of(at), starts, seed, Training(training, learning_rate, epochs))
    asked = Asked(
        task=task, settings=pairs(settings), out=out, resume=resume, centre=centre, threads=threads, workers=workers,
        json_file=json_file, quiet=quiet, debug=debug,
    )  # fmt: skip
    count_starts(asked, sampling, options, map_run=map_run, max_minutes=max_minutes)


def _betas(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


AT = Form("--at", _betas, "values of beta with commas between are allowed", "0.05,0.1")
