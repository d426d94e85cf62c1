"""The order of a transition, and the evidence it needs."""

from __future__ import annotations

from dataclasses import dataclass

from spinodal.codec import Record
from spinodal.definitions import CONTINUOUS, LINEAR, SQUARE_ROOT, VANISHES_WITHIN


@dataclass(frozen=True)
class Evidence(Record):
    """Why a transition has the order it has.

    Attributes
    ----------
    exponent : float or None
        p of `margin ~ (beta* - beta)^p` at the near end: 1/2 at a fold, 1 at a branch point. It comes
        from two points on the branch: with `q = -margin / (d margin / d beta)`, `p = dbeta / dq`. Where that does not tell, it
        is the exponent of the curvature along the branch, which goes on through a fold at fixed norm (see `Turn`).
    margin : float
        Margin at the last point before.
    reach : float or None
        Distance in beta from that point to where its margin extrapolates to zero, over the bracket's width.
    halved_step : bool
        Whether walking the bracket in two half steps met the transition again.
    jump_norm_squared, jump_curvature : float
        Ehrenfest: jumps of `||theta||^2 = dL/dbeta` and of `d2L/dbeta2` across the bracket.
    turned : bool
        Whether the branch was followed through its end, at fixed norm, to where beta goes back: that is a fold.
    coexists : bool
        Whether what the branch falls into was found as deep as the branch itself, both as minima, below the end, with a jump of
        `||theta||^2` between them: Ehrenfest's first order, of the lowest L.
    """

    exponent: float | None
    margin: float
    reach: float | None
    halved_step: bool
    jump_norm_squared: float
    jump_curvature: float
    turned: bool = False
    coexists: bool = False


@dataclass(frozen=True)
class Law:
    """How a branch ends: the exponent (see `Evidence`), how far ahead in beta, and whether it was seen to turn there."""

    exponent: float | None
    ahead: float | None
    turned: bool = False


def has_meaning(exponent: float) -> bool:
    """Tell whether an exponent of the margin is that of a fold or of a branch point."""
    return SQUARE_ROOT[0] <= exponent <= SQUARE_ROOT[1] or LINEAR[0] <= exponent <= LINEAR[1]


def is_of_a_fold(evidence: Evidence) -> bool:
    """Tell whether the branch turned, or the margin vanished like a square root, whatever else is known."""
    return evidence.turned or (evidence.exponent is not None and SQUARE_ROOT[0] <= evidence.exponent <= SQUARE_ROOT[1])


def order_of(evidence: Evidence, *, norm_range: float, separates: bool) -> str:
    """Return the order that the evidence supports: "first", "second" or "not classified".

    First order: the margin vanishes like a square root where the bracket lies, `||theta||^2` jumps,
    and halved steps fall again, or the branch turns there. So it is where the margin vanishes linearly and the jump, of
    `||theta||^2` and of E, `separates` phases: a symmetry breaks, and nothing small takes its place (a subcritical
    pitchfork). Second order: the margin vanishes linearly, `||theta||^2` is continuous, its slope jumps.
    """
    if evidence.exponent is None or evidence.reach is None or not (evidence.halved_step or evidence.turned):
        return "not classified"
    near = evidence.reach < VANISHES_WITHIN
    jumps = evidence.jump_norm_squared > CONTINUOUS * norm_range
    if is_of_a_fold(evidence) and near and jumps:
        return "first"
    if not (LINEAR[0] <= evidence.exponent <= LINEAR[1] and near):
        return "not classified"
    if jumps:
        return "first" if separates else "not classified"
    return "second" if evidence.jump_curvature > 0 else "not classified"


def missing(evidence: Evidence) -> str:
    """Return what an order that is not classified lacks, for a sentence: "jump, order not proven: ..."."""
    if not (evidence.halved_step or evidence.turned):
        return "no second walk in half steps"
    if evidence.exponent is None:
        return "the law by which its margin vanishes"
    if not has_meaning(evidence.exponent):
        return f"a margin that vanishes like a fold's (exponent 1/2) or a branch point's (1); measured {evidence.exponent:.2f}"
    if evidence.reach is None or evidence.reach >= VANISHES_WITHIN:
        return "a margin that vanishes where the bracket lies"
    return "a jump that agrees with the law of its margin"
