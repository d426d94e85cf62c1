"""S-curves and the tree of phases as the report's script gets them."""

from __future__ import annotations

from typing import Any

from spinodal.codec import keyed, plain
from spinodal.conventions import weight_decay
from spinodal.plots.mark import KINDS
from spinodal.plots.phase_tree import PhaseBar, TreeRecord
from spinodal.plots.s_curve import MANY, QUANTITIES, BranchCurve, Extension, SCurveRecord, Way
from spinodal.words.numbers import rounded

PLACED = 10  # significant digits of beta
WALKED = {"up": "orange: the way up", "down": "blue: the way down"}
LINES = ("solid: minima", "dashed: saddles of index 1", f"dotted: saddles of index {MANY} and more")
BOUNDED = ("solid: no direction of negative curvature seen", "dashed: saddles of index 1 or more", LINES[MANY])
MARKS = {
    "spinodal": "large circles: spinodals",
    "fold": "open circles: folds of saddles",
    "minor": "small circles: minor folds",
    "branch": "squares: branch points",
    "coexistence": "diamonds on dash-dotted lines: coexistence",
    "barrier": "triangles: the saddle there",
}


def s_curve_figure(record: SCurveRecord) -> dict[str, Any]:
    """Return the figure of branches and ways, which shows one quantity at a time."""
    note = _legend(record)
    return {
        "kind": "branches",
        "caption": "Branches of stationary points, and the ways walked:",
        "selects": "quantity",
        "choices": [{**plain(quantity), "name": quantity.label, "note": note} for quantity in QUANTITIES],
        "limits": list(record.limits),
        "branches": [_branch(branch) for branch in record.branches],
        "ways": [{**_curve(way), **keyed(way, "direction starts")} for way in record.ways],
        "extensions": [{"phase": item.phase, **_curve(item)} for item in record.extensions],
        "marks": [{**keyed(mark, "kind phase beta text"), "values": _values(mark.values)} for mark in record.marks],
        "coexistence": list(record.coexistence),
    }


def tree_figure(record: TreeRecord) -> dict[str, Any]:
    """Return the figure of the tree."""
    meaning = "Where every phase is a minimum, by rising E, and what it falls into at its ends."
    note = "thick: the deepest phase known; thin: metastable; orange arrows: walking up; blue ones: walking down"
    lasting = [bar.phase for bar in record.bars if bar.range[0] == 0]
    note += "; arrow heads at the left: a minimum for every β > 0" if lasting else ""
    return {
        "kind": "tree",
        "caption": meaning,
        "choices": [{"key": "tree", "label": "by rising E", "meaning": meaning, "note": note}],
        "limits": list(record.limits),
        "bars": [_bar(bar) for bar in record.bars],
        "falls": [
            {
                "row": record.row(fall.phase),
                "to": None if fall.falls_to is None else record.row(fall.falls_to),
                **keyed(fall, "phase beta direction"),
                "text": f"walking {fall.direction}, phase {fall.phase} falls to "
                + ("one that is not known" if fall.falls_to is None else f"phase {fall.falls_to}")
                + f"\nβ: {fall.beta:.7g}\nweight_decay: {weight_decay(fall.beta):.7g}",
            }
            for fall in record.falls
        ],
    }


def _legend(record: SCurveRecord) -> str:
    """Say what occurs in the figure, and how it is drawn."""
    lines = sorted({index for branch in record.branches for _, _, index in branch.stretches})
    marks = {mark.kind for mark in record.marks}
    parts = [(LINES if record.is_exact else BOUNDED)[index] for index in lines] + [
        MARKS[kind] for kind in KINDS if kind in marks
    ]
    parts += [WALKED[way.direction] for way in record.ways]
    parts += ["grey: phases followed further"] if record.extensions else []
    parts += ["shaded: what lies between them"] if len(record.ways) > 1 else []
    parts += [] if record.is_exact else ["an index is a lower bound"]
    return "; ".join(parts)


def _branch(branch: BranchCurve) -> dict[str, Any]:
    return {**_curve(branch), **keyed(branch, "phase index exact stretches"), "margin": rounded(branch.margin)}


def _curve(item: BranchCurve | Way | Extension) -> dict[str, Any]:
    return {"beta": rounded(item.beta, PLACED), "values": {key: rounded(values) for key, values in item.values.items()}}


def _values(values: Any) -> dict[str, float | None]:
    return dict(zip(values, rounded(values.values()), strict=True))


def _bar(bar: PhaseBar) -> dict[str, Any]:
    lines = [f"phase {bar.phase}" + ("" if bar.rank is None else f": rank {bar.rank}")]
    lines += [f"β: {bar.range[0]:.6g} to {bar.range[1]:.6g}", f"E: {bar.error[0]:.5g} to {bar.error[1]:.5g}"]
    lines += [f"{end} end: {reason}" for end, reason in zip(("lower", "upper"), bar.reasons, strict=True) if reason]
    known = bool(bar.stable or bar.metastable)
    return {
        **keyed(bar, "phase range"),
        "stable": plain(bar.stable if known else ()),
        "metastable": plain(bar.metastable if known else (bar.range,)),
        "text": "\n".join(lines),
    }
