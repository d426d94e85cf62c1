"""The linear autoencoder of the digits: its closed form, and the map that must follow it."""

from __future__ import annotations

import math

import pytest
import torch

import spinodal as sp
from spinodal.errors import SpinodalError
from spinodal.observe import effective_rank
from spinodal.tasks import autoencoder
from spinodal.tasks.autoencoder import equivalent_rows
from spinodal.tasks.digits import centred_images
from spinodal.theory import LinearAutoencoder


def exact_of(hidden: int) -> LinearAutoencoder:
    images = centred_images()
    return LinearAutoencoder(torch.linalg.eigvalsh(images.T @ images / len(images)).clamp(min=0).tolist(), hidden=hidden)


def test_the_error_is_that_of_all_images() -> None:
    task, images = autoencoder(hidden=3), centred_images()
    model = task.model
    direct = (model(images) - images).square().sum(1).mean().detach()
    landscape = task.landscape()
    assert landscape.value(landscape.vector(model)) == pytest.approx(float(direct), rel=1e-12)


@pytest.mark.parametrize("beta", [0.5, 2.0, 5.0, 8.0, 9.0])
def test_the_closed_form_is_stationary_and_has_the_error_and_norm_it_claims(beta: float) -> None:
    images, exact = centred_images(), exact_of(4)
    values, vectors = torch.linalg.eigh(images.T @ images / len(images))
    strongest = vectors[:, -4:].flip(1)
    scale = torch.tensor(exact.singular_values(beta), dtype=torch.float64)
    task = autoencoder(hidden=4)
    landscape = task.landscape()
    theta = torch.cat([(scale[:, None] * strongest.T).reshape(-1), (strongest * scale).reshape(-1)])
    assert landscape.value(theta) == pytest.approx(exact.error(beta), rel=1e-12)
    assert float(theta @ theta) == pytest.approx(exact.norm_squared(beta), rel=1e-12)
    assert float((landscape.gradient(theta) + 2 * beta * theta).norm()) < 1e-12 * float(values[-1])


@pytest.mark.parametrize("solver", ["newton", "newton_cg"])
def test_a_map_follows_the_cascade_at_each_of_its_points(solver: str) -> None:
    exact = exact_of(3)
    diagram = sp.map_phases(autoencoder(hidden=3), solver=solver, beta=(1.0, 12.0), starts=1)
    found = [(transition.beta, transition.order) for transition in diagram.transitions]
    assert [order for _, order in found] == ["second"] * 3
    assert [beta for beta, _ in found] == pytest.approx([item.beta for item in exact.transitions], rel=1e-3)
    for point in diagram.points:
        for values in point.observation.singular_values.values():
            nearest = min(abs(math.log(point.beta / item.beta)) for item in exact.transitions)
            assert effective_rank(values) == effective_rank(exact.singular_values(point.beta)) or nearest < 2e-5
        assert point.error == pytest.approx(exact.error(point.beta), rel=1e-6)
        assert point.norm_squared == pytest.approx(exact.norm_squared(point.beta), abs=2e-4 * exact.norm_squared(1.0))


def test_the_strongest_directions_stay_alive_longest() -> None:
    exact = LinearAutoencoder([0.25, 4.0, 1.0], hidden=2)
    assert [(item.order, item.beta) for item in exact.transitions] == [("second", 1.0), ("second", 4.0)]
    assert [exact.rank(beta) for beta in (0.1, 0.9, 1.1, 3.9, 4.1)] == [2, 2, 1, 1, 0]


def test_directions_without_variance_make_no_transition() -> None:
    assert [item.beta for item in LinearAutoencoder([1.0, 0.0], hidden=2).transitions] == [1.0]


def test_pixels_that_never_change_make_no_transition() -> None:
    images = centred_images()
    changing = int(torch.linalg.matrix_rank(images))
    betas = [item.beta for item in autoencoder(hidden=64).exact]
    assert len(betas) == changing < 64
    assert min(betas) > 1e-9 * max(betas)


def test_few_samples_have_rows_of_the_same_covariance() -> None:
    samples = torch.randn(3, 5, dtype=torch.float64)
    rows = equivalent_rows(samples)
    torch.testing.assert_close(rows.T @ rows / len(rows), samples.T @ samples / 3)


@pytest.mark.parametrize(("values", "hidden"), [([-1.0], 1), ([math.nan], 1), ([1.0], 0), (["a"], 1)])
def test_what_is_no_spectrum_or_width_is_refused(values: list[float], hidden: int) -> None:
    with pytest.raises(SpinodalError):
        LinearAutoencoder(values, hidden=hidden)


@pytest.mark.parametrize("hidden", [0, 2.5, "two"])
def test_a_width_below_one_is_refused(hidden: object) -> None:
    with pytest.raises(SpinodalError, match="hidden"):
        autoencoder(hidden=hidden)  # type: ignore[arg-type]
