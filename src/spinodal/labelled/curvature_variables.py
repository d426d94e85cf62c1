"""The variables of the curvature along a map; there are none where it was not computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spinodal.conventions import weight_decay
from spinodal.curvature.along import Curvature
from spinodal.labelled.arrays import Arrays
from spinodal.phases.diagram import Diagram
from spinodal.spectrum.estimate import Estimate

SCALED = "it is not invariant when E, a mean over the samples, is rescaled"
INDEX = "a lower bound unless exact; -1: not computed"

ESTIMATES: Mapping[str, tuple[str, str, Callable[[Curvature], Estimate | None]]] = {
    "curvature_error": (
        "scalar curvature of the error surface",
        f"Ricci scalar R of the graph of E over theta, with the metric I + grad E grad E^T; {SCALED}",
        lambda found: found.error,
    ),
    "curvature_loss": (
        "scalar curvature of the loss surface",
        f"Ricci scalar R of the graph of L = E + beta * ||theta - centre||^2 over theta; {SCALED}",
        lambda found: found.loss,
    ),
    "hessian_trace": (
        "trace of the Hessian of E",
        "that of the Hessian of L is larger by 2 * beta for every penalised parameter",
        lambda found: found.trace,
    ),
    "fisher_trace": (
        "trace of the Gauss-Newton matrix of E",
        "Fisher information of the model up to the factor of the loss (2 for squared error, 1 for cross-entropy)",
        lambda found: found.fisher_trace,
    ),
}


def add_curvature(arrays: Arrays, diagram: Diagram) -> None:
    """Add the curvature at the followed points."""
    if diagram.curvature is None:
        return
    found = [diagram.curvature.at(point) for point in diagram.points]
    for name, (title, description, read) in ESTIMATES.items():
        estimates = [None if item is None else read(item) for item in found]
        _add_estimates(arrays, name, title, description, estimates)
    lowest = [item and item.index_of_error.lowest for item in found]
    what = "of the Hessian of E; the lowest Ritz value, which it cannot lie above, where the index is no exact one"
    arrays.numbers("smallest_eigenvalue", ["point"], lowest, "smallest eigenvalue", what)
    for surface in ("error", "loss"):
        indices = [item and getattr(item, f"index_of_{surface}") for item in found]
        title = f"saddle index of the {surface} surface"
        counted = f"negative eigenvalues of the Hessian of {'E' if surface == 'error' else 'L'} outside the zero modes; {INDEX}"
        arrays.whole(f"index_{surface}", ["point"], [index and index.value for index in indices], title, counted)
        exact = [bool(index and index.is_exact) for index in indices]
        arrays.flags(f"index_{surface}_exact", ["point"], exact, f"{title} is exact", "otherwise it is a lower bound")


def _add_estimates(arrays: Arrays, name: str, title: str, description: str, estimates: list[Estimate | None]) -> None:
    along = ["point"]
    arrays.numbers(name, along, [item and item.value for item in estimates], title, description)
    errors = [item and item.stderr for item in estimates]
    arrays.numbers(f"{name}_stderr", along, errors, f"standard error: {title}", "0 where the value is exact")
    products = [item and item.products for item in estimates]
    arrays.whole(f"{name}_products", along, products, f"Hessian products: {title}", "a dense Hessian counts as n of them")
    methods = [item.method if item else "" for item in estimates]
    arrays.words(f"{name}_method", along, methods, f"method: {title}", "dense, or the name of the estimator")


def add_change_points(arrays: Arrays, diagram: Diagram) -> None:
    """Add where the curvature changes most abruptly."""
    items: list[dict[str, Any]] = [change.to_dict() for change in diagram.change_points]
    if not items:
        return
    along = ["change_point"]
    betas = [item["beta"] for item in items]
    what = "of a step or a sign change of the scalar curvature along beta; no transition"
    arrays.numbers("change_point_beta", along, betas, "beta", what)
    arrays.numbers("change_point_weight_decay", along, map(weight_decay, betas), "weight_decay", "2 * beta")
    arrays.numbers("change_point_bracket", [*along, "bracket"], [item["bracket"] for item in items], "bracket of beta", what)
    ends = [item["value"] for item in items]
    arrays.numbers("change_point_value", [*along, "bracket"], ends, "scalar curvature", "at the ends of the bracket")
    sure = [item["significance"] for item in items]
    title = "change in standard errors"
    arrays.numbers("change_point_significance", along, sure, title, "combined ones of both ends; NaN: the values are exact")
    for name in ("surface", "kind", "direction"):
        arrays.words(f"change_point_{name}", along, [item[name] for item in items], name, what)
