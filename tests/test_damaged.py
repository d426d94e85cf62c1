"""A damaged preconditioner costs gradients and spoils nothing: Kronecker factors, low vectors, glimpses, dense landmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import spinodal as sp
from spinodal.landscape.objective import Regularised
from spinodal.minima.glimpse import glimpse
from spinodal.minima.kronecker import Kronecker, kronecker
from spinodal.minima.landmark import Landmark
from spinodal.minima.minimise import solve

BETA = 0.01


def net(width: int, seed: int) -> sp.Landscape:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(120, 6, generator=generator) * torch.logspace(0, -1, 6)
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3))
    data = (inputs, (inputs @ torch.randn(6, 3, generator=generator)).argmax(1))
    return sp.Landscape(layers, lambda model, batch: cross_entropy(model(batch[0]), batch[1]), data)


@pytest.fixture(scope="module")
def landscape() -> sp.Landscape:
    return net(8, 0)


@pytest.fixture(scope="module")
def here(landscape: sp.Landscape) -> sp.Minimum:
    return sp.minimise(landscape, beta=BETA, start=landscape.initial, solver="newton")


@pytest.fixture(scope="module")
def there(landscape: sp.Landscape, here: sp.Minimum) -> sp.Minimum:
    """Return the minimum at the next beta, found without any help."""
    return sp.minimise(landscape, beta=1.05 * BETA, start=here.theta, solver="newton")


@pytest.fixture(scope="module")
def factors(landscape: sp.Landscape, here: sp.Minimum) -> Kronecker:
    found = kronecker(landscape, here.theta)
    assert found is not None
    return found


def with_values(found: Kronecker, change: Callable[[Tensor], Tensor]) -> Kronecker:
    return replace(found, blocks=tuple(replace(block, values=change(block.values)) for block in found.blocks))


def with_bases(found: Kronecker, change: Callable[[Tensor], Tensor]) -> Kronecker:
    blocks = (replace(b, left=change(b.left), right=None if b.right is None else change(b.right)) for b in found.blocks)
    return replace(found, blocks=tuple(blocks))


def of_another_network(found: Kronecker) -> Kronecker:
    other = net(8, 5)
    made = kronecker(other, 3.0 * other.initial)
    assert made is not None
    return made


DAMAGES: dict[str, Callable[[Kronecker], Kronecker]] = {
    "not finite": lambda found: with_values(found, lambda values: torch.full_like(values, torch.nan)),
    "infinite": lambda found: with_values(found, lambda values: torch.full_like(values, torch.inf)),
    "partly not finite": lambda found: with_values(found, lambda values: values.masked_fill(values > values.mean(), torch.nan)),
    "indefinite": lambda found: with_values(found, lambda values: values - 2.0 * values.mean()),
    "negative": lambda found: with_values(found, lambda values: -1.0 - values),
    "of zeros": lambda found: with_values(found, torch.zeros_like),
    "of a singular basis": lambda found: with_bases(found, lambda basis: basis * (torch.arange(len(basis)) > 1)),
    "of a basis that is not finite": lambda found: with_bases(found, lambda basis: torch.full_like(basis, torch.nan)),
    "of another network": of_another_network,
    "far too stiff": lambda found: with_values(found, lambda values: 1e3 * values),
    "of others that are not finite": lambda found: replace(found, others=torch.full_like(found.others, torch.nan)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_kronecker_factors_lead_to_the_same_minimum(
    landscape: sp.Landscape, here: sp.Minimum, there: sp.Minimum, factors: Kronecker, damage: str
) -> None:
    loss = Regularised(landscape, 1.05 * BETA)
    found, local = solve(loss, here.theta, solver="lbfgs", tolerance=1e-7, factors=DAMAGES[damage](factors))
    assert found.converged
    assert local is not None
    assert found.loss == pytest.approx(there.loss, rel=1e-10)
    assert found.error == pytest.approx(there.error, rel=1e-6)
    assert found.margin == pytest.approx(there.margin, abs=max(found.margin_error, 1e-3 * there.margin))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_glimpse_with_damaged_factors_bounds_the_margin_and_descends(
    landscape: sp.Landscape, there: sp.Minimum, factors: Kronecker, damage: str
) -> None:
    loss = Regularised(landscape, there.beta)
    lowest = float(torch.linalg.eigvalsh(loss.shifted(landscape.hessian(there.theta)))[0])
    margin, tangent = glimpse(loss, there.theta, [there.theta], DAMAGES[damage](factors), blur=0.0, on_the_way=False)
    assert margin.value >= lowest - 1e-9
    assert margin.residual >= 0.0
    assert bool(torch.isfinite(tangent).all())
    assert float(there.theta @ tangent) <= 0.0


@pytest.mark.parametrize("damage", ["not finite", "infinite", "indefinite", "of a basis that is not finite"])
def test_factors_that_give_no_direction_are_let_go_at_once(
    landscape: sp.Landscape, here: sp.Minimum, factors: Kronecker, damage: str
) -> None:
    loss = Regularised(landscape, 1.05 * BETA)
    plain, _ = solve(loss, here.theta, solver="lbfgs", tolerance=1e-6)
    found, _ = solve(loss, here.theta, solver="lbfgs", tolerance=1e-6, factors=DAMAGES[damage](factors))
    assert found.stats.gradient_evaluations <= 1.2 * plain.stats.gradient_evaluations


LOW: dict[str, Callable[[Tensor], Tensor]] = {
    "not finite": lambda low: torch.full_like(low, torch.nan),
    "partly not finite": lambda low: torch.cat([low[:1], torch.full_like(low[1:], torch.inf)]),
    "of zeros": torch.zeros_like,
    "all the same": lambda low: low[:1].expand(len(low), -1).clone(),
    "of another network": lambda low: torch.randn(low.shape, generator=torch.Generator().manual_seed(3), dtype=low.dtype),
    "huge": lambda low: 1e200 * low,
}


@pytest.mark.parametrize("damage", LOW)
def test_damaged_low_vectors_lead_to_the_same_minimum_and_margin(
    landscape: sp.Landscape, here: sp.Minimum, there: sp.Minimum, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("landmark", "newton", "local"):  # Hessians of small networks are kept as those of larger ones are
        monkeypatch.setattr(f"spinodal.minima.{name}.CERTIFIED", 0)
    landmark = Landmark.at(Regularised(landscape, BETA), here.theta, landscape.hessian(here.theta))
    assert landmark is not None
    broken = replace(landmark, low=LOW[damage](landmark.low), price=10**6)
    found, local = solve(Regularised(landscape, there.beta), here.theta, solver="newton", landmark=broken)
    assert found.converged
    assert local is not None
    assert found.loss == pytest.approx(there.loss, rel=1e-12)
    assert found.margin == pytest.approx(there.margin, rel=2e-3)
    assert float(there.theta @ local.tangent) < 0.0
