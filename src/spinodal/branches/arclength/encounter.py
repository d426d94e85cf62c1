"""What a step of a walk passes: which special point lies between two neighbours, and its record."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spinodal.branches.arclength.metric import Node
from spinodal.branches.arclength.singular import Singular
from spinodal.branches.special import BranchPoint, Fold
from spinodal.definitions import SYMMETRIC


@dataclass(frozen=True)
class Encounter:
    """A special point between two points of the walk, and as a point of the walk itself."""

    kind: str
    found: Singular
    a: Node
    b: Node
    node: Node


def kind_between(a: Node, b: Node) -> str | None:
    """Tell what lies between two neighbours: a "fold", the end of a "side" branch, a "crossing", or nothing.

    Where beta turns and the index does not change, the eigenvalue only touched zero; `rho` turns with it.
    A mode that fades into the zero modes, or out of them, changes the index, but crosses nothing.
    """
    turned = a.point.beta_rate * b.point.beta_rate < 0
    more, fewer = b.point.index - a.point.index, a.spectrum.positive - b.spectrum.positive
    changed = more * fewer > 0
    if turned and not changed and a.point.norm_rate * b.point.norm_rate < 0:
        return "side"
    return "fold" if turned else "crossing" if changed else None


def zero_between(a: Node, b: Node, kind: str) -> float:
    """Return where between two points, 0 to 1, the quantity that vanishes at the special point does so."""
    if kind == "crossing":
        low, high = a.spectrum.values, b.spectrum.values
        which = min(a.point.index, b.point.index)
        x, y = float(low[which]), float(high[which])
    else:
        x, y = a.rate, b.rate
    return min(max(x / (x - y), 0.0), 1.0) if x != y else 0.5


def crossing_mode(a: Node, b: Node) -> Tensor:
    """Return the mode whose eigenvalue changes its sign between two points."""
    near = a if a.point.index > b.point.index else b  # where it is negative, zero modes do not hide it
    mode: Tensor = near.spectrum.vectors[:, max(near.point.index - 1, 0)]
    return mode


def explains(a: Node, b: Node, kind: str, found: Singular) -> bool:
    """Tell whether one special point accounts for the change of the index."""
    change = abs(a.point.index - b.point.index)
    if kind == "fold":
        return change == 1
    if kind == "side":
        return change == 0
    return change <= max(found.multiplicity - min(a.spectrum.null_modes, b.spectrum.null_modes), 1)


def fold_record(met: Encounter, overlap: float, place: int) -> Fold:
    """Return the record of a fold."""
    betas = sorted((met.a.point.beta, met.b.point.beta))
    done = met.found.converged
    return Fold(
        point=met.node.point,
        null_vector=met.found.mode,
        eigenvalue=met.found.curvature,
        overlap=overlap,
        side="upper" if met.a.point.beta_rate > 0 else "lower",
        index=(met.a.point.index, met.b.point.index),
        bracket=(met.found.beta, met.found.beta) if done else (betas[0], betas[1]),
        minor=False,
        status="converged" if done else "not converged",
        iterations=met.found.iterations,
        place=place,
    )


def branch_point_record(met: Encounter, overlap: float, after: int, place: int) -> BranchPoint:
    """Return the record of a branch point."""
    found, symmetries = met.found, min(met.a.spectrum.null_modes, met.b.spectrum.null_modes)
    symmetric = abs(found.bend) <= SYMMETRIC * found.spectrum.scale
    return BranchPoint(
        point=met.node.point,
        null_vector=found.mode,
        eigenvalue=found.curvature,
        overlap=overlap,
        kind="pitchfork" if met.kind == "side" or symmetric else "crossing",
        side_branch=met.kind == "side",
        multiplicity=max(found.multiplicity - symmetries, 1),
        index=(met.a.point.index, after),
        status="converged" if found.converged else "not classified",
        iterations=found.iterations,
        place=place,
    )
