"""Ways up and back: loop areas in closed form, ranges of existence, and loops that survive a kill."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.optimize import brentq

import spinodal as sp
from spinodal.errors import SpinodalError


class Chain(torch.nn.Module):
    """The scalar chain `E = (1 - w_1 ... w_D)^2 / 2`."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(depth))


def chain(depth: int) -> sp.Landscape:
    return sp.Landscape(Chain(depth), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)


def looped(depth: int, low: float, high: float) -> sp.hysteresis.Loop:
    landscape = chain(depth)
    start = sp.minimise(landscape, beta=low, start=landscape.initial)
    return sp.sweep(landscape, start=start, to=high, direction="loop")


def chain_loss(depth: int, w: float) -> tuple[float, float]:
    """Return beta and L of the balanced branch at weights w."""
    beta = 0.5 * w ** (depth - 2) * (1 - w**depth)
    return beta, 0.5 * (1 - w**depth) ** 2 + depth * beta * w**2


@pytest.mark.parametrize("depth", [3, 4])
def test_the_loop_area_of_a_chain_is_the_integral_along_its_branch(depth: int) -> None:
    low, last = 0.05, ((depth - 2) / (2 * depth - 2)) ** (1 / depth)
    first = brentq(lambda w: chain_loss(depth, w)[0] - low, last, 1.0)
    expected = chain_loss(depth, last)[1] - chain_loss(depth, first)[1]  # the zero state has no norm
    loop = looped(depth, low, 0.4)
    assert loop.area == pytest.approx(expected, rel=2e-3)  # the walk's own steps are coarse
    assert loop.area_by_loss == pytest.approx(expected, rel=1e-6)
    assert loop.down.transitions == ()
    assert [item.order for item in loop.up.transitions] == ["first"]


def test_a_second_order_transition_has_no_hysteresis() -> None:
    loop = looped(2, 0.1, 1.0)
    assert [item.order for item in (*loop.up.transitions, *loop.down.transitions)] == ["second", "second"]
    assert [item.beta for item in (*loop.up.transitions, *loop.down.transitions)] == pytest.approx([0.5, 0.5], rel=1e-4)
    assert abs(loop.area) < 1e-6
    assert abs(loop.area_by_loss) < 1e-9


def test_a_loop_that_begins_at_the_top_goes_down_first() -> None:
    landscape = chain(3)
    trivial = sp.minimise(landscape, beta=0.4, start=torch.zeros(3))
    loop = sp.sweep(landscape, start=trivial, to=0.1, direction="loop")
    assert loop.betas == (0.1, 0.4)
    assert loop.down.points[0].beta == 0.4
    assert loop.area == pytest.approx(0.0, abs=1e-12)


def test_a_loop_prints_both_ways() -> None:
    text = str(looped(2, 0.1, 1.0))
    assert text.startswith("loop from beta = 0.1 to 1 and back: area ")
    assert [line.split(":")[0] for line in text.splitlines()[1:]] == ["up", "down"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"direction": "lop"}, "did you mean 'loop'"),
        ({"direction": "down"}, "a direction in which `to` lies"),
    ],
)
def test_a_direction_that_is_none_is_refused(options: dict[str, Any], text: str) -> None:
    landscape = chain(3)
    start = sp.minimise(landscape, beta=0.1, start=landscape.initial)
    with pytest.raises(SpinodalError, match=text):
        sp.sweep(landscape, start=start, to=0.4, **options)


def test_a_loop_that_is_cut_short_has_no_area() -> None:
    loop = looped(3, 0.1, 0.4)
    cut = sp.hysteresis.Loop(loop.up, sp.Sweep(loop.down.points[:2], (), "stopped at beta = 0.3"))
    assert math.isnan(cut.area)
