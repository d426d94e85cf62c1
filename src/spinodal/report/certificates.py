"""What holds of the branches and of the loop, in sentences."""

from __future__ import annotations

import math

from spinodal.conventions import weight_decay
from spinodal.labelled.result import unproven
from spinodal.phases.diagram import Diagram
from spinodal.sweeps.sweep import Sweep
from spinodal.words.doubts import doubts
from spinodal.words.numbers import significant


def certificate_sentences(diagram: Diagram) -> tuple[str, ...]:
    """Return what the certificates say: what the walk proves, the area along branches, the area of the loop, and violations."""
    return (*_along_the_walk(diagram), *_along_branches(diagram), *_around_the_loop(diagram), *_violations(diagram))


def _along_the_walk(diagram: Diagram) -> list[str]:
    largest = 100.0 * Sweep(diagram.points, diagram.transitions, diagram.run_status).certificate.largest
    return [
        f"Between the points that were followed, transitions apart, no jump of E above {significant(largest, 2)} % of its "
        "range can have been passed over, as far as slopes between two points stay above the lower of both.",
        *doubts(unproven(diagram)),
    ]


def _along_branches(diagram: Diagram) -> list[str]:
    if not diagram.branches:
        return []
    phase, worst = max(diagram.branches.items(), key=lambda pair: pair[1].area.worst)
    which = "the branch" if len(diagram.branches) == 1 else "every branch"
    place = f"; most is missing on that of phase {phase}, near β = {worst.area.place:.5g}" if worst.area.worst > 0 else ""
    return [f"Along {which} L(b) − L(a) = ∫‖θ‖²dβ holds to {worst.area.worst:.1e}{place}."]


def _around_the_loop(diagram: Diagram) -> list[str]:
    if diagram.loop is None:
        return []
    area = diagram.loop.area
    if not math.isfinite(area):
        return [f"The area of the loop is not known, as a way is not complete: {diagram.loop.down.status}."]
    return [f"The loop encloses ∮‖θ‖²dβ = {area:.6g}: the L that is lost in the falls of one cycle, 0 without hysteresis."]


def _violations(diagram: Diagram) -> list[str]:
    if diagram.back is None and not diagram.violations:
        return []
    if not diagram.violations:
        return [
            "The lowest L of all phases known is concave in β and its ‖θ‖² does not rise: nothing says that one was missed."
        ]
    return [
        f"Near weight_decay = {weight_decay(item.beta):.5g} (β = {item.beta:.5g}): {item.text}." for item in diagram.violations
    ]
