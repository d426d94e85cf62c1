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
from spinodal.curvature.along import Curvature, curvature_at, exact_curvature, is_dense
from spinodal.curvature.record import to_record
from spinodal.curvature.result import CONVENTION as SCALED
from spinodal.curvature.second_order import SecondOrder
from spinodal.landscape.objective import Regularised
from spinodal.spectrum.extremes import Extremes, dense_extremes, extreme_eigenvalues
from spinodal.spectrum.margin import lanczos_margin

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
    dense = is_dense(landscape, how["method"], how["budget"])
    found, spectrum, margin = _exact(place, loss, how["seed"]) if dense else _estimated(place, loss, how)
    error = landscape.value(place.theta)
    return Measured(
        place=place,
        curvature=found,
        margin=margin,
        extremes=spectrum,
        error=error,
        loss=error + place.beta * place.penalty.norm_squared(place.theta),
        spent=landscape.counts.copy(),
    )


def _exact(place: Place, loss: Regularised, seed: int) -> tuple[Curvature, Extremes, float]:
    """Return curvature, ends of the spectrum and margin, all from one dense Hessian."""
    known = SecondOrder.at(loss, place.theta)
    found = exact_curvature(loss, place.theta, known, seed=seed)
    ends = dense_extremes(known.error.hessian, largest=ENDS, smallest=ENDS, basis=known.basis_of_error)
    return found, ends, known.basis_of_loss.margin


def _estimated(place: Place, loss: Regularised, how: dict[str, Any]) -> tuple[Curvature, Extremes, float]:
    """Return the same from Hessian products.

    The margin is that of the run at its own beta, unless the index finds a direction that the run did not see.
    """
    found = curvature_at(place.landscape, place.theta, beta=place.beta, penalty=place.penalty, **how | {"method": "probes"})
    ends = extreme_eigenvalues(place.landscape, place.theta, largest=ENDS, smallest=ENDS, method="lanczos", seed=how["seed"])
    if found.index_of_loss.value:
        return found, ends, found.index_of_loss.lowest
    if place.snapshot is not None and place.beta == place.snapshot.beta:
        return found, ends, place.snapshot.point.minimum.margin
    return found, ends, lanczos_margin(loss.hessian_operator(place.theta), place.theta).value


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
