"""Special points are known by their place on a branch, whatever is done with it; and two phases meet by one solver."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import spinodal as sp
from diagrams import point
from spinodal.branches import Branch, continue_branch
from spinodal.branches.fixed_norm.trace import FixedNorm
from spinodal.branches.maxwell import Difference, meeting
from spinodal.branches.move import Mover
from spinodal.branches.point import StationaryPoint
from spinodal.landscape import Landscape
from spinodal.landscape.penalty import Penalty
from spinodal.minima.minimise import minimise
from spinodal.phases.branch_record import read_branch
from spinodal.phases.loss_curve import LossCurve


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))


def chain() -> Landscape:
    return Landscape(Chain(), lambda model, batch: (1 - model.w.prod()) ** 2 / 2, None)


def walked(method: str, **more: object) -> Branch:
    landscape = chain()
    start = minimise(landscape, beta=0.1, start=landscape.initial)
    return continue_branch(landscape, start, to=0.4, bounds=(0.02, 0.4), method=method, **more)  # type: ignore[arg-type]


def in_place(branch: Branch) -> bool:
    return all(branch.points[place] is item.point for place, item in branch.special.items())


@pytest.fixture(scope="module", params=["arclength", "fixed_norm"])
def branch(request: pytest.FixtureRequest) -> Branch:
    return walked(request.param, at=(0.15, 0.2))


def test_a_fold_lies_at_its_place(branch: Branch) -> None:
    assert [round(fold.beta, 6) for fold in branch.folds] == [0.236235]
    assert in_place(branch)
    assert 0 < branch.folds[0].place < len(branch.points) - 1


def test_a_fold_beyond_the_points_that_were_asked_for_is_none_of_the_branch(branch: Branch) -> None:
    place = branch.folds[0].place
    method = branch.method.replace(" ", "_")
    shorter, longer = (walked(method, at=(0.15, 0.2), points=count) for count in (place, place + 1))
    assert (len(shorter.folds), len(longer.folds)) == (0, 1)
    assert in_place(longer)


def test_a_branch_walked_the_other_way_has_the_same_folds(branch: Branch) -> None:
    back = branch.at_places(range(len(branch.points))[::-1])
    assert in_place(back)
    assert [fold.index for fold in back.folds] == [(1, 0)]
    assert back.at_places(range(len(back.points))[::-1]).beta == branch.beta
    assert back.followed_by(branch).special.keys() == {
        back.folds[0].place,
        branch.folds[0].place + len(back.points) - 1,
    }


def test_a_branch_with_fewer_points_keeps_its_folds_in_place(branch: Branch) -> None:
    kept = sorted({0, len(branch.points) - 1, branch.folds[0].place})
    few = branch.at_places(kept)
    assert in_place(few)
    assert few.folds[0].place == 1
    assert not branch.at_places([0, len(branch.points) - 1]).folds


def test_a_record_keeps_places(branch: Branch) -> None:
    again = read_branch(branch.to_dict())
    assert in_place(again)
    assert again.special.keys() == branch.special.keys()


@pytest.mark.parametrize("end", [0, 1], ids=["before", "behind"])
@pytest.mark.parametrize("through_folds", [True, False])
def test_a_fold_at_an_end_of_a_step_is_told_once_and_is_macroscopic(
    end: int, through_folds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    landscape = chain()
    start = minimise(landscape, beta=0.1, start=landscape.initial)
    walk = FixedNorm(landscape, start.theta, 0.1, to=0.4, bounds=(0.02, 0.4), through_folds=through_folds)
    between = walk._between
    found = between.fold
    monkeypatch.setattr(between, "fold", lambda a, b: replace(found(a, b), point=(a, b)[end]))
    points = list(walk)
    branch = walk.branch()
    assert len(branch.folds) == 1
    assert not branch.folds[0].minor
    assert in_place(branch)
    assert len({point.norm_squared for point in points}) == len(points)
    assert branch.stop == ("range" if through_folds else "fold")


@pytest.mark.parametrize("beta", [0.92, 1.2])
def test_a_walk_at_fixed_norm_that_would_begin_on_another_branch_is_refused(beta: float) -> None:
    task = sp.tasks.gaussian(activation="linear", hidden=(6,), singular_values=(0.9, 0.6), samples=30, bias=False)
    landscape = task.landscape()
    dead = minimise(landscape, beta=beta, start=task.initial(0))  # its norm is rounding
    assert dead.converged
    with pytest.raises(sp.SpinodalError, match=r"on whose sphere E is lowest at a point that is stationary at beta = 0\.9"):
        continue_branch(landscape, dead, to=1.3, method="fixed_norm")


# -- a point at another beta --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [None, "newton"])
def test_a_minimum_is_moved_to_another_beta(solver: str | None) -> None:
    landscape = chain()
    minimum = minimise(landscape, beta=0.1, start=landscape.initial)
    start = StationaryPoint.of(minimum, Penalty().norm_squared(minimum.theta))
    there = Mover(landscape, Penalty(), solver=solver)(start, 0.2)
    exact = minimise(landscape, beta=0.2, start=minimum.theta)
    assert there is not None
    assert (there.beta, there.index) == (0.2, 0)
    assert there.loss == pytest.approx(exact.loss, rel=1e-12)
    assert there.margin == pytest.approx(exact.margin, rel=1e-6)


def test_a_saddle_is_moved_with_dense_hessians_and_not_by_descent() -> None:
    landscape, branch = chain(), walked("arclength")
    saddle = branch.points[-2]
    by_hessians, by_descent = (Mover(landscape, Penalty(), solver=solver) for solver in (None, "newton"))
    there = by_hessians(saddle, 1.1 * saddle.beta)
    assert there is not None
    assert there.index == saddle.index == 1
    assert by_descent(saddle, 1.1 * saddle.beta) is None


def test_a_minimum_that_stands_alone_has_the_index_that_its_margin_tells() -> None:
    landscape = chain()
    minimum = minimise(landscape, beta=0.1, start=landscape.initial)
    assert (minimum.index, minimum.index_is_exact) == (0, True)
    rough = minimise(landscape, beta=0.1, start=landscape.initial, solver="lbfgs")
    point = StationaryPoint.of(rough, Penalty().norm_squared(rough.theta))
    assert (point.index, point.index_is_exact, point.index_text) == (0, False, ">= 0")
    assert (point.beta_rate, point.norm_rate) == (0.0, 0.0)  # how it goes on is not known


# -- equal depth ----------------------------------------------------------------------------------------


def depths(beta: float) -> Difference:
    return Difference(math.exp(beta) - 2.0, math.exp(beta))


def is_equal(_: float, found: Difference) -> bool:
    return abs(found.loss) < 1e-14


@pytest.mark.parametrize("start", [0.1, 0.7, 3.0])
def test_equal_depth_is_found_to_rounding(start: float) -> None:
    found = meeting(depths, start, bounds=(0.0, 20.0), is_equal=is_equal)
    assert found.stop == "equal"
    assert found.beta == pytest.approx(math.log(2.0), abs=1e-15)


def test_equal_depth_out_of_bounds_is_none() -> None:
    assert meeting(depths, 0.3, bounds=(0.2, 0.6), is_equal=is_equal).stop == "outside"


def test_between_known_bounds_a_bad_slope_does_not_lead_astray() -> None:
    def flat(beta: float) -> Difference:
        return Difference(math.atan(50.0 * (beta - 0.3)), 50.0 / (1.0 + 2500.0 * (beta - 0.3) ** 2))

    found = meeting(flat, 0.9, bounds=(0.0, 1.0), is_equal=is_equal, rises=True, most=60)
    assert found.beta == pytest.approx(0.3, abs=1e-12)


def test_a_branch_that_is_lost_ends_the_search() -> None:
    assert meeting(lambda beta: None, 0.3, bounds=(0.0, 1.0), is_equal=is_equal).stop == "lost"


def test_a_search_ends_when_its_steps_are_spent() -> None:
    assert meeting(depths, 0.1, bounds=(0.0, 9.0), is_equal=lambda *_: False, most=3).stop == "spent"


def test_the_slope_of_a_loss_curve_is_its_derivative() -> None:
    points = [point(k, beta, level=0) for k, beta in enumerate((0.1, 0.2, 0.4))]
    bent = [replace(p, minimum=replace(p.minimum, loss=loss)) for p, loss in zip(points, (0.3, 0.7, 0.9), strict=True)]
    curve = LossCurve.through(0, bent)
    assert curve.slope(0.2) == pytest.approx(bent[1].norm_squared, rel=1e-12)
    for beta in (0.13, 0.31):
        difference = (curve.loss(beta + 1e-6) - curve.loss(beta - 1e-6)) / 2e-6
        assert curve.slope(beta) == pytest.approx(difference, abs=1e-6)
