"""Folds climbed at fixed norm, and walks led by fewer samples, against closed forms."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

import spinodal as sp
from spinodal.definitions import BEFORE_SUMMIT
from spinodal.landscape.penalty import Penalty
from spinodal.minima import glimpse
from spinodal.minima.lbfgs import Memory
from spinodal.sweeps.crossing import Crossing
from spinodal.sweeps.guide import Guide, Stretch
from spinodal.sweeps.memory import Memory as Recorder
from spinodal.sweeps.summit import Climb, Place
from spinodal.sweeps.sweep import Sweep
from spinodal.tasks import gaussian


@pytest.fixture
def _every_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpse, "LARGE", 1)


@pytest.mark.parametrize("back", [0.7, 0.95, 0.999])
def test_the_summit_is_the_spinodal_of_the_closed_form(back: float) -> None:
    task = gaussian(activation="linear", hidden=(6, 6), singular_values=(0.9, 0.3), samples=60)
    landscape, exact = task.landscape(), task.exact[0].beta  # the weaker mode falls first
    start = sp.minimise(landscape, beta=0.5 * exact, start=task.initial(0))
    for part in (0.7, 0.9, back):
        start = sp.minimise(landscape, beta=part * exact, start=start.theta)
    rho = float(start.theta @ start.theta)
    climb = Climb(landscape, Penalty(), Memory(start.theta))
    found = climb.summit(Place(math.log(rho), start.beta, start.error, start.theta), lambda change: 0.5 * change * start.theta)
    assert found is not None
    assert found.fold == pytest.approx(exact, rel=1e-4)
    before = found.way[-1]
    assert exact * (1.0 - 4.0 * BEFORE_SUMMIT) < before.beta < exact
    polished = sp.minimise(landscape, beta=before.beta, start=before.theta)
    assert polished.error == pytest.approx(before.error, abs=5e-4)  # it is a minimum of L, on the branch
    assert [place.beta for place in found.way] == sorted(place.beta for place in found.way)


def test_behind_the_summit_lie_saddles_of_index_one() -> None:
    task = gaussian(activation="linear", hidden=(6, 6), singular_values=(0.9, 0.3), samples=60)
    landscape, exact = task.landscape(), task.exact[0].beta
    start = sp.minimise(landscape, beta=0.5 * exact, start=task.initial(0))
    start = sp.minimise(landscape, beta=0.9 * exact, start=start.theta)
    climb = Climb(landscape, Penalty(), Memory(start.theta))
    place = Place(math.log(float(start.theta @ start.theta)), start.beta, start.error, start.theta)
    found = climb.summit(place, lambda change: 0.5 * change * start.theta)
    assert found is not None
    assert found.over is not None
    saddles = climb.behind(found.way[-1], found.over, 0.6 * exact)
    assert saddles[-1].beta <= 0.6 * exact
    for saddle in saddles:
        gradient = landscape.value_and_gradient(saddle.theta)[1] + 2 * saddle.beta * saddle.theta
        assert float(gradient.norm()) <= 1e-3 * 2 * saddle.beta * float(saddle.theta.norm())
    spectrum = torch.linalg.eigvalsh(landscape.hessian(saddles[-1].theta)) + 2 * saddles[-1].beta
    assert int((spectrum < -1e-3).sum()) == 1


@pytest.mark.usefixtures("_every_network_is_large")
def test_a_map_led_by_fewer_samples_finds_what_all_of_them_have() -> None:
    task = gaussian(activation="linear", hidden=(8, 8), samples=400)
    recorder = Recorder()
    diagram = sp.map_phases(task, dtype="float32", beta=(0.02, 0.6), starts=2, lead=100, recorder=recorder)
    assert len(diagram.macroscopic) == len(task.exact) == 2
    for found, exact in zip(diagram.macroscopic, task.exact, strict=True):
        assert (found.order, found.evidence.turned, found.evidence.halved_step) == ("first", True, False)
        assert found.evidence.exponent == pytest.approx(0.5, abs=0.05)
        assert found.beta == pytest.approx(exact.beta, rel=1e-4)
        low, high = found.bracket
        assert low * (1 - 2e-4) <= exact.beta <= high * (1 + 2e-4)
        assert high - low <= 1.1e-3 * exact.beta
    again = sp.map_phases(task, dtype="float32", beta=(0.02, 0.6), starts=2, lead=100, recorder=recorder)
    assert again.spent == diagram.spent
    assert [found.bracket for found in again.transitions] == [found.bracket for found in diagram.transitions]


@pytest.mark.parametrize("lead", [-1, 0.5])
def test_a_number_of_samples_that_is_none_is_refused(lead: Any) -> None:
    with pytest.raises(sp.SpinodalError, match="lead"):
        sp.map_phases(gaussian(), lead=lead)


def point(index: int, beta: float, error: float, theta: list[float], slope: list[float], rank: int = 1) -> Any:
    minimum = SimpleNamespace(theta=torch.tensor(theta))
    seen = SimpleNamespace(rank=rank)
    return SimpleNamespace(index=index, beta=beta, error=error, minimum=minimum, tangent=torch.tensor(slope), observation=seen)


def test_a_stretch_is_the_cubic_through_its_points_and_their_tangents() -> None:
    known = [point(k, beta, 0.0, [beta**3], [3 * beta**2]) for k, beta in enumerate((1.0, 2.0, 4.0))]
    stretch = Stretch(cast("Any", tuple(known)), None)
    for beta in (1.0, 1.5, 3.0, 4.0):
        assert float(stretch.theta(beta)) == pytest.approx(beta**3, rel=1e-6)
    assert float(stretch.theta(5.0)) == pytest.approx(64 + 48, rel=1e-6)
    assert float(stretch.change(1.0, 2.0)) == pytest.approx(7.0, rel=1e-6)


def test_a_guide_tells_the_stretch_of_a_point_by_its_rank_and_its_error() -> None:
    walked = [point(0, 1.0, 0.1, [0.0], [0.0], 2), point(1, 2.0, 0.2, [0.0], [0.0], 2)]
    behind = [point(3, 2.01, 0.9, [0.0], [0.0], 1), point(4, 3.0, 1.0, [0.0], [0.0], 1)]
    crossing = SimpleNamespace(after=behind[0])
    guide = Guide.of(cast("Sweep", SimpleNamespace(points=(*walked, *behind), transitions=(crossing,))))
    first, second = guide.stretches
    assert guide.at(point(0, 2.0, 0.8, [0.0], [0.0], 2)) is first
    assert guide.at(point(0, 2.0, 0.8, [0.0], [0.0], 5)) is second
    assert guide.at(point(0, 9.0, 0.8, [0.0], [0.0], 1)) is None
    assert (first.beyond, second.beyond) == (behind[0], None)
    assert first.next(1.9) == pytest.approx(0.97 * 2.0)
    assert first.next(1.93) is None  # the end is ahead
    assert second.next(2.01) == pytest.approx(2.01 * 1.12)


@pytest.mark.parametrize(("exponent", "fold", "turned"), [(0.5, 1.001, True), (0.5, 0.999, False), (None, 1.001, False)])
def test_a_branch_that_goes_on_beyond_a_fold_did_not_turn_there(exponent: float | None, fold: float, turned: bool) -> None:
    crossing = cast(Any, SimpleNamespace())
    law = Crossing._law(crossing, {"exponent": exponent, "fold": fold}, cast(Any, SimpleNamespace(beta=1.0)))
    assert (law is not None and law.turned) == turned
