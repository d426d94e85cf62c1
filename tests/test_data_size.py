"""The number of samples as the control: taking samples away and giving them back does not lead to the same minimum."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import spinodal as sp

BETA = 0.01
COUNTS = (20, 28, 40, 57, 80, 113)


def parity() -> sp.Task:
    return sp.tasks.parity(samples=160, hidden=(16,), activation="tanh")


def over_first(count: int) -> sp.Landscape:
    task = parity()
    return sp.Landscape(task.model, task.loss, tuple(part[:count] for part in task.data))


def walked(order: Sequence[int]) -> dict[int, sp.Minimum]:
    """Return minima over the first samples, each from the one before; the first from a random start."""
    place, found = 1.5 * parity().initial(0), {}
    for count in order:
        found[count] = sp.minimise(over_first(count), beta=BETA, start=place)
        place = found[count].theta
    return found


@functools.cache
def both_ways() -> tuple[dict[int, sp.Minimum], dict[int, sp.Minimum]]:
    return walked((160, *reversed(COUNTS[3:]))), walked(COUNTS)


def beyond(found: sp.Minimum) -> float:
    task = parity()
    return sp.Landscape(task.model, task.loss, task.held_out).value(found.theta)


def test_few_samples_are_remembered_by_two_minima_of_which_one_knows_the_rule() -> None:
    down, up = both_ways()
    for way in (down, up):
        assert way[57].margin >= 0.0
        assert way[57].error < 0.02  # of an error of 1 for a constant: both have learned their samples
    assert beyond(down[57]) < 0.5
    assert beyond(up[57]) > 1.2
    assert up[57].loss > down[57].loss + 0.01  # metastable: the rule is the deeper minimum


def test_more_samples_end_the_minimum_that_only_remembers() -> None:
    down, up = both_ways()
    assert abs(up[113].loss - down[113].loss) < 1e-6 * down[113].loss
    assert beyond(up[113]) < 0.1
