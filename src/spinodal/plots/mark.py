"""Marks on S-curves: folds, branch points, coexistence points and the saddles between phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spinodal.branches.special import STATUSES, BranchPoint, Fold
from spinodal.conventions import weight_decay
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.plots.lowest import Piece


@dataclass(frozen=True)
class Mark:
    """A point of its own on an S-curve.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    phase : int
        The phase that it belongs to.
    beta : float
    values : mapping of key to float
        `error`, `norm_squared` and `loss`.
    text : str
        All that is known of it, one line each.
    """

    kind: str
    phase: int
    beta: float
    values: Mapping[str, float]
    text: str


KINDS = {
    "spinodal": "spinodal",
    "fold": "fold of a saddle",
    "minor": "minor fold",
    "branch": "branch point",
    "coexistence": "coexistence",
    "barrier": "saddle at coexistence",
}


def fold_mark(phase: int, fold: Fold) -> Mark:
    """Return the mark of a fold on the branch of a phase."""
    kind = "minor" if fold.minor else "spinodal" if fold.is_spinodal else "fold"
    side = "beta has a maximum" if fold.side == "upper" else "beta has a minimum"
    return _special(kind, phase, fold, [f"{KINDS[kind]}, branch of phase {phase}: {side}"])


def branch_point_mark(phase: int, found: BranchPoint) -> Mark:
    """Return the mark of a branch point on the branch of a phase."""
    met = ", met from its side branch" if found.side_branch else ""
    modes = f"; {found.multiplicity} eigenvalues vanish" if found.multiplicity > 1 else ""
    return _special("branch", phase, found, [f"{found.kind}, branch of phase {phase}{met}{modes}"])


def _special(kind: str, phase: int, found: Fold | BranchPoint, head: list[str]) -> Mark:
    point = found.point
    lines = [
        *head,
        *place_lines(point.beta),
        f"E: {point.error:.7g}",
        f"L: {point.loss:.7g}",
        f"‖θ‖²: {point.norm_squared:.7g}",
        f"index: {found.index[0]} → {found.index[1]}",
        f"residual: {point.residual:.2g}",
        f"eigenvalue: {found.eigenvalue:.2g}",
        f"overlap: {found.overlap:.2g}",
        STATUSES[found.status],
    ]
    values = {"error": point.error, "norm_squared": point.norm_squared, "loss": point.loss}
    return Mark(kind, phase, point.beta, values, "\n".join(lines))


def coexistence_marks(found: PhaseCoexistence, minima: Mapping[int, Sequence[Piece]]) -> list[Mark]:
    """Return the marks of a coexistence point: one in each of its two phases, and one on the saddle between them.

    Parameters
    ----------
    found : PhaseCoexistence
    minima : mapping of phase to the stretches of minima along it, its own first
    """
    text = "\n".join(_coexistence_lines(found))
    sides = _sides(found, minima)
    marks = [Mark("coexistence", phase, found.beta, values, text) for phase, values in sides.items()]
    if found.saddle is not None:
        values = {"error": found.saddle.error, "norm_squared": found.saddle.norm_squared, "loss": found.saddle.loss}
        head = f"saddle of index {found.saddle.index} at the {text}"
        marks.append(Mark("barrier", found.phases[0], found.beta, values, head))
    return marks


def _sides(found: PhaseCoexistence, minima: Mapping[int, Sequence[Piece]]) -> dict[int, dict[str, float]]:
    """Return E, L and `||theta||^2` of both phases, of those of them that have minima known there.

    Of several stretches those are taken that fit the latent heat best: a walk may be coarse, and a branch may go on into
    the other phase.
    """
    known = {phase: [piece.values(found.beta) for piece in minima[phase] if found.beta in piece] for phase in found.phases}
    first, second = (known[phase] for phase in found.phases)
    if not first or not second:
        return {phase: values[0] for phase, values in known.items() if values}

    pairs = ((a, b) for a in first for b in second)
    best = min(pairs, key=lambda pair: abs(pair[0]["norm_squared"] - pair[1]["norm_squared"] - found.latent_heat))
    return dict(zip(found.phases, best, strict=True))


def _coexistence_lines(found: PhaseCoexistence) -> list[str]:
    a, b = found.phases
    heights = zip(found.phases, found.barrier or (), strict=False)
    return [
        f"coexistence of phases {a} and {b}",
        *place_lines(found.beta),
        f"L of both: {found.loss:.7g}",
        f"latent heat Δ‖θ‖²: {found.latent_heat:.6g}",
        *(f"barrier from phase {phase}: {height:.4g}" for phase, height in heights),
        found.status,
    ]


def place_lines(beta: float) -> list[str]:
    """Return beta and weight_decay, one line each."""
    return [f"β: {beta:.8g}", f"weight_decay: {weight_decay(beta):.8g}"]
