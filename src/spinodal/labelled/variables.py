"""The variables of a labelled phase diagram: points, transitions, phases, closed forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spinodal.labelled.arrays import Arrays
from spinodal.observe.observation import PARTS
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.point import Point

SIDED = "[before, after] in the direction walked"
ENDED = "at its lowest and at its highest beta"
ACCURACY = "fraction of the samples whose largest output is the label; NaN where it does not apply"
RECALL = "fraction of the samples of a class that are predicted right; NaN where it does not apply"
CONFUSION = "samples of a class by the class that is predicted; -1 where it does not apply"
RANK = "singular values above max(0.1 * largest, 1e-3)"

MEASURED: dict[str, tuple[str, str, Callable[[Point], float | None]]] = {
    "error": ("error E", "mean of the loss over the training samples, without the penalty", lambda p: p.error),
    "loss": ("regularised loss L", "what is minimised: see the attribute `convention`", lambda p: p.minimum.loss),
    "norm": ("norm of theta", "over all trainable parameters, penalised or not", lambda p: p.observation.norm),
    "distance": (
        "distance from the centre",
        "||theta - centre|| over the penalised parameters; its square is dL/dbeta along the branch",
        lambda p: p.observation.distance,
    ),
    "norm_slope": ("slope of the squared distance", "d distance^2 / dbeta along the branch", lambda p: p.norm_slope),
    "error_slope": ("slope of E", "dE/dbeta = -beta * norm_slope along the branch", lambda p: p.error_slope),
    "margin": ("margin", "smallest eigenvalue of the Hessian of L outside the zero modes", lambda p: p.minimum.margin),
    "margin_error": ("error of the margin", "an eigenvalue lies within this distance", lambda p: p.minimum.margin_error),
    "margin_slope": ("slope of the margin", "d margin / dbeta along the branch; 0 if matrix-free", lambda p: p.margin_slope),
    "residual": ("residual", "||grad L||, 0 at an exact minimum", lambda p: p.minimum.residual),
    "output_variance": (
        "variance of the outputs",
        "over the training samples, summed over outputs; NaN without predictions",
        lambda p: p.observation.output_variance,
    ),
    "error_evaluations": ("error evaluations", "spent on this point", lambda p: p.minimum.stats.error_evaluations),
    "gradient_evaluations": ("gradient evaluations", "spent on this point", lambda p: p.minimum.stats.gradient_evaluations),
    "hessian_products": ("Hessian products", "spent on this point", lambda p: p.minimum.stats.hessian_products),
    "hessians": ("dense Hessians", "spent on this point", lambda p: p.minimum.stats.hessians),
}

TRANSITION: dict[str, tuple[list[str], str, str]] = {
    "beta": ([], "beta", "best estimate, inside the bracket"),
    "weight_decay": ([], "weight_decay", "2 * beta"),
    "bracket": (["bracket"], "bracket of beta", "at one end the branch was still followed, at the other it had been left"),
    "error": (["side"], "error E", SIDED),
    "norm": (["side"], "norm of theta", SIDED),
    "margin": (["side"], "margin", SIDED),
}

EVIDENCE: dict[str, str] = {
    "exponent": "p of margin ~ (beta* - beta)^p at the near end: 1/2 at a fold, 1 at a branch point",
    "margin": "margin at the last point before",
    "reach": "from that point to where its margin extrapolates to zero, in beta, over the width of the bracket",
    "jump_norm_squared": "jump of dL/dbeta = ||theta - centre||^2 across the bracket",
    "jump_curvature": "jump of d2L/dbeta2 across the bracket",
}
PROVEN: dict[str, str] = {
    "halved_step": "whether walking the bracket in two half steps met the transition again",
    "turned": "whether the branch was followed through its end, at fixed norm, to where beta goes back",
    "coexists": "whether what it falls into was found as deep below the end, as a minimum of another squared norm",
}


def add_points(arrays: Arrays, diagram: Diagram) -> None:
    """Add what was measured at the followed points."""
    points, along = diagram.points, ["point"]
    home = {point.index: phase.id for phase in diagram.phases for point in phase.points}
    for name, (title, description, read) in MEASURED.items():
        arrays.numbers(name, along, map(read, points), title, description)
    arrays.whole("in_phase", along, [home[p.index] for p in points], "phase", "the phase that the point lies in")
    arrays.whole("origin", along, [p.origin for p in points], "origin", "point it was followed from; -1: a fresh start")
    zero_modes = [p.minimum.zero_modes for p in points]
    arrays.whole("zero_modes", along, zero_modes, "zero modes", "zero eigenvalues (see margin); -1: not counted")
    arrays.flags("converged", along, [p.minimum.converged for p in points], "converged", "to the tolerance, or to rounding")
    arrays.words("stop", along, [p.minimum.stop for p in points], "stop", "how the search for the minimum ended")
    _add_order_parameters(arrays, points)


def _add_order_parameters(arrays: Arrays, points: Sequence[Point]) -> None:
    views = [point.observation for point in points]
    arrays.whole("rank", ["point"], [view.rank for view in views], "rank", "smallest effective rank of the weight matrices")
    ranks = [list(view.ranks.values()) for view in views]
    arrays.whole("matrix_rank", ["point", "matrix"], ranks, "effective rank of a weight matrix", RANK)
    values = [list(view.singular_values.values()) for view in views]
    what = "of the weight matrices, in falling order; NaN beyond the last one of a matrix"
    arrays.numbers("singular_values", ["point", "matrix", "mode"], values, "singular values", what)
    scores = [[view.accuracy[part] for part in PARTS] for view in views]
    arrays.numbers("accuracy", ["point", "part"], scores, "accuracy", ACCURACY)
    recalls = [[view.class_accuracy[part] for part in PARTS] for view in views]
    arrays.numbers("class_accuracy", ["point", "part", "class"], recalls, "accuracy per class (recall)", RECALL)
    taken = [[view.confusion[part] for part in PARTS] for view in views]
    arrays.whole("confusion", ["point", "part", "class", "predicted"], taken, "confusion matrix", CONFUSION)
    custom = [list(view.custom.values()) for view in views]
    arrays.numbers("custom", ["point", "observable"], custom, "observable", "order parameters of the task's own")


def add_transitions(arrays: Arrays, items: Sequence[Mapping[str, Any]]) -> None:
    """Add the transitions of a JSON result."""
    along = ["transition"]
    for name, (more, title, description) in TRANSITION.items():
        arrays.numbers(f"transition_{name}", along + more, [item[name] for item in items], title, description)
    arrays.whole("transition_rank", [*along, "side"], [item["rank"] for item in items], "rank", SIDED)
    arrays.whole("transition_point", [*along, "side"], [item["points"] for item in items], "point of the journal", SIDED)
    scores = [[item["accuracy"][part] for part in PARTS] for item in items]
    arrays.numbers("transition_accuracy", [*along, "part", "side"], scores, "accuracy", f"{ACCURACY}; {SIDED}")
    recalls = [[item["class_accuracy"][part] for part in PARTS] for item in items]
    wide = [*along, "part", "side", "class"]
    arrays.numbers("transition_class_accuracy", wide, recalls, "accuracy per class (recall)", f"{RECALL}; {SIDED}")
    lost = [_marks(arrays, item["lost_classes"]) for item in items]
    what = "1: the class lives in the phase before and not in the one after; 0: not so; -1: does not apply, or minor"
    arrays.whole("lost", [*along, "class"], lost, "class lost", what)
    _add_kinds(arrays, items)


def _add_kinds(arrays: Arrays, items: Sequence[Mapping[str, Any]]) -> None:
    """Add what kind of transition each one is, and the evidence for it."""
    along = ["transition"]
    arrays.words("order", along, [item["order"] for item in items], "order", "first, second, or not classified")
    arrays.words("direction", along, [item["direction"] for item in items], "direction", "in which beta was walked")
    arrays.words("transition_status", along, [item["status"] for item in items], "status", "converged, or how far bracketed")
    arrays.flags("minor", along, [item["minor"] for item in items], "minor", "too small to separate phases")
    proofs = [item["evidence"] for item in items]
    for name, description in EVIDENCE.items():
        title = f"evidence of the order: {name.replace('_', ' ')}"
        arrays.numbers(f"evidence_{name}", along, [proof[name] for proof in proofs], title, description)
    for name, description in PROVEN.items():
        title = f"evidence of the order: {name.replace('_', ' ')}"
        arrays.flags(f"evidence_{name}", along, [proof[name] for proof in proofs], title, description)


def add_phases(arrays: Arrays, items: Sequence[Mapping[str, Any]]) -> None:
    """Add the phases of a JSON result."""
    along, ended = ["phase"], ["phase", "end"]
    arrays.numbers("phase_beta", ended, [item["beta"] for item in items], "beta", "range in which the phase was followed")
    arrays.numbers("phase_error", ended, [item["error"] for item in items], "error E", ENDED)
    scores = [[item["accuracy"][part] for part in PARTS] for item in items]
    arrays.numbers("phase_accuracy", ["phase", "part", "end"], scores, "accuracy", f"{ACCURACY}; {ENDED}")
    arrays.whole("phase_rank", along, [item["rank"] for item in items], "rank", "effective rank on most of the phase")
    falls = [item["falls_to"] for item in items]
    arrays.whole("falls_to", along, falls, "next phase", "the phase that the walk entered when this one ended; -1: none")
    lives = [_marks(arrays, item["classes"]) for item in items]
    what = "1: recall of at least .5 on most of the phase, and the predictor is not constant; 0: not so; -1: no classes"
    arrays.whole("lives", ["phase", "class"], lives, "class lives", what)


def add_exact(arrays: Arrays, items: Sequence[Mapping[str, Any]]) -> None:
    """Add the closed forms of a JSON result."""
    along = ["exact"]
    modes = [item["singular_value"] for item in items]
    arrays.numbers("exact_singular_value", along, modes, "singular value", "of the mode that dies, in closed form")
    arrays.numbers("exact_beta", along, [item["beta"] for item in items], "beta", "where a walk up meets it, in closed form")
    equal = [item["coexistence"] for item in items]
    what = "beta at which the live and the dead mode have equal L, in closed form; NaN for second order"
    arrays.numbers("exact_coexistence", along, equal, "coexistence", what)
    arrays.words("exact_order", along, [item["order"] for item in items], "order", "first or second")


def _marks(arrays: Arrays, classes: Sequence[int] | None) -> list[int] | None:
    """Return 1 for the classes in a list and 0 for the others."""
    return None if classes is None else [int(index in classes) for index in range(arrays.sizes["class"])]
