"""Trajectories: every run is what plain PyTorch does, alone or beside others, and can be gone on with."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import Tensor, nn

from spinodal import Landscape, SpinodalError, tasks
from spinodal.dynamics import Trajectory, train
from spinodal.dynamics.gradients import Gradients
from spinodal.dynamics.schedule import logarithmic
from spinodal.theory import escape_time, mode_strength, saddle_amplitude

SMALL = tasks.gaussian(hidden=(4, 4), samples=30)
OPTIMISERS = {
    "gd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {}),
}


def starts(count: int) -> Tensor:
    return torch.stack([SMALL.initial(seed) for seed in range(count)])


class Well(nn.Module):
    """One parameter w, for energies that are functions of it."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_run_is_that_of_an_ordinary_training_loop(name: str) -> None:
    kind, settings = OPTIMISERS[name]
    method = "adam" if name == "adam" else "gd"
    history = train(SMALL.landscape(), starts(3), beta=1e-3, learning_rate=0.02, epochs=40, method=method, **settings)
    for run in range(3):
        model = SMALL.model
        torch.nn.utils.vector_to_parameters(SMALL.initial(run), model.parameters())
        optimiser = kind(model.parameters(), lr=0.02, weight_decay=2e-3, **settings)
        for _ in range(40):
            optimiser.zero_grad()
            SMALL.loss(model, SMALL.data).backward()
            optimiser.step()
        theta = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        torch.testing.assert_close(history.theta[run], theta, rtol=1e-9, atol=1e-11)
        assert history.error[run, -1].item() == pytest.approx(SMALL.loss(model, SMALL.data).item(), rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [{}, {"method": "adam"}, {"method": "sgd", "batch_size": 8, "momentum": 0.5}, {"method": "langevin", "temperature": 1e-3}],
    ids=lambda item: item.get("method", "gd"),
)
def test_a_run_is_the_same_beside_others_and_after_an_interruption(settings: dict) -> None:
    how = {"beta": 1e-3, "learning_rate": 0.02, "levels": (0.9,), **settings}
    whole = train(SMALL.landscape(), starts(5), epochs=60, seeds=7, **how)
    alone = train(SMALL.landscape(), starts(5)[3], epochs=60, seeds=[10], **how)
    assert torch.equal(whole.theta[3], alone.theta[0])
    parts = []
    train(SMALL.landscape(), starts(5), epochs=60, seeds=7, keep=parts.append, **how)
    middle = parts[len(parts) // 2]
    read = Trajectory.from_record(json.loads(json.dumps(middle.to_dict())), middle.tensors())
    resumed = train(SMALL.landscape(), starts(5), epochs=60, seeds=7, resume=read, **how)
    assert resumed.to_dict() == whole.to_dict()
    assert torch.equal(resumed.theta, whole.theta)


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    how = {"beta": 0.0, "learning_rate": 0.02}
    short = train(SMALL.landscape(), starts(2), epochs=33, **how)
    assert (
        train(SMALL.landscape(), starts(2), epochs=90, resume=short, **how).to_dict()
        == train(SMALL.landscape(), starts(2), epochs=90, **how).to_dict()
    )


def test_batched_gradients_are_those_of_single_points_for_any_data() -> None:
    x, y = SMALL.data
    split = Landscape(SMALL.model, SMALL.loss, [(x[:7], y[:7]), (x[7:], y[7:])])
    for landscape in (SMALL.landscape(), split):
        values, gradients = Gradients(landscape)(starts(4))
        singles = [landscape.value_and_gradient(theta) for theta in starts(4)]
        torch.testing.assert_close(values, torch.tensor([value for value, _ in singles], dtype=torch.float64))
        torch.testing.assert_close(gradients, torch.stack([gradient for _, gradient in singles]))


def test_a_loss_that_branches_on_its_value_is_trained_point_by_point() -> None:
    def loss(model: nn.Module, batch: object) -> Tensor:
        return model.w**2 if model.w.item() > 1.0 else 2.0 * model.w**2 - 1.0

    history = train(Landscape(Well(2.0), loss, None), torch.tensor([[2.0], [0.5]]), beta=0.0, learning_rate=0.1, epochs=1)
    torch.testing.assert_close(history.theta[:, 0], torch.tensor([1.6, 0.3], dtype=torch.float64))


def test_stochastic_steps_take_every_sample_once_an_epoch() -> None:
    x = torch.eye(6, dtype=torch.float64)
    line = nn.Linear(6, 1, bias=False).double()
    landscape = Landscape(line, lambda model, batch: model(batch).mean(), x)
    history = train(landscape, torch.zeros(6), beta=0.0, learning_rate=1.0, epochs=1, method="sgd", batch_size=3)
    torch.testing.assert_close(history.theta[0], torch.full((6,), -1.0 / 3.0, dtype=torch.float64))


def test_langevin_noise_has_the_stationary_variance_of_its_temperature() -> None:
    landscape = Landscape(Well(0.0), lambda model, batch: model.w**2 / 2, None)
    rate, temperature, runs = 0.1, 0.3, 4000
    history = train(
        landscape, torch.zeros(1), beta=0.0, learning_rate=rate, epochs=100, method="langevin", temperature=temperature,
        seeds=range(runs),
    )  # fmt: skip
    exact = temperature / (1.0 - rate / 2.0)  # of the discrete process w -> (1 - rate) w + noise
    assert history.theta.var().item() == pytest.approx(exact, abs=4 * exact * (2 / runs) ** 0.5)


def test_a_run_that_diverges_ends_with_epoch_and_value_and_the_others_go_on() -> None:
    landscape = Landscape(Well(0.0), lambda model, batch: model.w**4, None)
    history = train(landscape, torch.tensor([[0.1], [3.0]]), beta=0.0, learning_rate=0.5, epochs=50)
    assert history.ends == ("finished", "diverged")
    assert f"run 1 diverged at epoch {history.ended[1]}, E = " in history.status
    assert history.error[0].isfinite().all()


def test_runs_end_where_they_arrive_and_levels_are_interpolated() -> None:
    landscape = Landscape(Well(1.0), lambda model, batch: model.w.sum(), None)  # w falls by .3 an epoch
    history = train(
        landscape, torch.tensor([[1.0], [2.0]]), beta=0.0, learning_rate=0.3, epochs=20, levels=(0.5,),
        until=lambda thetas: thetas[:, 0] + 1.0,
    )  # fmt: skip
    torch.testing.assert_close(history.crossings[:, 0], torch.tensor([0.5, 1.5], dtype=torch.float64) / 0.3)
    torch.testing.assert_close(history.arrivals, torch.tensor([2.0, 3.0], dtype=torch.float64) / 0.3)
    assert history.ends == ("arrived", "arrived")


def test_the_schedule_of_a_long_run_is_small_and_begins_as_that_of_a_shorter_one() -> None:
    assert len(logarithmic(10**6, 48)) < 300
    assert logarithmic(50, 8)[:-1] == [epoch for epoch in logarithmic(999, 8) if epoch < 50]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate = 0.0; a finite number > 0 is allowed"),
        ({"epochs": -1}, "epochs = -1"),
        ({"method": "gdd"}, "did you mean 'gd'"),
        ({"method": "sgd"}, "no batch_size with method sgd"),
        ({"temperature": 1.0}, "temperature = 1.0 with method gd"),
        ({"method": "sgd", "batch_size": 31}, "batch_size = 31 for 30 samples"),
        ({"momentum": 1.0}, "momentum = 1.0 with method gd"),
        ({"seeds": [1, 2, 3]}, "3 seeds for 2 starts"),
        ({"beta": -1.0}, "beta = -1.0"),
        ({"levels": "low"}, "levels = 'low'"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(SpinodalError, match=re.escape(words)):
        train(SMALL.landscape(), starts(2), **{"beta": 0.0, "learning_rate": 0.1, "epochs": 1, **settings})


def test_a_trajectory_of_other_runs_is_not_gone_on_with() -> None:
    known = train(SMALL.landscape(), starts(2), beta=0.0, learning_rate=0.1, epochs=2)
    with pytest.raises(SpinodalError, match=re.escape("beta: 0.0 there, 0.5 now")):
        train(SMALL.landscape(), starts(2), beta=0.5, learning_rate=0.1, epochs=4, resume=known)
    with pytest.raises(SpinodalError, match="no start"):
        train(SMALL.landscape(), [], beta=0.5, learning_rate=0.1, epochs=4)


# -- waiting times --------------------------------------------------------------------------------


def linear_chain(matrices: int) -> Landscape:
    """Return a deep linear net of width 2 with the modes .9 and .5 along the axes."""
    return tasks.gaussian(
        activation="linear", hidden=(2,) * (matrices - 1), inputs=2, outputs=2, bias=False, samples=8, noise=0.1
    ).landscape()


def balanced(landscape: Landscape, modes: list[float]) -> Tensor:
    """Return weights with these amplitudes of the modes in every matrix."""
    batch = next(iter(landscape.batches))
    covariance = batch[1].T @ batch[0] / len(batch[0])
    left, _, right = torch.linalg.svd(covariance)
    inner = torch.diag(torch.tensor(modes, dtype=torch.float64))
    slots = len(landscape.parameters.slots)
    matrices = [inner @ right, *[inner] * (slots - 2), left @ inner]
    return torch.cat([matrix.reshape(-1) for matrix in matrices])


@pytest.mark.parametrize(("matrices", "amplitudes", "rate"), [(3, (0.06, 0.2, 0.6), 0.02), (4, (0.1, 0.25, 0.6), 0.03)])
def test_deep_linear_modes_escape_when_the_integral_says(matrices: int, amplitudes: tuple[float, ...], rate: float) -> None:
    beta, strong, weak = 1e-3, 0.9, 0.5
    landscape = linear_chain(matrices)
    alive = mode_strength(beta, strong, matrices=matrices) ** (1.0 / matrices)
    stable = mode_strength(beta, weak, matrices=matrices)
    begin = torch.stack([balanced(landscape, [alive, amplitude]) for amplitude in amplitudes])
    floor = landscape.value(balanced(landscape, [alive, 0.0])) - weak**2
    grown = 0.9
    level = floor + (weak - grown * stable) ** 2
    predicted = [escape_time(amplitude, weak, beta=beta, matrices=matrices, grown=grown) / rate for amplitude in amplitudes]
    history = train(
        landscape, begin, beta=beta, learning_rate=rate, epochs=int(1.2 * max(predicted)), levels=(level,), floor=0.99 * level
    )
    measured = history.crossings[:, 0].tolist()
    assert (amplitudes[-1] / amplitudes[0]) ** matrices > 999
    assert measured == pytest.approx(predicted, rel=0.02)


@pytest.mark.parametrize("matrices", [3, 4])
def test_modes_below_the_saddle_never_escape(matrices: int) -> None:
    beta, rate = 0.1, 0.1
    landscape, saddle = linear_chain(matrices), saddle_amplitude(beta, 0.5, matrices=matrices)
    alive = mode_strength(beta, 0.9, matrices=matrices) ** (1.0 / matrices)
    begin = torch.stack([balanced(landscape, [alive, share * saddle]) for share in (0.98, 1.1)])
    longest = escape_time(1.1 * saddle, 0.5, beta=beta, matrices=matrices) / rate
    level = landscape.value(balanced(landscape, [alive, 0.0])) - 0.05
    history = train(landscape, begin, beta=beta, learning_rate=rate, epochs=int(10 * longest), levels=(level,))
    assert history.crossings[:, 0].isnan().tolist() == [True, False]
    assert history.rank[:, -1].tolist() == [1.0, 2.0]


def test_the_escape_time_near_the_saddle_grows_as_its_logarithm() -> None:
    beta, s, n = 1e-2, 0.9, 3
    saddle = saddle_amplitude(beta, s, matrices=n)
    times = [escape_time(saddle * (1.0 + excess), s, beta=beta, matrices=n) for excess in (1e-4, 1e-6, 1e-8)]
    step = 1e-6 * saddle
    growth = (saddle + step) * 2.0 * ((saddle + step) * (s - (saddle + step) ** 3) - beta) / step
    assert times[1] - times[0] == pytest.approx(torch.tensor(100.0).log().item() / growth, rel=1e-3)
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=1e-3)
