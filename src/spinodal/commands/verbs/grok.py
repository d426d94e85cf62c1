"""`spinodal grok`: training from prepared phases, with the waiting times predicted and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import pairs
from spinodal.commands.asked import Asked
from spinodal.commands.verbs.options import Debug, Json, Quiet, Resume, Sets, TaskName, Threads

GROK_HELP = """Train TASK at a very small beta from a random start and from prepared phases: when does each find the best phase?

\b
Examples:
  spinodal grok gaussian
  spinodal grok gaussian --amplitude 0.02 --json result.json
  spinodal grok digits --from runs/digits-1:4 --learning-rate 0.1
  spinodal grok my_net.py:task --out runs/mine --resume

\b
What is done:
  map          the phases of TASK along beta, as `spinodal map` does (with --from, those of that run)
  prepare      from the intermediate phase, the trivial phase, or the one of --from: a random start is added to the phase's
               model, and trained at a beta inside the phase until its dead modes have shrunk to --amplitude, and to 4, 2 and
               1/2 times that. The amplitude is the geometric mean, over the weight matrices, of the first singular value that
               the phase does not need. It alone sets the waiting time, so a figure without it says nothing.
  predict      for every start, before it is trained: gradient flow, solved in long steps, and, where the singular values of the
               task are known, the escape integral of its slowest mode
  train        all starts at once by gradient descent at --beta
  measure      the epoch at which E is halfway to the level of the best phase, on a logarithmic scale
Written to the run folder: grok.json, figures/grok.png and .pdf, and the run of the map itself (`spinodal show`).
A plateau that ends is a slow one; one that gradient flow never leaves is metastable: `spinodal.diagnose` tells them apart, and
`spinodal.escape` leads out of both. Which phases a learning rate can hold: `spinodal show RUN --learning-rate R`.
"""


def grok_command(
    task: TaskName,
    settings: Sets = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder. Default: runs/grok-TASK-N, the next N; with --resume, the last one."),
    ] = None,
    resume: Resume = False,
    from_phase: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN:PHASE", help="Start from this phase of a run of `spinodal map`; no map is made."),
    ] = None,
    beta: Annotated[float, typer.Option(help="Of the training.")] = 1e-5,
    learning_rate: Annotated[float, typer.Option(help="Of gradient descent, here and in the preparation.")] = 0.05,
    epochs: Annotated[
        int | None, typer.Option(help="Most epochs. Default: 1.3 times the longest predicted waiting time.", min=1)
    ] = None,
    amplitude: Annotated[float, typer.Option(help="What the preparation leaves of dead modes.")] = 1e-2,
    scale: Annotated[float, typer.Option(help="Size of the random start that preparations begin with.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the random starts.")] = 0,
    threads: Threads = 0,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train TASK from prepared phases (see `GROK_HELP`)."""
    from spinodal.commands.grok import grok_task  # torch takes seconds to import, and the help needs none of it
    from spinodal.dynamics.grokking import GrokOptions

    options = GrokOptions(beta, learning_rate, epochs, amplitude, scale, seed)
    asked = Asked(
        task=task, settings=pairs(settings), out=out, resume=resume, threads=threads, json_file=json_file, quiet=quiet,
        debug=debug,
    )  # fmt: skip
    grok_task(asked, options, source=from_phase)
