"""`spinodal claims`: claims of the literature, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinodal.commands.verbs.options import Debug, Json, Quiet, Threads

CLAIMS_HELP = """Measure what papers claim about phases under weight decay, and write a page with numbers and verdicts.

\b
Examples:
  spinodal claims
  spinodal claims --only 2,11
The rows that take hours, MNIST among them; again with --resume where it was stopped:
  spinodal claims --full --mnist mnist.npz --resume
"""


def claims_command(
    out: Annotated[Path, typer.Option("--out", help="Folder of claims.md, claims.json and figures.")] = Path("claims"),
    only: Annotated[str | None, typer.Option("--only", metavar="N,N", help="Numbers of claims. Default: all.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Measure long rows in full: hours.")] = False,
    mnist: Annotated[Path | None, typer.Option("--mnist", help="Images for the row on MNIST (see `spinodal tasks`).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Measure only what is missing in that folder.")] = False,
    threads: Threads = 0,
    json_file: Json = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure claims (see `CLAIMS_HELP`)."""
    from spinodal.commands.claims import measure_claims  # torch takes seconds to import

    measure_claims(out, only, is_full=full, mnist=mnist, resume=resume, threads=threads, json_file=json_file, quiet=quiet)
