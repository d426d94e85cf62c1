"""Brackets side by side that tell one event are one; those with a phase between them stay two."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial
from torch import Tensor, nn

import diagrams
import spinodal as sp
from spinodal.landscape.axis import LOG
from spinodal.observe import Observer
from spinodal.sweeps.once import is_one_event, without_between
from spinodal.sweeps.resolution import Resolution
from spinodal.sweeps.scout import Scout
from spinodal.sweeps.standing import Standing
from spinodal.sweeps.walk import Walker

BRACKET = 1e-4


class Weight(nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.1))


def two_falls(apart: float) -> sp.Landscape:
    """Return E of one weight with minima where `beta = b(w)` falls: its humps are 1 at w = 3, and higher by `apart` at 1.5."""
    powers = np.arange(7)
    places = [0.0, 1.5, 3.0, 2.25]
    rows = [[place**k for k in powers] for place in places]
    rows += [[k * place ** max(k - 1, 0) for k in powers] for place in places[:3]]
    humps = Polynomial(np.linalg.solve(rows, [-1.0, 1.0 + apart, 1.0, 0.6, 0.0, 0.0, 0.0]))
    energy = torch.from_numpy((-2.0 * Polynomial([0.0, 1.0]) * humps).integ().coef)

    def loss(model: Weight, batch: object) -> Tensor:
        return torch.stack([model.weight**k for k in range(len(energy))]).double() @ energy

    return sp.Landscape(Weight(), loss, None)


@pytest.mark.parametrize("apart", [1e-3, 2e-3])
def test_two_falls_with_a_phase_between_them_are_two(apart: float) -> None:
    landscape = two_falls(apart)
    start = sp.minimise(landscape, beta=0.9, start=landscape.initial)
    first, second = sp.sweep(landscape, start=start, to=1.1, bracket=1e-3).transitions
    assert first.bracket[0] <= 1.0 <= first.bracket[1]
    assert second.bracket[0] <= 1.0 + apart <= second.bracket[1]
    assert first.after.minimum.theta.item() == pytest.approx(1.5, abs=0.2)


@pytest.mark.parametrize("part", [0.3, 0.8])
def test_a_kink_in_two_brackets_that_touch_is_told_once(part: float) -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(2,), singular_values=(0.9,), inputs=2, outputs=2, samples=10)
    landscape, control = task.landscape(), sp.Penalty()
    walker = Walker(landscape, control, Observer(landscape, control, task), solver="newton")
    scout = Scout(walker, error_range=1.0, norm_range=2.0, resolution=Resolution(bracket=BRACKET))
    start = sp.minimise(landscape, beta=0.85, start=landscape.initial)
    sweep = scout.walk(walker.find(0.85, lambda: (start.theta, start.stats)), 0.95)
    (kink,) = sweep.transitions
    middle = walker.finish(walker.follow(kink.before, kink.before.beta + part * width(kink), 0.0 * kink.before.tangent))
    place = sweep.points.index(kink.after)
    points = [*sweep.points[:place], middle, *sweep.points[place:]]
    state = Standing(points[-1], None, 0.1, points)
    for before, after in ((kink.before, middle), (middle, kink.after)):
        state.transitions.append(replace(kink, before=before, after=after))
        state.witnesses.append(sweep.points[place - 2])
    once = scout._told_once(state)
    (found,) = once.transitions
    assert (found.before, found.after, found.bracket) == (kink.before, kink.after, kink.bracket)
    assert found.order == "second"
    assert found.bracket[0] <= 0.9 <= found.bracket[1]
    assert once.points == sweep.points


def width(found: sp.Transition) -> float:
    return found.after.beta - found.before.beta


def test_what_is_one_event_depends_on_width_touch_and_direction() -> None:
    points = [diagrams.point(k, beta, level=k) for k, beta in enumerate((1.0, 1.00009, 1.00018, 1.0004))]
    first, second = (diagrams.transition(a, b) for a, b in pairwise(points[:3]))
    assert is_one_event(first, second, BRACKET, LOG)
    assert not is_one_event(first, second, 0.5 * BRACKET, LOG)
    assert not is_one_event(first, diagrams.transition(points[1], points[3]), BRACKET, LOG)
    assert not is_one_event(first, replace(second, before=replace(second.before, index=7)), BRACKET, LOG)
    assert not is_one_event(first, replace(second, direction="down"), BRACKET, LOG)
    assert without_between(points, points[0], points[2]) == [points[0], *points[2:]]
