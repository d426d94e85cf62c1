"""`spinodal curvature`: the curvature of E and of L at one point of a run, or at a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from spinodal.arguments import accuracy, seed_number
from spinodal.commands.arguments import Debug, Json, Sets, Threads, console_for, pairs, threads_for, use_threads
from spinodal.commands.curvature_table import curvature_table
from spinodal.commands.json_file import check_json, write_json_file
from spinodal.commands.place import Place, Words, place_of
from spinodal.counts import Counts
from spinodal.curvature.along import Curvature, curvature_at
from spinodal.curvature.record import to_record
from spinodal.curvature.result import CONVENTION as SCALED
from spinodal.curvature.scalar import METHODS
from spinodal.errors import positive_beta, unknown_name
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import CONVENTION, weight_decay
from spinodal.spectrum.extremes import Extremes, extreme_eigenvalues
from spinodal.spectrum.margin import Margin, dense_margin, lanczos_margin

ENDS = 3  # eigenvalues shown of either end of the spectrum

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
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A built-in task (see `spinodal tasks`) or path/to/file.py:function.")
    ],
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
    method: Annotated[
        str, typer.Option(help="dense (exact), probes (Hessian products, standard error), or auto, by size and budget.")
    ] = "auto",
    budget: Annotated[int | None, typer.Option(help="Most Hessian products that R may take.", min=1)] = None,
    rtol: Annotated[float | None, typer.Option(help="Relative standard error of R that is enough.")] = None,
    seed: Annotated[int, typer.Option(help="Of the probes.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Threads = 0,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Print the curvature of E and of L at one point (see `CURVATURE_HELP`)."""
    check_json(json_file)
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    how = {"method": method, "budget": budget, "rtol": accuracy(rtol, called="--rtol"), "seed": seed_number(seed)}
    words = Words(task, at, pairs(settings or []), at_weight_decay, None if beta is None else positive_beta(beta), device)
    place = place_of(words)
    use_threads(threads or threads_for(place.landscape.size * place.landscape.batches.total))
    found = _measured(place, how)
    write_json_file(json_file, found.to_dict())
    console = console_for(json_file, soft_wrap=True)
    console.print()
    console.print(curvature_table(found.to_dict(), console.width), soft_wrap=False)
    console.print(found.text())


@dataclass(frozen=True)
class Measured:
    """What is known of a place."""

    place: Place
    curvature: Curvature
    margin: float
    extremes: Extremes
    error: float
    loss: float
    spent: Counts

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        record = to_record(self.curvature)
        ends = {name: getattr(self.extremes, name) for name in ("largest", "smallest")}
        place = self.place
        return {
            "task": {"name": place.task.name, **place.task.settings},
            "at": place.name,
            "point": None if place.snapshot is None else place.snapshot.point.index,
            "beta": place.beta,
            "weight_decay": weight_decay(place.beta),
            "convention": f"{CONVENTION}; {SCALED}",
            "parameters": place.landscape.size,
            "E": self.error,
            "L": self.loss,
            "curvature": {name: record[name] for name in ("error", "loss", "trace", "fisher_trace", "index")},
            "margin": self.margin if math.isfinite(self.margin) else None,
            "eigenvalues": {name: pairs.values.tolist() for name, pairs in ends.items()}
            | {f"{name}_residuals": pairs.residuals.tolist() for name, pairs in ends.items()}
            | {"status": self.extremes.status},
            "stats": {**vars(self.spent), "gradient_equivalents": self.spent.gradient_equivalents},
        }

    def text(self) -> Text:
        """Return what is said below the table."""
        result = self.to_dict()
        ends = ("largest", "smallest")
        return Text(
            "\n".join(
                [
                    f"E = {self.error:.6g}, L = {self.loss:.6g}, {self.place.landscape.size:,} parameters",
                    *(f"{name} eigenvalues of H: {_listed(result['eigenvalues'][name])}" for name in ends),
                    f"convention: {CONVENTION}",
                    f"{SCALED}; R defines no phase",
                    *self.curvature.caveats,
                    *([f"checkpoint: {self.place.remark}"] if self.place.remark else []),
                    f"{self.spent.gradient_evaluations:,} gradients, {self.spent.hessian_products:,} Hessian products, "
                    f"{self.spent.hessians:,} Hessians",
                ]
            )
        )


def _measured(place: Place, how: dict[str, Any]) -> Measured:
    landscape, loss = place.landscape, Regularised(place.landscape, place.beta, place.penalty)
    before = landscape.counts.copy()  # checks of the code are not costs of the answer
    found = curvature_at(landscape, place.theta, beta=place.beta, penalty=place.penalty, **how)
    dense = found.error.method == "dense"
    spectrum = extreme_eigenvalues(
        landscape, place.theta, largest=ENDS, smallest=ENDS, method="dense" if dense else "lanczos", seed=how["seed"]
    )
    error = landscape.value(place.theta)
    return Measured(
        place=place,
        curvature=found,
        margin=_margin(place, found, loss, dense=dense),
        extremes=spectrum,
        error=error,
        loss=error + place.beta * place.penalty.norm_squared(place.theta),
        spent=landscape.counts - before,
    )


def _margin(place: Place, found: Curvature, loss: Regularised, *, dense: bool) -> float:
    """Return the margin: that of the run at its own beta, unless the index finds a direction that the run did not see."""
    if found.index_of_loss.value:
        return found.index_of_loss.lowest
    if place.snapshot is not None and place.beta == place.snapshot.beta:
        return place.snapshot.point.minimum.margin
    margin: Margin
    if dense:
        margin = dense_margin(loss.shifted(place.landscape.hessian(place.theta)))
    else:
        margin = lanczos_margin(loss.hessian_operator(place.theta), place.theta)
    return margin.value


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
