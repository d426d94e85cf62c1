"""A walk misses nothing: closed forms of random linear nets, and brute force between the points of small tasks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import completeness

import spinodal as sp


@pytest.mark.parametrize("net", [0, 3, 5, 227, 249])
def test_a_map_lists_every_transition_of_a_linear_net_once(net: int) -> None:
    assert completeness.linear_row(net)[-1] == "-"


@pytest.mark.parametrize("number", [2, 6])
def test_brute_force_between_the_points_of_a_map_finds_no_other_jump(number: int) -> None:
    *_, incomplete, weak, lost = completeness.task_row(number, step=0.03)
    assert (incomplete, weak, lost) == ("0", "-", "-")


def test_brute_force_finds_a_jump_that_a_map_does_not_list() -> None:
    net = completeness.Linear((0.9,), (2, 2), 1.3, 0)
    diagram = net.map()
    (found,) = diagram.macroscopic
    blind = sp.PhaseDiagram(**{**vars(diagram), "transitions": ()})
    extent = max(p.error for p in blind.points) - min(p.error for p in blind.points)
    task = sp.tasks.gaussian(activation="linear", hidden=(2, 2), singular_values=(0.9,), inputs=3, outputs=3, samples=50)
    ((beta, jump),) = completeness.lost_jumps(task.landscape(), blind, extent, 0.03)
    assert beta == pytest.approx(found.beta, rel=1e-3)
    assert jump > 0.3
