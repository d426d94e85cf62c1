"""`spinodal theory`: the exact transitions of deep linear networks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from spinodal.commands.arguments import Debug, Json, console_for
from spinodal.commands.json_file import check_json, write_json_file
from spinodal.commands.tables import theory_table
from spinodal.conventions import CONVENTION
from spinodal.errors import SpinodalError
from spinodal.theory import deep_linear


def theory_command(
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
