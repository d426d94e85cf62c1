"""Tables of what branches and the way back of a loop give: spinodals, coexistence, ranges of existence, falls."""

from __future__ import annotations

from collections.abc import Sequence

from spinodal.branches.branch import Branch
from spinodal.branches.special import STATUSES, BranchPoint, Fold
from spinodal.conventions import weight_decay
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.phases.diagram import Diagram
from spinodal.phases.existence import Interval
from spinodal.phases.spinodals import Spinodal
from spinodal.report.rows import MOST_MINOR, Table, arrow, number, table, transition_row
from spinodal.words.numbers import half, significant, to_error
from spinodal.words.sentences import meeting_error

POLISHED = 10  # most digits of a special point


def back_table(diagram: Diagram) -> Table:
    """Return the macroscopic transitions of the way back of a loop by rising beta."""
    found = [item for item in (diagram.back.transitions if diagram.back else ()) if not item.minor]
    rows = [{**transition_row(diagram, item), "status": item.status} for item in sorted(found, key=lambda item: item.beta)]
    return table(rows)


def spinodal_table(diagram: Diagram) -> Table:
    """Return the ends of the phases by rising beta, with the certificates of those that were polished."""
    found = sorted(diagram.spinodals, key=lambda item: item.beta)
    return table([_spinodal(diagram, item) for item in found])


def coexistence_table(diagram: Diagram) -> Table:
    """Return the points of equal depth by rising beta."""
    found = sorted(diagram.coexistence, key=lambda item: item.beta)
    return table([_coexistence(diagram, item) for item in found])


def _coexistence(diagram: Diagram, found: PhaseCoexistence) -> dict[str, str]:
    error = meeting_error(found, diagram.points[0])
    return {
        **_place(found.beta, error),
        "phases": " and ".join(map(str, found.phases)),
        "L": number(found.loss, 8),
        "latent heat Δ‖θ‖²": number(found.latent_heat, 6),
        "barrier": arrow([number(height, 6) for height in found.barrier or ()]),
        "index of the saddle": "" if found.saddle is None else str(found.saddle.index),
        "β by equal areas": "" if found.by_area is None else to_error(found.by_area.beta, error),
        "relative difference": "" if found.by_area is None else number(found.by_area.difference, 2),
        "status": found.status,
    }


def existence_table(diagram: Diagram) -> Table:
    """Return the range of every phase, and which part of it is metastable."""
    rows = []
    for phase in diagram.phases:
        found = phase.existence
        if found is not None:
            low, high = found.range
            rows.append({
                "phase": str(phase.id),
                "weight_decay": _range((weight_decay(low), weight_decay(high))),
                "β": _range(found.range),
                "deepest known, β": _ranges(found.stable),
                "metastable, β": _ranges(found.metastable),
                "ends": f"below: {found.lower_reason}; above: {found.upper_reason}",
            })  # fmt: skip
    return table(rows)


def fall_table(diagram: Diagram) -> Table:
    """Return which phase falls into which."""
    rows = [
        {
            "phase": str(fall.phase),
            "walking": fall.direction,
            **_place(fall.beta, _bracketed(diagram, fall.beta)),
            "falls to": "not known" if fall.falls_to is None else f"phase {fall.falls_to}",
        }
        for fall in sorted(diagram.tree, key=lambda fall: (fall.phase, fall.direction))
    ]
    return table(rows)


def branch_table(diagram: Diagram) -> Table:
    """Return the branches with how they ended and their area certificates."""
    rows = [
        {
            "branch of": f"phase {phase}",
            "method": branch.method,
            "points": f"{len(branch.points):,}",
            "β": _range((min(branch.beta), max(branch.beta))),
            "index": arrow([branch.points[0].index_text, branch.points[-1].index_text]),
            "area certificate": number(branch.area.worst, 2),
            "worst near β": number(branch.area.place, 5),
            "status": branch.status,
        }
        for phase, branch in sorted(diagram.branches.items())
    ]
    return table(rows)


def special_point_table(diagram: Diagram) -> tuple[Table, int]:
    """Return the branch points and the folds that end no phase, by rising beta, and how many there are.

    Of more than `MOST_MINOR` the table has so many, minor folds being left out first.
    """
    found = [(phase, item) for phase, branch in sorted(diagram.branches.items()) for item in _others(branch)]
    kept = sorted(found, key=lambda pair: isinstance(pair[1], Fold) and pair[1].minor)[:MOST_MINOR]
    rows = [_special(phase, item) for phase, item in sorted(kept, key=lambda pair: pair[1].beta)]
    return table(rows), len(found)


def _others(branch: Branch) -> list[Fold | BranchPoint]:
    return [fold for fold in branch.folds if fold.minor or not fold.is_spinodal] + list(branch.branch_points)


def _special(phase: int, item: Fold | BranchPoint) -> dict[str, str]:
    kind = ("minor fold" if item.minor else "fold of a saddle") if isinstance(item, Fold) else item.kind
    error = _polished(item.point.residual, item.overlap, item.point.norm_squared**0.5) if isinstance(item, Fold) else None
    return {
        **_place(item.beta, error),
        "kind": kind,
        "branch of": f"phase {phase}",
        "E": number(item.point.error),
        "index": arrow([str(index) for index in item.index]),
        "residual": number(item.point.residual, 2),
        "eigenvalue": number(item.eigenvalue, 2),
        "overlap": number(item.overlap, 2),
        "status": STATUSES[item.status],
    }


def _spinodal(diagram: Diagram, item: Spinodal) -> dict[str, str]:
    found = item.certificate
    near = min(diagram.points, key=lambda point: abs(point.beta - item.beta)).observation.distance
    error = _bracketed(diagram, item.beta) if found is None else _polished(found.residual, found.overlap, near)
    return {
        **_place(item.beta, error),
        "phase": str(item.phase),
        "end": item.side,
        "residual": "" if found is None else number(found.residual, 2),
        "eigenvalue": "" if found is None else number(found.eigenvalue, 2),
        "overlap": "" if found is None else number(found.overlap, 2),
        "known from": item.reason or ("" if found is None else STATUSES.get(found.status, found.status)),
    }


def _place(beta: float, error: float | None) -> dict[str, str]:
    """Return a beta to the digits of its error, at most `POLISHED`; `MOST` where that is not known."""
    if error is None:
        return {"weight_decay": significant(weight_decay(beta)), "β": significant(beta)}
    return {"weight_decay": to_error(weight_decay(beta), weight_decay(error), POLISHED), "β": to_error(beta, error, POLISHED)}


def _bracketed(diagram: Diagram, beta: float) -> float | None:
    """Return half the bracket of the transition that is at a beta, None if there is none."""
    return next((half(item.bracket) for item in diagram.all_transitions if item.beta == beta), None)


def _polished(residual: float, overlap: float, distance: float) -> float:
    """Return the error of the beta of a polished fold, along whose soft mode the gradient changes by `2 overlap distance`."""
    return residual / max(2.0 * abs(overlap) * distance, 1e-300)


def _range(interval: Interval) -> str:
    """Return a range in words.

    Examples
    --------
    >>> _range((0.0, 0.25)), _range((0.01, 0.25))
    ('all up to 0.25', '0.01 – 0.25')
    """
    low, high = interval
    return f"all up to {high:.5g}" if low == 0 else f"{low:.5g} – {high:.5g}"


def _ranges(intervals: Sequence[Interval]) -> str:
    return ", ".join(map(_range, intervals)) or "nowhere"
