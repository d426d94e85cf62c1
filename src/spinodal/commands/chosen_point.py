"""The point of a run that a command line names."""

from __future__ import annotations

from spinodal.conventions import beta_of, weight_decay
from spinodal.errors import SpinodalError
from spinodal.phases.snapshot import Snapshot
from spinodal.results.phase_diagram import PhaseDiagram

SLACK = 1.05  # how far beyond the ends of a map, as a factor, a model is taken for that of the end


def chosen_point(
    diagram: PhaseDiagram, point: int | None, *, at_beta: float | None = None, at_weight_decay: float | None = None
) -> Snapshot:
    """Return the model at a point by its number, or at the point nearest to a beta or a weight_decay within the map."""
    if point is not None and (at_beta, at_weight_decay) == (None, None):
        return diagram.at_point(point)
    if point is not None:
        raise SpinodalError(
            got=f"point {point} and a weight_decay or beta", allowed="one of them is allowed", do="leave the others out"
        )
    snapshot = diagram.at(at_beta, weight_decay=at_weight_decay)
    _refuse_beyond(diagram, at_beta or beta_of(at_weight_decay or 0.0))
    return snapshot


def _refuse_beyond(diagram: PhaseDiagram, beta: float) -> None:
    """Refuse a beta that the map did not reach: the model at its end is not the one that was asked for."""
    betas = [point.beta for point in diagram.points]
    low, high = min(betas), max(betas)
    if not low / SLACK <= beta <= high * SLACK:
        raise SpinodalError(
            got=f"weight_decay = {weight_decay(beta):.6g} (beta = {beta:.6g}) lies outside the map",
            allowed=f"weight_decay from {weight_decay(low):.6g} to {weight_decay(high):.6g} is allowed",
            do="choose one in this range, or map a wider one with --beta",
        )
