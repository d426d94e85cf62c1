"""Saddles between two minima by eigenvector following, against branches through folds and dense spectra."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import spinodal as sp
from spinodal.branches.mountain_pass import mountain_pass
from spinodal.landscape.objective import Regularised
from spinodal.minima import glimpse
from spinodal.phases.coexistence import PhaseCoexistence
from spinodal.spectrum.preconditioner import Uniform
from spinodal.tasks import gaussian


@pytest.mark.parametrize("activation", ["tanh", pytest.param("linear", marks=pytest.mark.slow)])
def test_the_pass_is_the_saddle_of_the_branch(activation: str) -> None:
    task = gaussian(activation=activation, hidden=(4, 4), samples=60)
    diagram = sp.map_phases(task, beta=(0.1, 0.6), starts=2, branches=True)
    landscape = task.landscape()
    found = diagram.coexistence[-1]
    assert found.saddle is not None
    loss = Regularised(landscape, found.beta)
    a, b = (minimum_of(diagram, landscape, phase, found.beta) for phase in found.phases)
    top = mountain_pass(loss, a, b, lambda theta: Uniform(2.0 * found.beta), tolerance=1e-6)
    assert top is not None
    assert top.loss == pytest.approx(found.saddle.loss, rel=1e-6)
    assert top.index == found.saddle.index == 1
    spectrum = torch.linalg.eigvalsh(loss.shifted(loss.hessian(top.theta)))
    assert top.values[0] == pytest.approx(float(spectrum[0]), abs=top.errors[0] + 1e-9)
    assert int((spectrum < -1e-3 * 2.0 * found.beta).sum()) == 1
    assert float(loss.value_and_gradient(top.theta)[1].norm()) <= 1e-6 * loss.scale(top.theta)


def test_a_search_goes_on_from_where_two_directions_lead_down() -> None:
    """`E = (1 - x^2)^2 - y^2 / 2 + y^4 / 4`: the line from (-1, 0) to (1, 0) rests at 0; the saddles are (0, 1), (0, -1)."""

    class Wells(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = torch.nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))

    def error(model: torch.nn.Module, batch: None) -> torch.Tensor:
        x, y = model.x
        return (1 - x**2) ** 2 - 0.5 * y**2 + 0.25 * y**4 + 1.0

    loss = Regularised(sp.Landscape(Wells(), error, None), 1e-9)
    left = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    found = mountain_pass(loss, left, -left, lambda theta: Uniform(1.0), tolerance=1e-3)
    assert found is not None
    assert found.index == 1
    assert found.theta.abs().tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    assert found.loss == pytest.approx(1.75, abs=1e-8)


def minimum_of(diagram: sp.PhaseDiagram, landscape: sp.Landscape, phase: int, beta: float) -> torch.Tensor:
    """Return the minimum of a phase at a beta, minimised from its nearest point in steps."""
    near = min(diagram.phases[phase].points, key=lambda point: abs(point.beta - beta))
    theta = near.minimum.theta
    for share in (0.25, 0.5, 0.75, 1.0):
        theta = sp.minimise(landscape, beta=near.beta + share * (beta - near.beta), start=theta).theta
    return theta


def test_no_pass_is_told_where_the_search_does_not_come_to_rest() -> None:
    task = gaussian(activation="tanh", hidden=(4, 4), samples=60)
    loss = Regularised(task.landscape(), 0.05)
    a = sp.minimise(task.landscape(), beta=0.05, start=task.initial(0)).theta
    assert mountain_pass(loss, a, -0.9 * a, lambda theta: Uniform(1.0), tolerance=1e-30) is None


def test_a_large_network_tells_the_barrier_that_branches_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    task = gaussian(activation="linear", hidden=(4, 4), samples=60)
    exact = sp.map_phases(task, beta=(0.1, 0.6), starts=2, branches=True)
    monkeypatch.setattr(glimpse, "LARGE", 1)
    found = sp.map_phases(task, dtype="float32", beta=(0.1, 0.6), starts=2, branches=True)
    assert len(found.coexistence) == len(exact.coexistence) == 2
    assert [(item.order, item.evidence.coexists or item.evidence.turned) for item in found.macroscopic] == [("first", True)] * 2
    for rough, dense in zip(found.coexistence, exact.coexistence, strict=True):
        assert rough.barrier is not None
        assert dense.barrier is not None
        assert rough.barrier[0] == pytest.approx(dense.barrier[0], rel=1e-2)
        assert rough.saddle is not None
        search = rough.saddle.search
        assert search is not None
        assert search.residual <= 3e-4
        assert search.values[0] < 0.0
        assert search.sides == pytest.approx((0.0, 0.0), abs=1e-5)  # both sides lead to the two phases
        again = PhaseCoexistence.from_dict(json.loads(json.dumps(rough.to_dict())))
        assert again == rough


def test_an_order_is_proven_by_coexistence_below_the_end_alone() -> None:
    end = sp.map_phases(gaussian(activation="linear", hidden=(4, 4), samples=60), beta=(0.1, 0.6), starts=2).macroscopic[-1]
    low, _ = end.bracket
    met = PhaseCoexistence(0.9 * low, (0, 1), 1.0, 0.3, None, None, None, "")
    assert met.classifies(end, norm_range=1.0)
    assert not replace(met, latent_heat=1e-4).classifies(end, norm_range=1.0)
    assert not replace(met, beta=1.1 * low).classifies(end, norm_range=1.0)
    assert not met.classifies(replace(end, order="second"), norm_range=1.0)
