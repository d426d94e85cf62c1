"""Basins from the groups of matched phases."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from spinodal.basins.at_beta import answers_of
from spinodal.basins.basin import Basin, Member
from spinodal.basins.matching import Key, least_alive, matched
from spinodal.basins.told_apart import told_apart
from spinodal.phases.diagram import Diagram
from spinodal.phases.phase import Phase
from spinodal.phases.upper_ends import upper_coexistence, upper_end
from spinodal.sweeps.point import Point


def basins_of(diagrams: Sequence[Diagram]) -> tuple[Basin, ...]:
    """Return the basins of some maps, by the lowest beta at which any of them met them, the lower E first."""
    phases = {(number, phase.id): phase for number, map_ in enumerate(diagrams) for phase in map_.phases}
    groups = sorted(matched(diagrams), key=lambda group: _order([phases[key] for key in group]))
    home = {key: place for place, group in enumerate(groups) for key in group}
    return tuple(_basin(place, group, diagrams, phases, home) for place, group in enumerate(groups))


def _order(members: Sequence[Phase]) -> tuple[float, float]:
    return min(phase.beta[0] for phase in members), min(phase.error[0] for phase in members)


def _basin(
    place: int, group: Sequence[Key], diagrams: Sequence[Diagram], phases: dict[Key, Phase], home: dict[Key, int]
) -> Basin:
    own = [phases[key] for key in group]
    errors = [error for phase in own for error in phase.error]
    widest = max(own, key=lambda phase: phase.beta[1] / phase.beta[0])
    members = [_member(diagrams[number], number, phases[number, phase], home) for number, phase in group]
    return Basin(
        id=place,
        members=tuple(sorted(members, key=lambda member: member.seed)),
        rank=Counter(phase.rank for phase in own).most_common(1)[0][0],
        error=(min(errors), max(errors)),
        classes=widest.classes,
        told_apart=told_apart(answers_of(_in_the_middle(widest), least_alive(diagrams))),
    )


def _member(diagram: Diagram, number: int, phase: Phase, home: dict[Key, int]) -> Member:
    end = upper_end(diagram, phase.id)
    return Member(
        seed=diagram.seed,
        phase=phase.id,
        beta=phase.beta,
        end=end,
        coexistence=upper_coexistence(diagram, phase.id),
        falls_to=None if end is None or phase.falls_to is None else home[number, phase.falls_to],
    )


def _in_the_middle(phase: Phase) -> Point:
    """Return the point nearest to the middle of a phase, in log beta."""
    middle = math.log(phase.beta[0] * phase.beta[1])
    return min(phase.points, key=lambda point: abs(2.0 * math.log(point.beta) - middle))
