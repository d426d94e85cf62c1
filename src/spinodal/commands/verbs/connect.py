"""`spinodal connect`: whether two trained networks can be merged, and the lowest path between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.arguments import pairs
from spinodal.commands.asked import Asked
from spinodal.commands.verbs.options import Debug, Device, Dtype, Json, Quiet, Resume, Sets, TaskName, Threads

CONNECT_HELP = """Join two trained networks A and B of TASK by a path of low error, and say whether they can be merged.

\b
Examples:
  spinodal connect digits one.safetensors other.pt --check
  spinodal connect my_net.py:task one.safetensors other.safetensors --out runs/joined --merge merged.safetensors
  spinodal connect gaussian runs/gaussian-1:0 runs/gaussian-2:0 --method l2,bezier,chain --budget 500

\b
What is printed:
  the check   E, norm and rank of both; the barrier of the straight line, and that after the hidden units of B are put into
              the order (and given the signs) of those of A. Averages are safe where a barrier is below 1 % of E(0) - E.
  barrier     how far E rises above the larger end anywhere on the path, between its points too; +/- what may be missed
  l2          the default: where samples are many a cubic curve, trained in batches at places where E is high; points between A
              and B, lowered; where a barrier stays, E + beta ||theta - B||^2 is minimised while beta rises until theta is B,
              and the same from B, and that is lowered: the lowest of these. walk is the last of them alone.
  others      bezier and chain train a curve or a polygon as a whole; band is the nudged elastic band; phases goes up in beta
              from both ends until they are of one phase, joins them there, and goes down: the pass through the hierarchy;
              straight only measures. With several methods, each has the whole budget.
A path that stays low means that the two are one valley, not that their average is in it: --merge takes the best point on it.
"""


def connect_command(
    task: TaskName,
    a: Annotated[str, typer.Argument(metavar="A", help="RUN:POINT, or a checkpoint (nothing in it is run).")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other end, likewise.")],
    settings: Sets = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the two can be merged, from a few evaluations.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="l2, walk, straight, bezier, chain, band, phases, several with commas between, or all.")
    ] = "l2",
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Put the hidden units of B into the order of those of A before.")
    ] = False,
    budget: Annotated[float, typer.Option(help="Gradients over the full sample that each method may cost.")] = 3000.0,
    tolerance: Annotated[
        float | None, typer.Option(help="A barrier up to this counts as none. Default: 1e-6 of the straight line's.")
    ] = None,
    bends: Annotated[int, typer.Option(help="Points between the ends of a chain or a band.", min=1)] = 3,
    start: Annotated[str, typer.Option(help="The method that a band begins with.")] = "straight",
    merge: Annotated[
        Path | None, typer.Option(help="Write the best model on the path, by held-out error, as safetensors.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder for paths, figure and result. Default: none.")] = None,
    resume: Resume = False,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    threads: Threads = 0,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Join two trained networks (see `CONNECT_HELP`)."""
    from spinodal.commands.connect import (  # torch takes seconds to import, and the help needs none of it
        Request,
        connect_ends,
        methods_of,
        refuse_merge,
    )

    refuse_merge(merge)
    how = {"budget": budget, "tolerance": tolerance, "bends": bends, "start": start, "aligned": aligned}
    request = Request((a, b), methods_of(method), how, dtype, device)
    asked = Asked(
        task=task, settings=pairs(settings), out=out, resume=resume, threads=threads, json_file=json_file, quiet=quiet,
        debug=debug,
    )  # fmt: skip
    connect_ends(asked, request, check=check, merge=merge)
