"""`spinodal theory`: the exact transitions of deep linear networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from spinodal.commands.arguments import console_for
from spinodal.commands.json_file import write_json_file
from spinodal.commands.table import Column, table
from spinodal.commands.verbs.options import Debug, Json
from spinodal.conventions import CONVENTION, weight_decay
from spinodal.errors import SpinodalError
from spinodal.theory import ExactTransition, deep_linear


def theory_command(
    singular_values: Annotated[str, typer.Option(help="Of the input-output covariance, comma-separated.")] = "0.9,0.5",
    matrices: Annotated[int, typer.Option(help="Number N of weight matrices (hidden layers + 1).")] = 3,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the exact transitions of deep linear networks."""
    found = deep_linear(_numbers(singular_values), matrices=matrices)
    console = console_for(json_file)
    console.print(theory_table(found, console.width) if found else "N = 1: no transition, w = s / (1 + beta)")
    console.print(f"convention: {CONVENTION}; E is the mean over samples of the sum over outputs")
    rows = [asdict(item) for item in found]
    write_json_file(json_file, {"matrices": matrices, "convention": CONVENTION, "transitions": rows})


def theory_table(found: Sequence[ExactTransition], width: int) -> Table:
    """Return closed-form transitions, one per row."""
    columns = [
        Column("singular value", [f"{item.singular_value:g}" for item in found]),
        Column("order", [item.order for item in found]),
        Column("spinodal beta", [f"{item.beta:.9g}" for item in found]),
        Column("weight_decay", [f"{weight_decay(item.beta):.9g}" for item in found], spare=1),
        Column("coexistence beta", ["-" if item.coexistence is None else f"{item.coexistence:.9g}" for item in found]),
    ]
    return table("Exact transitions", columns, width)


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
