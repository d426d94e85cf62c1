"""Whether E has a finite minimiser that is reached as beta goes to 0."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import spinodal as sp
from spinodal.words.in_full import answer_sentences

W = Callable[[Tensor], Tensor]
ENERGIES: dict[str, tuple[W, str]] = {
    "separable data": (lambda w: torch.nn.functional.softplus(-w), "no finite minimiser"),
    "a channel to infinity": (lambda w: 1 / (1 + w**2), "no finite minimiser"),
    "a minimum": (lambda w: (1 - w) ** 2, "finite minimiser"),
    "a flat minimum": (lambda w: (1 - w) ** 4, "finite minimiser"),
}


class Weight(nn.Module):
    """One weight, the output for an input of one."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x


@pytest.mark.parametrize("name", ENERGIES)
def test_the_growth_of_the_norm_tells_whether_there_is_a_finite_minimiser(name: str) -> None:
    energy, status = ENERGIES[name]
    task = sp.Task(Weight(), lambda model, batch: energy(model(batch[0])).mean(), (torch.ones(1),))
    diagram = sp.map_phases(task, beta=(1e-4, 0.05), starts=1)
    assert diagram.low_end.status == status
    said = any(sentence.startswith("No finite minimiser is in sight") for sentence in answer_sentences(diagram))
    assert said == (status == "no finite minimiser")
    assert diagram.to_dict()["low_end"]["growth"] == diagram.low_end.growth


def test_the_exponent_of_a_channel_is_that_of_its_energy() -> None:
    task = sp.Task(Weight(), lambda model, batch: 1 / (1 + model(batch[0]) ** 2).mean(), (torch.ones(1),))
    diagram = sp.map_phases(task, beta=(1e-8, 1e-2), starts=1)
    assert diagram.low_end.growth == pytest.approx(0.5, rel=1e-3)  # (1 + w^2)^2 = 1 / beta


def test_a_short_range_tells_nothing() -> None:
    task = sp.Task(Weight(), lambda model, batch: (1 - model(batch[0])).square().mean(), (torch.ones(1),))
    assert sp.map_phases(task, beta=(0.1, 0.2), starts=1).low_end.status == "not known"
