"""Claims that a small tanh network on Gaussian data shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from spinodal.claims.claim import Claim, Measured, verdict
from spinodal.claims.workshop import Workshop, tanh_task
from spinodal.curvature.surface import Surface
from spinodal.landscape import Landscape
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.sweeps.point import Point
from spinodal.tasks.gaussian import gaussian
from spinodal.words.numbers import half, significant, to_error

HELD = (-38.0, 38.0)  # powers of ten that single precision holds
NEAR = 0.02  # relative distance in beta at which a change of R is taken to lie at another point


def trivial(shop: Workshop) -> Measured:
    """Measure what is left above the last transition, of regression and of classification."""
    first, second = shop.curved(), shop.classes(4)
    ends = [max(diagram.points, key=lambda point: point.beta) for diagram in (first, second)]
    onset = [max(item.beta for item in diagram.macroscopic) for diagram in (first, second)]
    ranks = [point.observation.rank for point in ends]
    accuracy = ends[1].observation.accuracy["train"] or math.nan
    text = (
        f"Above beta = {significant(onset[0], 4)} (Gaussian) and {significant(onset[1], 4)} (digits 0 to 3) the rank is "
        f"{ranks[0]} and {ranks[1]}, and the digits are told with an accuracy of {accuracy:.3f}: one answer for all."
    )
    falls = all(
        a.observation.distance > b.observation.distance for a, b in pairwise(sorted(first.points, key=lambda p: p.beta))
    )
    return Measured(text, verdict(ranks == [0, 0] and falls), {"onset": onset, "rank": ranks, "accuracy": accuracy})


def two_transitions(shop: Workshop) -> Measured:
    """Measure the transitions of the network of figure 2."""
    diagram = shop.map(gaussian())
    found = sorted(diagram.macroscopic, key=lambda item: item.beta)
    named = " and ".join(f"{to_error(item.beta, half(item.bracket))} ({item.order} order)" for item in found)
    return Measured(f"{len(found)} transitions: {named}.", verdict(len(found) == 2), {"beta": [item.beta for item in found]})


def norms(shop: Workshop) -> Measured:
    """Measure the jump of the distance to the origin at each transition."""
    found = sorted(shop.map(gaussian()).macroscopic, key=lambda item: item.beta)
    pairs = [(item.before.observation.distance, item.after.observation.distance) for item in found]
    named = " and ".join(f"{significant(a, 4)} to {significant(b, 4)}" for a, b in pairs)
    return Measured(f"||theta|| jumps from {named}.", verdict(all(b < 0.95 * a for a, b in pairs)), {"distance": pairs})


def change_points(shop: Workshop) -> Measured:
    """Measure where R of E changes abruptly: at spinodals, or where phases are equally deep."""
    diagram = shop.curved()
    spinodals = [item.beta for item in diagram.all_transitions if not item.minor]
    equal = [item.beta for item in diagram.coexistence]
    changes = [item for item in diagram.change_points if item.surface == "error"]
    at_ends = sum(_near(item.beta, spinodals) for item in changes)
    at_equal = sum(_near(item.beta, equal) and not _near(item.beta, spinodals) for item in changes)
    text = (
        f"{len(changes)} change points of R of E on the way up: {at_ends} where a phase ends, {at_equal} where two "
        f"are equally deep; the map has {len(spinodals)} transitions and {len(equal)} points of equal depth."
    )
    holds = at_ends > 0 and at_equal == 0
    return Measured(text, verdict(holds), {"changes": len(changes), "at spinodals": at_ends, "at coexistence": at_equal})


def unlearning(shop: Workshop) -> Measured:
    """Measure R of E and of L from the lowest beta to the trivial phase."""
    diagram = shop.curved()
    first, last = _curvatures(diagram)
    text = (
        f"R of E goes from {significant(first[0], 4)} to {significant(last[0], 4)} along the way up, R of L from "
        f"{significant(first[1], 4)} to {significant(last[1], 4)}."
    )
    falls, also = last[0] < first[0], last[1] < first[1]
    return Measured(text, verdict(falls and also, partly=falls), {"error": [first[0], last[0]], "loss": [first[1], last[1]]})


def stability(shop: Workshop) -> Measured:
    """Measure how far single precision changes R and the Gauss-Kronecker curvature, and the trace beside Fisher's."""
    diagram, task = shop.curved(), tanh_task()
    exact, rough = task.landscape(dtype=torch.float64), task.landscape(dtype=torch.float32)
    ricci, kronecker, sizes = [], [], []
    chosen = diagram.points[:: max(len(diagram.points) // 12, 1)]
    for point in chosen:
        fine, coarse = (_surface(landscape, point) for landscape in (exact, rough))
        ricci.append(abs(float(coarse.ricci()) / float(fine.ricci()) - 1.0))
        sizes.append(fine.gauss_kronecker().log_magnitude / math.log(10.0))
        kronecker.append(abs(coarse.gauss_kronecker().log_magnitude - fine.gauss_kronecker().log_magnitude))
    ratio = _fisher_ratio(diagram)
    known = [size for size in sizes if math.isfinite(size)]
    lost = sum(not HELD[0] < size < HELD[1] for size in sizes)
    off = max((math.expm1(min(difference, 300.0)) for difference in kronecker if math.isfinite(difference)), default=math.inf)
    text = (
        f"At {len(chosen)} points single precision changes R by at most {max(ricci):.0e} of it. The Gauss-Kronecker curvature "
        f"is 0, or no number of single precision, at {lost} of them; {_range(known, off)}. tr Hess E over twice the trace of "
        f"the Fisher information: {ratio[0]:.3f} to {ratio[1]:.3f}."
    )
    values = {"ricci": max(ricci), "kronecker": off, "lost": lost, "fisher": ratio}
    return Measured(text, verdict(max(ricci) < 1e-3 and (lost > 0 or off > max(ricci))), values)


def saddles(shop: Workshop) -> Measured:
    """Measure the index of the saddles behind the ends of phases, and of those between equally deep ones."""
    diagram = shop.curved()
    spinodal = [fold for branch in diagram.branches.values() for fold in branch.spinodals]
    steps = [fold.index for fold in spinodal]
    between = [item.saddle.index for item in diagram.coexistence if item.saddle]
    heights = [min(item.barrier) for item in diagram.coexistence if item.barrier]
    text = (
        f"At {len(steps)} spinodals a minimum meets a saddle (index {'; '.join(f'{a} to {b}' for a, b in steps)}); between "
        f"equally deep phases lie saddles of index {', '.join(map(str, between)) or 'unknown'}, higher in L by "
        f"{', '.join(significant(height, 2) for height in heights)}."
    )
    holds = bool(steps) and all(sorted(pair) == [0, 1] for pair in steps)
    return Measured(text, verdict(holds), {"index": steps, "between": between, "barrier": heights})


def _range(values: Sequence[float], off: float) -> str:
    if not values:
        return "it is 0 at all of them, as Hess E is singular"
    return f"elsewhere its power of ten is {min(values):.0f} to {max(values):.0f}, and single precision changes it by {off:.0e}"


def _near(beta: float, others: list[float]) -> bool:
    return any(abs(beta / other - 1.0) < NEAR for other in others)


def _curvatures(diagram: PhaseDiagram) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return R of E and of L at the lowest and at the highest beta of the way up."""
    known = diagram.curvature.points if diagram.curvature else {}
    ends = [known[point.index] for point in diagram.ends]
    first, last = ((float(found.error), float(found.loss)) for found in ends)
    return first, last


def _surface(landscape: Landscape, point: Point) -> Surface:
    theta = point.minimum.theta.to(landscape.initial.dtype)
    return Surface(landscape.gradient(theta), landscape.hessian(theta))


def _fisher_ratio(diagram: PhaseDiagram) -> tuple[float, float]:
    """Return the smallest and the largest of tr Hess E over the Gauss-Newton trace, which is twice Fisher's here."""
    known = diagram.curvature.points.values() if diagram.curvature else ()
    ratios = [float(found.trace) / float(found.fisher_trace) for found in known if found.fisher_trace]
    return min(ratios), max(ratios)


TANH = (
    Claim(1, "L = E + beta norm^2 moves the global minimum towards the origin; above a beta the model is trivial.", "A Z",
          "spinodal map digits", trivial),
    Claim(6, "A network with two hidden layers on Gaussian data has an onset and one further transition (figure 2a).", "A",
          "spinodal map gaussian", two_transitions),
    Claim(7, "The scalar curvature has change points at the transitions (figure 2b).", "A",
          "spinodal map gaussian --branches --curvature", change_points),
    Claim(8, "The distance to the origin jumps at the transitions (figure 2c).", "A", "spinodal map gaussian", norms),
    Claim(9, "The curvature decreases as the model unlearns.", "A", "spinodal map gaussian --curvature", unlearning),
    Claim(10, "The scalar curvature is numerically more stable than that of Gauss and Kronecker; its relation to the Fisher "
          "information.", "A", "spinodal curvature gaussian --at RUN:POINT", stability),
    Claim(15, "Transitions are governed by saddles of the loss.", "B", "spinodal map gaussian --branches", saddles),
)  # fmt: skip
