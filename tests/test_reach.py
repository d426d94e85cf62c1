"""What can be held at a learning rate, and how slow it is near a fold: both against descent itself and closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from scipy.integrate import quad

from small_run import linear, linear_run  # noqa: F401 - the fixture
from spinodal import PhaseDiagram, Slowing, SpinodalError, load, minimise, reachable, sweep, train
from spinodal.theory import deep_linear, mode_strength
from test_cli import Command, command  # noqa: F401 - the fixture
from test_dynamics import balanced, linear_chain


@pytest.fixture(scope="module")
def diagram(linear_run: tuple[Path, PhaseDiagram]) -> PhaseDiagram:  # noqa: F811
    return load(linear_run[0])


def test_the_sharpness_of_every_point_is_that_of_the_dense_hessian(diagram: PhaseDiagram) -> None:
    found, landscape = reachable(diagram, 0.1), linear().landscape()
    assert found.out_of_reach == ()
    assert len(found.points) == sum(len(phase.points) for phase in diagram.phases)
    for phase in diagram.phases:
        for point in phase.points[::7]:
            here = next(it for it in found.points if it.index == point.index)
            exact = torch.linalg.eigvalsh(landscape.hessian(point.minimum.theta))[-1].item() + 2 * point.beta
            assert here.largest == pytest.approx(exact, rel=1e-3)


def test_descent_stays_in_a_phase_that_can_be_held_and_leaves_one_that_cannot(diagram: PhaseDiagram) -> None:
    point = diagram.phases[0].points[0]
    limit = next(it.learning_rate for it in reachable(diagram, 0.1).points if it.index == point.index)
    gone = []
    for factor in (0.97, 1.03):
        start = point.minimum.theta + 1e-3
        history = train(linear().landscape(), start, beta=point.beta, learning_rate=factor * limit, epochs=300)
        last = history.error[0, -1].item()
        gone.append(not abs(last - point.error) < 1e-3)
    assert gone == [False, True]


def test_phases_out_of_reach_are_named(diagram: PhaseDiagram) -> None:
    low, middle = reachable(diagram, 5.0), reachable(diagram, 0.1)
    assert low.out_of_reach == (0, 1, 2)
    assert str(low).startswith("Phase 0 exists, but cannot be held at learning_rate = 5: descent is stable below")
    assert "Phase 0 can be held at learning_rate = 0.1" in str(middle)
    rates = sorted(point.learning_rate for point in middle.points if point.phase == 0)
    assert "Phase 0 cannot be held everywhere" in str(reachable(diagram, 0.5 * (rates[0] + rates[-1])))
    with pytest.raises(SpinodalError, match="learning_rate = 0"):
        reachable(diagram, 0.0)


def test_show_says_which_phases_can_be_held(command: Command, linear_run: tuple[Path, PhaseDiagram]) -> None:  # noqa: F811
    done = command("show", str(linear_run[0]), "--learning-rate", "5", "--json", "-")
    assert done.code == 0, done.err
    assert json.loads(done.out)["reachable"]["out_of_reach"] == [0, 1, 2]
    assert "cannot be held at learning_rate = 5" in done.err
    refused = command("show", str(linear_run[0]), "--learning-rate", "-1")
    assert (refused.code, "learning_rate = -1.0" in refused.err) == (2, True)


# -- critical slowing down ------------------------------------------------------------------------


def law_of_the_closed_form(s: float, n: int) -> Slowing:
    """Return the law through two points just below the spinodal of a mode, from the curvature of V(w) / N along balanced w."""
    fold = deep_linear([s], matrices=n)[0].beta

    def margin(beta: float) -> float:
        w = mode_strength(beta, s, matrices=n) ** (1.0 / n)
        return (2 * n**2 * w ** (2 * n - 2) - 2 * n * (n - 1) * w ** (n - 2) * (s - w**n) + 2 * n * beta) / n

    places = (fold * (1 - 1e-7), fold * (1 - 1e-8))
    return Slowing.from_margins(places, [margin(beta) for beta in places])


@pytest.mark.parametrize("n", [3, 4])
def test_the_fold_and_the_time_past_it_are_those_of_deep_linear_networks(n: int) -> None:
    s, law = 0.9, law_of_the_closed_form(0.9, n)
    fold = deep_linear([s], matrices=n)[0].beta
    assert law.spinodal == pytest.approx(fold, rel=1e-6)
    off = []
    for beyond in (1e-4, 1e-6):  # the law is that of the limit: what it is off by falls like the square root
        beta, w = fold * (1 + beyond), (s * (n - 2) / (2 * n - 2)) ** (1.0 / n)
        time, _ = quad(
            lambda x, b=beta: 1.0 / (2 * x * (b - x ** (n - 2) * (s - x**n))), 0.5 * w, 1.4 * w, points=[w], limit=500
        )
        off.append(abs(law.passing_time(beta) / time - 1.0))
    assert off[0] < 0.1
    assert off[1] < 0.01
    assert law.passing_time(fold * 1.01) / law.passing_time(fold * 1.04) == pytest.approx(2.0, rel=1e-3)


def test_training_beyond_the_end_of_a_walked_phase_lasts_as_long_as_its_margins_say() -> None:
    landscape = linear_chain(3)
    fold = deep_linear([0.5], matrices=3)[0].beta
    alive = [mode_strength(0.18, s, matrices=3) ** (1.0 / 3.0) for s in (0.9, 0.5)]
    start = minimise(landscape, beta=0.18, start=balanced(landscape, alive))
    walked = sweep(landscape, start=start, to=0.19)
    first = walked.transitions[0]
    law = Slowing.of([point for point in walked.points if point.beta <= first.beta])
    assert law.spinodal == pytest.approx(fold, rel=1e-3)
    beyond, rate = fold * 1.001, 0.2
    strong = mode_strength(beyond, 0.9, matrices=3) ** (1.0 / 3.0)
    above = balanced(landscape, [strong, 0.95])  # the weak mode far above its fold, w^3 = s / 4
    gone = landscape.value(balanced(landscape, [strong, 0.2]))
    history = train(landscape, above, beta=beyond, learning_rate=rate, epochs=4000, levels=(), until=lambda thetas: torch.stack(
        [torch.tensor(gone - landscape.value(theta)) for theta in thetas]))  # fmt: skip
    assert history.arrivals.item() == pytest.approx(law.passing_time(beyond) / rate, rel=0.04)
    assert math.isfinite(law.relaxation_time(0.185))


def test_points_that_are_too_far_from_the_fold_do_not_spoil_its_law() -> None:
    margins = {0.9998: 0.22, 0.9999: 0.2, 0.999999: 0.02}  # margin^2 = 400 (1 - beta) but for the first
    points = [SimpleNamespace(beta=beta, minimum=SimpleNamespace(margin=margin)) for beta, margin in margins.items()]
    law = Slowing.of(points)
    assert law.spinodal == pytest.approx(1.0, abs=1e-9)
    assert law.steepness == pytest.approx(400.0, rel=1e-6)


@pytest.mark.parametrize("margins", [(0.1, 0.1), (0.1, -0.1), (0.1,)])
def test_points_that_tell_no_fold_are_refused(margins: tuple[float, ...]) -> None:
    with pytest.raises(SpinodalError, match="two or more points whose margins differ"):
        Slowing.from_margins([0.1, 0.2][: len(margins)], margins)
