"""What `spinodal curvature` does: the curvature of E and of L at one point of a run, or at a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from spinodal.codec import keyed, plain
from spinodal.commands.arguments import console_for
from spinodal.commands.chosen_theta import Choice, ChosenTheta, chosen_theta
from spinodal.commands.curvature_table import curvature_table, place_line
from spinodal.commands.json_file import write_json_file
from spinodal.commands.threads import threads_for, use_threads
from spinodal.conventions import weight_decay
from spinodal.counts import Counts
from spinodal.curvature.along import Curvature, curvature_at, exact_curvature, is_dense
from spinodal.curvature.result import CONVENTION as SCALED
from spinodal.curvature.second_order import SecondOrder
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import l2
from spinodal.spectrum.extremes import Extremes, dense_extremes, extreme_eigenvalues
from spinodal.spectrum.margin import lanczos_margin

ENDS = 3  # eigenvalues shown of either end of the spectrum


def tell_curvature(choice: Choice, how: dict[str, Any], *, threads: int, json_file: str | None) -> None:
    """Print and write the curvature at the theta that a command line names."""
    chosen = chosen_theta(choice)
    use_threads(threads or threads_for(chosen.landscape.size * chosen.landscape.batches.total))
    found = _measured(chosen, how)
    write_json_file(json_file, found.to_dict())
    console = console_for(json_file, soft_wrap=True)
    console.print()
    console.print(curvature_table(found.to_dict(), console.width), soft_wrap=False)
    console.print(found.text())


@dataclass(frozen=True)
class Measured:
    """What is known of a theta."""

    chosen: ChosenTheta
    curvature: Curvature
    margin: float
    extremes: Extremes
    error: float
    loss: float
    spent: Counts

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        chosen, ends = self.chosen, {name: getattr(self.extremes, name) for name in ("largest", "smallest")}
        return {
            "task": {"name": chosen.task.name, **chosen.task.settings},
            "at": chosen.name,
            "point": None if chosen.snapshot is None else chosen.snapshot.point.index,
            "beta": chosen.beta,
            "weight_decay": weight_decay(chosen.beta),
            "convention": f"{chosen.control.convention}; {SCALED}",
            **keyed(self, "parameters=chosen.landscape.size E=error L=loss"),
            "curvature": keyed(self.curvature, "error loss trace fisher_trace index=indices"),
            "margin": plain(self.margin),
            "eigenvalues": {name: plain(pairs.values) for name, pairs in ends.items()}
            | {f"{name}_residuals": plain(pairs.residuals) for name, pairs in ends.items()}
            | {"status": self.extremes.status},
            "stats": self.spent.told,
        }

    def text(self) -> Text:
        """Return what is said below the table."""
        result = self.to_dict()
        ends, snapshot = ("largest", "smallest"), self.chosen.snapshot
        is_level = snapshot is not None and snapshot.point.minimum.converged
        return Text(
            "\n".join(
                [
                    place_line(result["curvature"]["index"]["loss"], is_level=is_level),
                    f"E = {self.error:.6g}, L = {self.loss:.6g}, {self.chosen.landscape.size:,} parameters",
                    *(f"{name} eigenvalues of H: {_listed(result['eigenvalues'][name])}" for name in ends),
                    f"convention: {self.chosen.control.convention}",
                    f"{SCALED}; R defines no phase",
                    *self.curvature.caveats,
                    *([f"checkpoint: {self.chosen.remark}"] if self.chosen.remark else []),
                    f"{self.spent.gradient_evaluations:,} gradients, {self.spent.hessian_products:,} Hessian products, "
                    f"{self.spent.hessians:,} Hessians",
                ]
            )
        )


def _measured(chosen: ChosenTheta, how: dict[str, Any]) -> Measured:
    landscape, loss = chosen.landscape, Regularised(chosen.landscape, chosen.beta, chosen.control)
    with landscape.counting() as spent:  # checks of the code are not costs of the answer
        dense = is_dense(landscape, how["method"], how["budget"])
        found, spectrum, margin = _exact(chosen, loss, how["seed"]) if dense else _estimated(chosen, loss, how)
        error = landscape.value(chosen.theta)
    return Measured(
        chosen=chosen,
        curvature=found,
        margin=margin,
        extremes=spectrum,
        error=error,
        loss=error + chosen.beta * chosen.control.conjugate(chosen.theta),
        spent=spent,
    )


def _exact(chosen: ChosenTheta, loss: Regularised, seed: int) -> tuple[Curvature, Extremes, float]:
    """Return curvature, ends of the spectrum and margin, all from one dense Hessian."""
    known = SecondOrder.at(loss, chosen.theta)
    found = exact_curvature(loss, chosen.theta, known, seed=seed)
    ends = dense_extremes(known.error.hessian, largest=ENDS, smallest=ENDS, basis=known.basis_of_error)
    return found, ends, known.basis_of_loss.margin


def _estimated(chosen: ChosenTheta, loss: Regularised, how: dict[str, Any]) -> tuple[Curvature, Extremes, float]:
    """Return the same from Hessian products.

    The margin is that of the run at its own beta, unless the index finds a direction that the run did not see.
    """
    found = curvature_at(
        chosen.landscape,
        chosen.theta,
        beta=chosen.beta,
        penalty=l2(chosen.control, "the curvature of L"),
        **how | {"method": "probes"},
    )
    ends = extreme_eigenvalues(chosen.landscape, chosen.theta, largest=ENDS, smallest=ENDS, method="lanczos", seed=how["seed"])
    if found.index_of_loss.value:
        return found, ends, found.index_of_loss.lowest
    if chosen.snapshot is not None and chosen.beta == chosen.snapshot.beta:
        return found, ends, chosen.snapshot.point.minimum.margin
    return found, ends, lanczos_margin(loss.hessian_operator(chosen.theta), chosen.theta).value


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
