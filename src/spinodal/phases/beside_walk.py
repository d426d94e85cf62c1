"""What branches and a way back tell beside a walk up, where nothing joins the two ways of a loop."""

from __future__ import annotations

from dataclasses import replace

from spinodal.missing import Attempts
from spinodal.parallel import Crew
from spinodal.phases.branch_following import Followable, bracketed
from spinodal.phases.existence import Interval
from spinodal.phases.follow_ahead import follower_of
from spinodal.phases.joined import D, Joined
from spinodal.phases.joining import macroscopic
from spinodal.phases.tree import falls_along
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.problem import Problem
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.walk import Walker


def branched(
    walker: Walker, up: Sweep, *, beta: Interval, criteria: Criteria, attempts: Attempts, crew: Crew[Problem]
) -> Joined:
    """Return what branches add to a walk up."""
    ends = [*macroscopic(up.transitions), None]
    last = len(ends) - 1
    phases = [
        Followable(k, up.smooth_end(stretch), end, k + 1 if k < last else None)
        for k, (stretch, end) in enumerate(zip(up.stretches, ends, strict=True))
    ]
    followed = follower_of(crew, walker, beta=beta, criteria=criteria, attempts=attempts).follow(phases)
    transitions = followed.polished(up.transitions)
    polished = {(item.phase, item.side) for item in followed.spinodals}
    walked = [
        (k, end) for k, end in enumerate(macroscopic(transitions)) if end.order != "second" and (k, "upper") not in polished
    ]
    return Joined(
        transitions=transitions,
        branches=followed.branches,
        coexistence=followed.coexistence,
        spinodals=(*followed.spinodals, *(bracketed(end, k, "upper") for k, end in walked)),
        tree=falls_along(range(len(phases)), transitions),
    )


def with_unjoined(diagram: D, up: Sweep, back: Sweep) -> D:
    """Return a diagram with a way back that could not be joined: every stretch of it is taken for a phase of its own."""
    first = len(up.stretches)
    ids = (first - 1, *range(first, first + len(back.stretches) - 1))
    return replace(diagram, back=back, back_phases=ids, tree=(*diagram.tree, *falls_along(ids, back.transitions)))
