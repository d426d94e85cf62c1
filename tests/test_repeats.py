"""A walk repeated from other starts: no spread where there is one branch, that of two branches where there are two."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial
from torch import Tensor, nn

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.phases.loss_curve import LossCurve
from spinodal.phases.repeat import Deeper, Met, Repeat, bounds
from spinodal.words.repeats import repeats_line

# One weight w whose minima are those of L = E + beta w^2, with E' = -2 w b(w): stationary where beta = b(w), and a minimum
# where b falls with |w|. b has two humps, so there are two branches, which end where b is largest.
COEFFICIENTS = np.linalg.solve(
    [[4.0, 8.0, 16.0, 32.0], [4.0, 12.0, 32.0, 80.0], [1.0, -1.0, 1.0, -1.0], [-2.0, 3.0, -4.0, 5.0]],
    [2.0 + 0.2 * 64.0, 0.2 * 192.0, 2.2 + 0.2, -0.2 * 6.0],
)
HUMPS = Polynomial([-1.0, 0.0, *COEFFICIENTS, -0.2])  # 1 at w = 2 and 1.2 at w = -1
ENERGY = (-2.0 * Polynomial([0.0, 1.0]) * HUMPS).integ()


class Weight(nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.5))


def energy(model: Weight, batch: object) -> Tensor:
    powers = torch.stack([model.weight**k for k in range(len(ENERGY.coef))])
    return powers @ torch.from_numpy(ENERGY.coef).to(powers)


def started(seed: int) -> Tensor:
    return torch.tensor([2.3 if seed == 0 else -1.3])


def two_branches() -> sp.Task:
    return sp.Task(Weight(), energy, None, initial=started)


@cache
def mapped() -> sp.PhaseDiagram:
    return sp.map_phases(two_branches(), beta=(0.3, 1.5), starts=1, repeats=1)


def depth(beta: float, side: float) -> float:
    """Return L of a branch in closed form: on the side of w > 0, of w < 0, or at w = 0."""
    if side == 0.0:
        return 0.0
    slopes = HUMPS.deriv()
    roots = [float(root.real) for root in (HUMPS - beta).roots() if abs(root.imag) < 1e-9 and root.real * side > 0.0]
    (weight,) = [root for root in roots if slopes(root) * root < 0.0 and abs(root) < 3.0]
    return float(ENERGY(weight)) + beta * weight**2


def equal(one: float, other: float, low: float, high: float) -> float:
    """Return where two branches are equally deep, by halving."""
    sign = depth(low, one) > depth(low, other)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (depth(middle, one) > depth(middle, other)) is sign else (low, middle)
    return low


def test_repeats_of_one_branch_have_no_spread() -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(2,), singular_values=(0.9, 0.4), inputs=2, outputs=2, samples=10)
    diagram = sp.map_phases(task, beta=(0.3, 1.0), starts=2, repeats=2)
    spreads = [diagram.spread_of(item) for item in diagram.macroscopic]
    assert [(item.met, item.of, item.width) for item in spreads if item] == [(2, 2, 0.0), (2, 2, 0.0)]
    for repeat in diagram.repeats:
        assert not repeat.deeper
        for met, exact in zip(repeat.transitions, (0.4, 0.9), strict=True):
            assert met.bracket[0] <= exact <= met.bracket[1]
    assert [repeat.seeds for repeat in diagram.repeats] == [(2, 3), (4, 5)]
    assert "2 of 2 transitions were met each time in the same place" in diagram.answer()


def test_the_deepest_of_all_starts_is_followed_and_the_other_branch_gives_the_spread() -> None:
    diagram = mapped()
    assert depth(0.3, 1.0) < depth(0.3, -1.0)
    assert float(diagram.points[0].minimum.theta) > 0.0
    (fold,), (repeat,) = diagram.macroscopic, diagram.repeats
    assert fold.beta == pytest.approx(1.0, rel=1e-5)
    assert repeat.transitions[0].beta == pytest.approx(1.2, rel=1e-4)
    spread = diagram.spread_of(fold)
    assert spread is not None
    assert (spread.met, spread.of) == (1, 1)
    assert spread.width == pytest.approx(0.2, rel=1e-3)
    assert (spread.low, spread.high) == pytest.approx((1.0, 1.2), rel=1e-4)


def test_a_map_begins_in_the_deepest_set_whichever_that_is() -> None:
    other = sp.Task(Weight(), energy, None, initial=lambda seed: started(1 - seed))
    diagram = sp.map_phases(other, beta=(0.3, 1.5), starts=1, repeats=1)
    assert float(diagram.points[0].minimum.theta) > 0.0
    assert [repeat.seeds for repeat in diagram.repeats] == [(0, 0)]


def test_a_deeper_branch_is_told_beside_from_where_it_is_as_deep() -> None:
    diagram = mapped()
    (found,) = diagram.repeats[0].deeper
    assert found.low == pytest.approx(equal(1.0, -1.0, 0.3, 0.999), rel=1e-3)
    assert found.high == pytest.approx(1.0, rel=1e-4)  # there the map falls to w = 0, which is deeper than either
    assert depth(1.0, -1.0) > 0.0
    by = depth(found.high, 1.0) - depth(found.high, -1.0)  # it grows up to the end
    assert 0.99 * by <= found.by <= 1.0001 * by
    assert "repeat 1 was on a deeper branch" in diagram.answer()
    assert len(diagram.macroscopic) == 1


def test_workers_give_the_same_repeats() -> None:
    alone = mapped()
    with ThreadPoolExecutor(2) as pool:
        shared = sp.map_phases(two_branches(), beta=(0.3, 1.5), starts=1, repeats=1, executor=pool)
    assert shared.repeats == alone.repeats
    assert [point.minimum.loss for point in shared.points] == [point.minimum.loss for point in alone.points]
    assert shared.spent == alone.spent


def test_chord_and_tangents_hold_the_loss_of_a_branch() -> None:
    points = mapped().points[:6]
    curve = LossCurve.through(0, points)
    for a, b in pairwise(points):
        beta = 0.4 * a.beta + 0.6 * b.beta
        low, high = bounds(curve, beta)
        assert low <= depth(beta, 1.0) <= high


def test_records_come_back() -> None:
    repeat = Repeat(1, (4, 7), 0.1, 0.2, (Met(0.5, (0.4, 0.6), (0.1, 0.2)),), (Deeper(0.1, 0.2, 1e-3),), "complete")
    assert Repeat.from_dict(json.loads(json.dumps(repeat.to_dict()))) == repeat


def test_a_transition_that_no_repeat_meets_nearby_is_met_by_none() -> None:
    diagram = mapped()
    far = replace(diagram.repeats[0], transitions=(Met(0.5, (0.4999, 0.5001), (0.0, 1.0)),))
    spread = replace(diagram, repeats=(far,)).spread_of(diagram.macroscopic[0])
    assert spread is not None
    assert (spread.met, spread.width) == (0, 0.0)
    assert "0 of 1 transitions" in repeats_line(replace(diagram, repeats=(far,)))


def test_repeats_of_a_map_downwards_are_refused() -> None:
    with pytest.raises(SpinodalError, match="repeats of a map downwards"):
        sp.map_phases(two_branches(), beta=(0.3, 1.5), direction="down", repeats=1)


def test_a_run_with_repeats_that_is_cut_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    from spinodal.store import RunFolder

    options = sp.MapOptions(beta=(0.3, 1.5), starts=1, repeats=1)

    def run(path: Path) -> dict[str, Any]:
        with RunFolder(path, {"map": {}}, resume=True) as folder:
            result = sp.map_phases(two_branches(), options=options, recorder=folder.journal).to_dict()
        result["stats"].pop("seconds")
        return result

    whole = run(tmp_path / "whole")
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    run(tmp_path / "cut")
    for kept in (len(lines) // 3, len(lines) - 3):
        (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
        for state in (tmp_path / "cut" / "states").iterdir():
            state.unlink()
        for state in (tmp_path / "whole" / "states").iterdir():
            (tmp_path / "cut" / "states" / state.name).write_bytes(state.read_bytes())
        assert run(tmp_path / "cut") == whole
