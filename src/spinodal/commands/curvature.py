"""What `spinodal curvature` does: the curvature of E and of L at one point of a run, or at a trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from spinodal.commands.arguments import console_for
from spinodal.commands.curvature_table import curvature_table
from spinodal.commands.json_file import write_json_file
from spinodal.commands.place import Place, Words, place_of
from spinodal.commands.threads import threads_for, use_threads
from spinodal.conventions import CONVENTION, weight_decay
from spinodal.counts import Counts
from spinodal.curvature.along import Curvature, curvature_at
from spinodal.curvature.record import to_record
from spinodal.curvature.result import CONVENTION as SCALED
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.extremes import Extremes, extreme_eigenvalues
from spinodal.spectrum.margin import Margin, dense_margin, lanczos_margin

ENDS = 3  # eigenvalues shown of either end of the spectrum


def tell_curvature(words: Words, how: dict[str, Any], *, threads: int, json_file: str | None) -> None:
    """Print and write the curvature at the place that a command line names."""
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
    landscape.counts = Counts(parameters=landscape.size)  # checks of the code are not costs of the answer
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
        spent=landscape.counts.copy(),
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
