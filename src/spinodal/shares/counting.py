"""Counts the starts of every phase at every beta, once all ends are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spinodal.definitions import MACROSCOPIC
from spinodal.phases.catalogue import Allowance
from spinodal.results.phase_diagram import PhaseDiagram
from spinodal.shares.block import End
from spinodal.shares.known import TOLD, Known, grouped
from spinodal.shares.reached import Reached
from spinodal.shares.share import Share
from spinodal.shares.shares import Shares
from spinodal.sweeps.point import Point
from spinodal.sweeps.scout import Scout


def counted(found: Reached, ends: Mapping[float, Sequence[End]], diagram: PhaseDiagram | None) -> Shares:
    """Match the minima of all beta, in order, and count them."""
    ranges = _ranges(found, ends, diagram)
    allowance = Allowance.of_phases(*ranges)
    scout = Scout(found.walker, error_range=ranges[0], norm_range=ranges[1], resolution=TOLD)
    known, reached, settled = Known(scout, allowance, diagram), dict[tuple[int, float], Share](), dict[float, list[Point]]()
    for beta, group in ends.items():
        points = settled[beta] = [end.point for end in group if end.point is not None and is_at_minimum(end, ranges[0])]
        groups = [[points[place] for place in places] for places in grouped(points, allowance)]
        deepest = [min(same, key=lambda point: point.minimum.loss) for same in groups]
        for phase, same, point in zip(known.name(beta, deepest), groups, deepest, strict=True):
            reached[phase, beta] = Share(beta, phase, len(same), len(group), point)
    phases, of = sorted({*known.mapped, *known.found}), len(found.seeds)
    return Shares(
        task=found.task.name,
        convention=found.problem.control.convention,
        beta=tuple(ends),
        seeds=found.seeds,
        mapped=tuple(known.mapped),
        shares=tuple(reached.get((phase, beta), Share(beta, phase, 0, of, None)) for phase in phases for beta in ends),
        unsettled=tuple(len(group) - len(settled[beta]) for beta, group in ends.items()),
        training=found.training,
        rates=tuple(found.rates[beta] for beta in ends if beta in found.rates),
        found={phase: known.points(phase) for phase in known.found},
        map=diagram,
        spent=found.walker.spent,
    )


def is_at_minimum(end: End, error_range: float) -> bool:
    """Tell whether training was finished: its end belongs to a minimum, and E there is that of the minimum.

    Where minimising on from the end changes E macroscopically, training had stopped on a slope or a plateau.
    """
    if end.point is None or end.trained.error is None or not end.point.minimum.converged:
        return False
    return abs(end.trained.error - end.point.error) <= MACROSCOPIC * error_range


def _ranges(found: Reached, ends: Mapping[float, Sequence[End]], diagram: PhaseDiagram | None) -> tuple[float, float]:
    """Return the ranges of E and of the squared norm over all that is known, in which jumps and differences are measured."""
    known = [end.point for group in ends.values() for end in group if end.point] + list(diagram.points if diagram else ())
    errors, norms = [point.error for point in known], [point.norm_squared for point in known]
    trivial = found.problem.control.trivial(found.problem.landscape.vector(found.starts[0]))
    if trivial is not None:
        errors, norms = [*errors, found.problem.landscape.value(trivial)], [*norms, 0.0]
    return max(errors, default=0.0) - min(errors, default=0.0), max(norms, default=0.0) - min(norms, default=0.0)
