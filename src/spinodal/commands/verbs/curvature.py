"""`spinodal curvature`: the curvature of E and of L at one point of a run, or at a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from spinodal.arguments import accuracy, seed_number
from spinodal.commands.arguments import pairs
from spinodal.commands.verbs.options import Centre, Debug, Device, Json, Sets, TaskName, Threads
from spinodal.errors import positive_beta, unknown_name

CURVATURE_HELP = """Print the curvature of E and of L of TASK at a point of a run, or at a trained model.

\b
Examples:
  spinodal curvature gaussian --at runs/gaussian-1:12
  spinodal curvature digits --at runs/digits --at-weight-decay 0.1 --budget 400
  spinodal curvature my_net.py:task --at model.safetensors --at-weight-decay 0.02 --rtol 0.01

\b
What is printed, for the error surface E and the loss surface L = E + beta ||theta||^2:
  scalar curvature R   of the graph over theta: [(tr H)^2 - ||H||^2] / W2 + 2 [||H g||^2 - tr H g.H g] / W2^2
                       with gradient g, Hessian H and W2 = 1 + ||g||^2; it changes when E is rescaled
  trace                of H; that of Hess L is larger by 2 beta for every penalised parameter
  Fisher trace         of the Gauss-Newton part of H
  saddle index         negative eigenvalues; ">= k" is a lower bound
  margin               smallest eigenvalue of Hess L outside the zero modes; it vanishes where a phase ends
Up to about a thousand parameters all of it is exact, from one dense Hessian; beyond, R has a standard error, and --budget or
--rtol says what it may cost. R defines no phase: read it beside the margin and the index.
The arguments of TASK are those of the run unless --set says otherwise.
"""


def curvature_command(
    task: TaskName,
    at: Annotated[
        str,
        typer.Option(help="A point, RUN:POINT; or RUN, or a checkpoint FILE, with --at-weight-decay.", metavar="RUN:POINT"),
    ],
    settings: Sets = None,
    at_weight_decay: Annotated[
        float | None,
        typer.Option(help="Of RUN: take the point nearest to this weight_decay. Of FILE: what it was trained with (2 * beta)."),
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Of L, in place of that of the point.")] = None,
    centre: Centre = None,
    method: Annotated[
        str, typer.Option(help="dense (exact), probes (Hessian products, standard error), or auto, by size and budget.")
    ] = "auto",
    budget: Annotated[int | None, typer.Option(help="Most Hessian products that R may take.", min=1)] = None,
    rtol: Annotated[float | None, typer.Option(help="Relative standard error of R that is enough.")] = None,
    seed: Annotated[int, typer.Option(help="Of the probes.")] = 0,
    device: Device = "cpu",
    threads: Threads = 0,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the curvature of E and of L at one point (see `CURVATURE_HELP`)."""
    from spinodal.commands.chosen_theta import Choice
    from spinodal.commands.curvature import tell_curvature  # torch takes seconds to import, and the help needs none of it
    from spinodal.curvature.scalar import METHODS

    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    how = {"method": method, "budget": budget, "rtol": accuracy(rtol, called="--rtol"), "seed": seed_number(seed)}
    beta = None if beta is None else positive_beta(beta)
    choice = Choice(task, at, pairs(settings), at_weight_decay, beta, device, centre)
    tell_curvature(choice, how, threads=threads, json_file=json_file)
