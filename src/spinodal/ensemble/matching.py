"""Which transitions of several maps are one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from spinodal.basins.matching import Key, matched, put_together
from spinodal.definitions import SAME_EVENT
from spinodal.ensemble.shared import Seen, SharedTransition
from spinodal.phases.diagram import Diagram
from spinodal.phases.step import Step
from spinodal.phases.upper_ends import upper_coexistence, upper_end

Steps = Mapping[Key, Step]  # by the number of a map, and that of a transition there


def shared_transitions(diagrams: Sequence[Diagram], names: Sequence[str], *, by_phase: bool) -> tuple[SharedTransition, ...]:
    """Return the macroscopic transitions of some maps, each once, by rising beta.

    By phase, transitions are one where they are the end of one phase in the same direction, whatever that falls into: phases
    are matched by what no symmetry changes (see `spinodal.basins.matching.matched`). Phases of different tasks, and trained
    models, cannot be compared so: there transitions are one where the ranks on both sides are the same and beta differs by at
    most a factor `exp(SAME_EVENT)`, closest pairs first, one of each map.
    """
    found = []
    for direction in ("up", "down"):
        steps = {(number, step.number): step for number, diagram in enumerate(diagrams) for step in _walked(diagram, direction)}
        groups = _ends_of_phases(diagrams, steps) if by_phase else _near_in_beta(steps)
        seen = [tuple(_seen(diagrams[key[0]], names[key[0]], steps[key]) for key in sorted(group)) for group in groups]
        found += sorted((SharedTransition(0, direction, items, len(diagrams)) for items in seen), key=lambda item: item.beta)
    return tuple(replace(item, id=place) for place, item in enumerate(found))


def _walked(diagram: Diagram, direction: str) -> tuple[Step, ...]:
    """Return the macroscopic transitions that were met in a direction."""
    return tuple(step for step in (*diagram.steps, *diagram.steps_back) if step.transition.direction == direction)


def _ends_of_phases(diagrams: Sequence[Diagram], steps: Steps) -> list[tuple[Key, ...]]:
    """Return transitions in groups, by the phase that they leave."""
    home = {key: place for place, group in enumerate(matched(diagrams)) for key in group}
    groups: dict[tuple[int, int], list[Key]] = {}
    times: Counter[Key] = Counter()
    for key, step in steps.items():
        left = key[0], _left(step)
        groups.setdefault((home[left], times[left]), []).append(key)
        times[left] += 1  # a walk that was given up may leave a phase twice
    return [tuple(group) for group in groups.values()]


def _near_in_beta(steps: Steps) -> list[tuple[Key, ...]]:
    """Return transitions in groups, by their ranks and places."""
    pairs = (
        (abs(math.log(steps[a].beta / steps[b].beta)), a, b)
        for a, b in combinations(steps, 2)
        if a[0] != b[0] and steps[a].along[0] == steps[b].along[0]
    )
    return put_together(steps, pairs, most=SAME_EVENT)


def _left(step: Step) -> int:
    """Return the phase that is left, in the direction walked."""
    return step.phases[0] if step.transition.direction == "up" else step.phases[1]


def _seen(diagram: Diagram, name: str, step: Step) -> Seen:
    if step.transition.direction == "down":
        return Seen(name, step, step.beta, None)
    phase = _left(step)
    return Seen(name, step, upper_end(diagram, phase) or step.beta, upper_coexistence(diagram, phase))
