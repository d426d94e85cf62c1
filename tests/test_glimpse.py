"""What few products tell of a large network: the tangent is that of the dense Hessian, the margin an upper bound."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from losses import cross_entropy
from spinodal.landscape.objective import Regularised
from spinodal.minima import glimpse as module
from spinodal.minima.glimpse import SOFTEST, TANGENT, affords_glimpses_only, glimpse
from spinodal.minima.kronecker import kronecker
from spinodal.minima.lbfgs import lbfgs

BETA = 0.02


def landscape(dtype: torch.dtype = torch.float64) -> sp.Landscape:
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(60) % 3
    inputs = torch.randn(3, 5, generator=generator)[classes] + 0.3 * torch.randn(60, 5, generator=generator)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    return sp.Landscape(net, cross_entropy, (inputs, classes), dtype=dtype)


def minimum(energy: sp.Landscape) -> tuple[Regularised, Tensor]:
    loss = Regularised(energy, BETA)
    return loss, lbfgs(loss, energy.initial, tolerance=1e-9).theta


def test_a_wide_enough_glimpse_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    energy = landscape()
    loss, theta = minimum(energy)
    monkeypatch.setattr(module, "TANGENT", energy.size)
    monkeypatch.setattr(module, "ACCURATE", 1e-9)
    monkeypatch.setattr(module, "SOFTEST", energy.size)
    factors = kronecker(energy, theta)
    assert factors is not None
    margin, tangent = glimpse(loss, theta, [], factors, blur=0.0, on_the_way=False)
    hessian = loss.shifted(energy.hessian(theta))
    torch.testing.assert_close(tangent, torch.linalg.solve(hessian, -2.0 * theta), rtol=1e-5, atol=1e-5)
    assert float(torch.linalg.eigvalsh(hessian)[0]) <= margin.value + 1e-9


def test_the_margin_is_an_upper_bound_within_its_products() -> None:
    energy = landscape()
    loss, theta = minimum(energy)
    factors = kronecker(energy, theta)
    assert factors is not None
    lowest = float(torch.linalg.eigvalsh(loss.shifted(energy.hessian(theta)))[0])
    for on_the_way, most in ((True, TANGENT), (False, SOFTEST)):
        before = energy.counts.hessian_products
        margin, _ = glimpse(loss, theta, [theta], factors, blur=0.0, on_the_way=on_the_way)
        assert energy.counts.hessian_products - before <= most + 2
        assert margin.value >= lowest - 1e-9
        assert margin.zero_modes is None


def test_a_few_products_with_a_hint_give_the_slope_of_the_branch() -> None:
    energy = landscape()
    loss, theta = minimum(energy)
    factors = kronecker(energy, theta)
    assert factors is not None
    exact = torch.linalg.solve(loss.shifted(energy.hessian(theta)), -2.0 * theta)
    _, tangent = glimpse(loss, theta, [exact + 0.05 * float(exact.norm()) * torch.ones_like(exact) / 6], factors, blur=0.0,
                         on_the_way=True)  # fmt: skip
    assert 2.0 * float(theta @ tangent) == pytest.approx(2.0 * float(theta @ exact), rel=0.02)


def test_a_saddle_is_seen_by_its_hint_and_does_not_turn_the_tangent() -> None:
    energy = landscape()
    loss = Regularised(energy, BETA)
    theta = torch.zeros_like(energy.initial)  # the loss rises from here along biases alone
    hessian = loss.shifted(energy.hessian(theta))
    values, vectors = torch.linalg.eigh(hessian)
    assert float(values[0]) < 0.0
    factors = kronecker(energy, 0.1 * energy.initial)
    assert factors is not None
    offset = 1e-3 * torch.ones_like(theta)
    margin, tangent = glimpse(loss, offset, [vectors[:, 0]], factors, blur=0.0, on_the_way=True)
    assert margin.value < 0.0
    assert float(tangent @ offset) <= 0.0


def test_only_large_networks_in_single_precision_are_glimpsed_at() -> None:
    assert not affords_glimpses_only(landscape(torch.float32))
    wide = nn.Linear(200, 100)
    data = (torch.randn(4, 200), torch.arange(4))
    single, double = (sp.Landscape(wide, cross_entropy, data, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert affords_glimpses_only(single)
    assert not affords_glimpses_only(double)
