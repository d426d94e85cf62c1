"""Plateaus: gradient flow in long steps is gradient flow, and what it does names the plateau."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from spinodal import Landscape, SpinodalError, diagnose, minimise, tasks, train
from spinodal.dynamics.flow import gradient_flow
from spinodal.dynamics.plateaus import escapes, plateaus
from spinodal.dynamics.saddle import saddle_beside
from spinodal.dynamics.schedule import logarithmic
from spinodal.landscape.objective import Regularised
from spinodal.theory import escape_time, kramers_time, mode_strength, passage_time, saddle_amplitude
from test_dynamics import Well, balanced, linear_chain


def chain(beta: float = 0.01) -> Regularised:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, dtype=torch.float64))

    return Regularised(Landscape(Chain(), lambda model, batch: (1.0 - model.w.prod()) ** 2, None), beta)


def test_gradient_flow_is_that_of_an_ordinary_integrator() -> None:
    task = tasks.gaussian(hidden=(4,), samples=30)
    loss = Regularised(task.landscape(), 0.01)
    start = task.initial(0)
    flow = gradient_flow(loss, start, horizon=5.0, tolerance=1e-3)

    def slope(_: float, theta: object) -> object:
        return -loss.value_and_gradient(torch.as_tensor(theta))[1].numpy()

    exact = solve_ivp(slope, (0.0, 5.0), start.numpy(), method="LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
    torch.testing.assert_close(flow.theta, torch.from_numpy(exact), rtol=0.0, atol=2e-3)
    assert flow.times[-1] == pytest.approx(5.0)


@pytest.mark.parametrize(("matrices", "amplitude"), [(3, 0.002), (3, 0.2), (4, 0.1)])
def test_the_flow_leaves_a_dead_mode_when_the_integral_says(matrices: int, amplitude: float) -> None:
    beta = 1e-4
    landscape = linear_chain(matrices)
    alive = mode_strength(beta, 0.9, matrices=matrices) ** (1.0 / matrices)
    level = landscape.value(balanced(landscape, [alive, (0.5 * mode_strength(beta, 0.5, matrices=matrices)) ** (1 / matrices)]))
    flow = gradient_flow(Regularised(landscape, beta), balanced(landscape, [alive, amplitude]), until=0.9 * level)
    assert flow.when(level) == pytest.approx(escape_time(amplitude, 0.5, beta=beta, matrices=matrices), rel=0.02)
    assert len(flow.times) < 60


def test_long_steps_without_a_dense_hessian_lead_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = chain()
    start = torch.tensor([0.1, 0.2, 0.15], dtype=torch.float64)
    dense = gradient_flow(loss, start, tolerance=1e-3)
    monkeypatch.setattr("spinodal.dynamics.flow.affords_dense", lambda landscape: False)
    free = gradient_flow(loss, start, tolerance=1e-3)
    assert free.when(0.5) == pytest.approx(dense.when(0.5), rel=0.01)
    torch.testing.assert_close(free.theta, dense.theta, rtol=0.0, atol=1e-4)


def test_the_saddle_beside_a_dead_chain_is_the_exact_one() -> None:
    loss = chain(0.01)
    w = saddle_amplitude(0.01, 1.0, matrices=3)
    found = saddle_beside(loss, torch.zeros(3, dtype=torch.float64))
    assert found is not None
    assert found.theta.abs().tolist() == pytest.approx([w, w, w], rel=1e-6)
    assert found.loss == pytest.approx((1.0 - w**3) ** 2 + 0.03 * w**2, rel=1e-12)


def verdict_of(amplitude: float, *, stretch: float = 1.0, beta: float = 0.02, **settings: object) -> object:
    landscape = linear_chain(3)
    alive = mode_strength(beta, 0.9, matrices=3) ** (1.0 / 3.0)
    theta = balanced(landscape, [alive, amplitude])
    theta[:4] *= stretch
    theta[4:8] /= stretch
    both = balanced(landscape, [mode_strength(beta, s, matrices=3) ** (1.0 / 3.0) for s in (0.9, 0.5)])
    return diagnose(landscape, theta, beta, phases=[both], **settings)


def test_the_four_verdicts_are_those_of_the_closed_forms() -> None:
    beta, saddle = 0.02, saddle_amplitude(0.02, 0.5, matrices=3)
    grown = mode_strength(beta, 0.5, matrices=3) ** (1.0 / 3.0)
    dead, slow = verdict_of(0.8 * saddle), verdict_of(1.3 * saddle, learning_rate=0.01)
    assert dead.verdict == "metastable"
    barrier = 3.0 * beta * saddle**2 + (0.5 - saddle**3) ** 2 - 0.25
    assert dead.barrier == pytest.approx(barrier, rel=1e-6)
    assert slow.verdict == "slow"
    assert slow.escape_epochs == pytest.approx(slow.escape_time / 0.01)
    assert "after about" in str(slow)
    assert verdict_of(grown, stretch=2.0).verdict == "drifting"
    assert verdict_of(grown).verdict == "converged"


def test_what_is_slow_escapes_in_training_when_it_was_predicted() -> None:
    rate, amplitude = 0.02, 2.0 * saddle_amplitude(0.02, 0.5, matrices=3)
    found, landscape = verdict_of(amplitude, learning_rate=rate), linear_chain(3)
    theta = balanced(landscape, [mode_strength(0.02, 0.9, matrices=3) ** (1.0 / 3.0), amplitude])
    level = found.error - 0.5 * (found.error - found.end.error)
    predicted = found.flow.when(level) / rate
    history = train(landscape, theta, beta=0.02, learning_rate=rate, epochs=int(1.2 * predicted), levels=(level,))
    assert predicted == pytest.approx(history.crossings.item(), rel=0.02)
    assert found.escape_error is not None


def test_a_phase_that_cannot_be_held_is_named() -> None:
    grown = mode_strength(0.02, 0.5, matrices=3) ** (1.0 / 3.0)
    found = verdict_of(grown, learning_rate=1.0)
    assert found.is_holdable is False
    assert "it cannot be held: lambda_max" in str(found)
    history = train(linear_chain(3), found.end.theta + 1e-3, beta=0.02, learning_rate=1.1 * found.largest_rate, epochs=300)
    assert history.ends == ("diverged",) or history.error[0, -1].item() > found.error + 1e-3


def test_known_phases_decide_what_is_best() -> None:
    landscape = linear_chain(3)
    dead = minimise(landscape, beta=0.02, start=torch.full((12,), 1e-9, dtype=torch.float64))
    assert diagnose(landscape, dead, 0.02, phases=[dead]).verdict == "converged"
    assert diagnose(landscape, dead, 0.02).verdict == "metastable"
    with pytest.raises(SpinodalError, match="learning_rate = 0"):
        diagnose(landscape, dead, 0.02, learning_rate=0.0)


def test_plateaus_and_escapes_of_a_staircase_are_found() -> None:
    epochs = logarithmic(10**5, 48)
    levels = ((100, 1.0), (3000, 0.1), (10**9, 0.01))
    errors = [next(level for end, level in levels if epoch <= end) for epoch in epochs]
    flat = plateaus(epochs, errors)
    assert [item.error for item in flat] == [1.0, 0.1, 0.01]
    assert [fall.epoch for fall in escapes(epochs, errors, flat)] == pytest.approx([102.5, 2944], rel=0.01)
    assert all(fall.early <= fall.epoch <= fall.late for fall in escapes(epochs, errors, flat))


# -- noise ----------------------------------------------------------------------------------------


def passage(temperature: float, begin: float, end: float) -> float:
    """Return the exact mean first-passage time of `dw = -V' dt + sqrt(2 T) dB`, V = (w^2 - 1)^2 / 4, by quadrature."""
    grid = torch.linspace(-4.0, end, 20_001, dtype=torch.float64)
    energy = (grid**2 - 1.0) ** 2 / 4.0
    inner = torch.cumulative_trapezoid(torch.exp(-energy / temperature), grid)
    outer = torch.exp(energy[1:] / temperature) * inner
    from_begin = grid[1:] >= begin
    return float(torch.trapezoid(outer[from_begin], grid[1:][from_begin])) / temperature


def test_langevin_escapes_from_a_double_well_take_the_exact_mean_time() -> None:
    landscape = Landscape(Well(0.0), lambda model, batch: (model.w**2 - 1.0) ** 2 / 4.0, None)
    times, rate = {}, 0.02
    for temperature in (0.5, 0.2):
        history = train(
            landscape, torch.tensor([-1.0]), beta=0.0, learning_rate=rate, epochs=50_000, method="langevin",
            temperature=temperature, seeds=range(300), until=lambda thetas: 1.0 - thetas[:, 0],
        )  # fmt: skip
        times[temperature] = history.arrivals * rate
        exact, error = passage(temperature, -1.0, 1.0), float(times[temperature].std()) / math.sqrt(300)
        assert float(times[temperature].mean()) == pytest.approx(exact, abs=3.0 * error)
        assert error <= 0.07 * exact
    assert passage(0.2, -1.0, 1.0) > 2.0 * passage(0.5, -1.0, 1.0)


def test_vectors_of_other_shapes_are_refused() -> None:
    with pytest.raises(SpinodalError, match="theta is"):
        diagnose(linear_chain(3), torch.zeros(5), 0.1)


def well(w: float) -> float:
    return (w**2 - 1.0) ** 2 / 4.0


@pytest.mark.parametrize("ratio", [4.0, 6.0, 10.0])
def test_kramers_law_is_within_its_error_of_the_exact_mean_time(ratio: float) -> None:
    temperature = 0.25 / ratio
    exact = passage_time(well, temperature=temperature, begin=-1.0, end=1.0, low=-4.0)
    assert exact == pytest.approx(passage(temperature, -1.0, 1.0), rel=1e-3)
    law = kramers_time(0.25, temperature, minimum=[2.0], saddle=[-1.0])
    assert 1.0 < exact / law < 1.0 + 1.0 / ratio


def test_kramers_law_is_refused_where_it_does_not_hold() -> None:
    with pytest.raises(SpinodalError, match="2 curved directions at the minimum, 1 at the saddle"):
        kramers_time(1.0, 0.1, minimum=[1.0, 2.0], saddle=[-1.0, 0.0])
    with pytest.raises(SpinodalError, match="0 and 2 of them down"):
        kramers_time(1.0, 0.1, minimum=[1.0, 2.0], saddle=[-1.0, -1.0])


def test_the_noise_that_leaves_a_metastable_chain_has_four_equivalent_ways() -> None:
    loss = chain(0.05)
    found = diagnose(loss.landscape, torch.zeros(3), 0.05)
    w = saddle_amplitude(0.05, 1.0, matrices=3)
    height = (1.0 - w**3) ** 2 + 0.15 * w**2 - 1.0
    temperature = found.barrier / 6.0
    assert found.barrier == pytest.approx(height, rel=1e-6)
    assert found.noise_time(temperature, saddles=4) == pytest.approx(found.noise_time(temperature) / 4.0)
