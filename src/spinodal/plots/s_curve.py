"""What the figure of S-curves shows: branches with their stability, special points, coexistence, and the ways walked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, groupby, pairwise

from spinodal.branches.branch import Branch
from spinodal.branches.point import StationaryPoint
from spinodal.phases.diagram import Diagram, stretches_of
from spinodal.phases.phase import Phase
from spinodal.plots.axis import is_joined, padded
from spinodal.plots.lowest import Piece, level, lowest_loss, pieces
from spinodal.plots.mark import Mark, branch_point_mark, coexistence_marks, fold_mark
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep

MANY = 2  # index from which saddles are drawn alike


@dataclass(frozen=True)
class Quantity:
    """One quantity along beta.

    Attributes
    ----------
    key, label, meaning : str
        Its name in `values`, the label of its axis, and one sentence for a caption.
    """

    key: str
    label: str
    meaning: str


QUANTITIES = (
    Quantity("error", "error E", "Error E along the branches."),
    Quantity("norm_squared", "‖θ‖²", "Squared norm of the penalised parameters along the branches, which is dL/dβ."),
    Quantity("excess", "L − lowest L", "L along the branches above that of the lowest phase known at the same β."),
)


@dataclass(frozen=True)
class BranchCurve:
    """A branch of stationary points.

    Attributes
    ----------
    phase : int
        The phase that it begins in.
    beta : tuple of float
        Of its points, in the order walked.
    values : mapping of key to tuple of float
        One tuple per quantity; NaN where it is not known.
    index, margin : tuple
        Morse index and margin at every point.
    exact : bool
        Whether every index is exact; otherwise some are lower bounds.
    stretches : tuple of (start, stop, index)
        Slices of the points of one stability, ends shared; the index is at most `MANY`, which stands for "or more".
    """

    phase: int
    beta: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]
    index: tuple[int, ...]
    margin: tuple[float, ...]
    exact: bool
    stretches: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Way:
    """A walk of minimisations in beta.

    Attributes
    ----------
    direction : {"up", "down"}
    beta, values
        As in `BranchCurve`, of all points in the order walked.
    starts : tuple of int
        Positions at which a phase begins: 0 and those behind a macroscopic transition.
    """

    direction: str
    beta: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Extension:
    """A phase with the points at which it was followed beyond the ways, in search of its ends.

    Attributes
    ----------
    phase : int
    beta, values
        As in `BranchCurve`, by rising beta.
    """

    phase: int
    beta: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class SCurveRecord:
    """What the figure of S-curves shows, in papers and in the report.

    Attributes
    ----------
    title : str
    branches : tuple of BranchCurve
    ways : tuple of Way
        The way up (or the only one) and, of a loop, the way back.
    extensions : tuple of Extension
    marks : tuple of Mark
        Folds and branch points of all branches, coexistence points and the saddles between phases.
    area : float or None
        Of the loop, `integral of ||theta||^2 dbeta` between the two ways; None where there is no way back.
    limits : (lowest, highest) beta
    """

    title: str
    branches: tuple[BranchCurve, ...]
    ways: tuple[Way, ...]
    extensions: tuple[Extension, ...]
    marks: tuple[Mark, ...]
    area: float | None
    limits: tuple[float, float]

    @property
    def is_exact(self) -> bool:
        """Tell whether all indices are exact; otherwise some are lower bounds."""
        return all(branch.exact for branch in self.branches)

    @property
    def coexistence(self) -> tuple[float, ...]:
        """Return the betas at which two phases are equally deep."""
        return tuple(sorted({mark.beta for mark in self.marks if mark.kind == "coexistence"}))


def s_curve_record(diagram: Diagram) -> SCurveRecord | None:
    """Return the record of a diagram, or None where there is neither a branch nor a way back."""
    if not is_joined(diagram):
        return None
    sweeps = [Sweep(diagram.points, diagram.transitions, diagram.run_status), *([diagram.back] if diagram.back else [])]
    minima = _minima(diagram)
    branches = tuple(_branch_curve(phase, branch, minima) for phase, branch in sorted(diagram.branches.items()))
    ways = tuple(_way(sweep, minima) for sweep in sweeps)
    limits = padded([*chain(*(curve.beta for curve in branches), *(way.beta for way in ways))])
    return SCurveRecord(
        title=f"Branches of {diagram.task['name']}",
        branches=branches,
        ways=ways,
        extensions=tuple(_extension(phase, minima, limits) for phase in diagram.phases if phase.beyond),
        marks=_marks(diagram, minima),
        area=diagram.loop.area if diagram.loop else None,
        limits=limits,
    )


def stability(branch: Branch) -> tuple[tuple[int, int, int], ...]:
    """Return the slices of the points between which the index does not change, as `BranchCurve.stretches`.

    At a special point an eigenvalue is 0, so what its index says is decided by rounding: the neighbour counts.
    """
    special = branch.special
    regular = [None if place in special else point.index for place, point in enumerate(branch.points)]
    known = [[index for index in pair if index is not None] for pair in pairwise(regular)]
    kinds = [min(max(seen or (a.index, b.index)), MANY) for seen, (a, b) in zip(known, pairwise(branch.points), strict=True)]
    found, start = [], 0
    for kind, run in groupby(kinds):
        stop = start + len(list(run))
        found.append((start, stop + 1, kind))
        start = stop
    return tuple(found)


def _minima(diagram: Diagram) -> list[Piece]:
    """Return all known stretches of minima."""
    return [piece for phase in diagram.phases for piece in _phase_pieces(diagram, phase.id)]


def _phase_pieces(diagram: Diagram, phase: int) -> list[Piece]:
    """Return the stretches of minima along a phase: those walked, then the stable ones of the branch that begins in it."""
    branch = diagram.branches.get(phase)
    stable = [branch.points[start:stop] for start, stop, index in stability(branch) if index == 0] if branch else []
    walked = [_walked(diagram.phases[phase]), *_back_in(diagram, phase)]
    return [*chain.from_iterable(map(pieces, walked)), *chain.from_iterable(map(pieces, stable))]


def _back_in(diagram: Diagram, phase: int) -> list[Sequence[Point]]:
    """Return the stretches of the way back of a loop that lie in a phase."""
    if diagram.back is None:
        return []
    stretches = stretches_of(diagram.back.points, diagram.back.transitions)
    return [stretch for home, stretch in zip(diagram.back_phases, stretches, strict=True) if home == phase]


def _excess(points: Sequence[Point] | Sequence[StationaryPoint], minima: Iterable[Piece]) -> tuple[float, ...]:
    levels = [level(point) for point in points]
    lowest = lowest_loss(minima, [item.beta for item in levels])
    return tuple(float(item.loss - value) for item, value in zip(levels, lowest, strict=True))


def _values(points: Sequence[Point] | Sequence[StationaryPoint], minima: Iterable[Piece]) -> dict[str, tuple[float, ...]]:
    return {
        "error": tuple(point.error for point in points),
        "norm_squared": tuple(point.norm_squared for point in points),
        "excess": _excess(points, minima),
    }


def _branch_curve(phase: int, branch: Branch, minima: Iterable[Piece]) -> BranchCurve:
    return BranchCurve(
        phase=phase,
        beta=branch.beta,
        values=_values(branch.points, minima),
        index=branch.index,
        margin=tuple(point.margin for point in branch.points),
        exact=all(point.index_is_exact for point in branch.points),
        stretches=stability(branch),
    )


def _way(sweep: Sweep, minima: Iterable[Piece]) -> Way:
    lengths = [len(stretch) for stretch in stretches_of(sweep.points, sweep.transitions)]
    return Way(
        direction="up" if sweep.points[0].beta <= sweep.points[-1].beta else "down",
        beta=tuple(point.beta for point in sweep.points),
        values=_values(sweep.points, minima),
        starts=tuple(accumulate([0, *lengths[:-1]])),
    )


def _extension(phase: Phase, minima: Iterable[Piece], limits: tuple[float, float]) -> Extension:
    """Return what is shown of a phase: what lies beyond the limits would only stretch the figure upwards."""
    points = [point for point in _walked(phase) if limits[0] <= point.beta <= limits[1]]
    return Extension(phase.id, tuple(point.beta for point in points), _values(points, minima))


def _walked(phase: Phase) -> list[Point]:
    return sorted((*phase.points, *phase.beyond), key=lambda point: point.beta)


def _marks(diagram: Diagram, minima: Sequence[Piece]) -> tuple[Mark, ...]:
    """Return folds and branch points branch after branch, then what is known of coexistence."""
    found: list[Mark] = []
    for phase, branch in sorted(diagram.branches.items()):
        found += [fold_mark(phase, fold) for fold in branch.folds]
        found += [branch_point_mark(phase, item) for item in branch.branch_points]
    for item in diagram.coexistence:
        found += coexistence_marks(item, {phase: _phase_pieces(diagram, phase) for phase in item.phases})
    lowest = lowest_loss(minima, [mark.beta for mark in found])
    above = [float(mark.values["loss"] - value) for mark, value in zip(found, lowest, strict=True)]
    return tuple(replace(mark, values={**mark.values, "excess": value}) for mark, value in zip(found, above, strict=True))
