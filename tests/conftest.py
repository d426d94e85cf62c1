"""Shared fixtures: fixed seeds, and a dense oracle that shares no derivative code with the package."""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis.configuration import set_hypothesis_home_dir
from torch import Tensor, nn
from torch.func import functional_call

from spinodal.sweeps.loop import Loop
from spinodal.sweeps.walk import Point

set_hypothesis_home_dir(tempfile.gettempdir())  # nothing is written into the working tree
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=20)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


class _Bound(nn.Module):
    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


class Oracle:
    """`E(theta) = sum_b n_b loss_b / n` written once more, with the Hessian looped row by row by autograd."""

    def __init__(
        self, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor], batches: Sequence[tuple[Tensor, ...]]
    ) -> None:
        self._bound = _Bound(copy.deepcopy(model).double(), loss)
        self._batches = [tuple(_double(part) for part in batch) for batch in batches]
        self._free = {name: value.shape for name, value in self._bound.named_parameters() if value.requires_grad}
        self.size = sum(shape.numel() for shape in self._free.values())

    def energy(self, theta: Tensor) -> Tensor:
        parts = theta.split([shape.numel() for shape in self._free.values()])
        named = {name: part.view(shape) for part, (name, shape) in zip(parts, self._free.items(), strict=True)}
        sums = [len(batch[0]) * functional_call(self._bound, named, (batch,)) for batch in self._batches]
        return torch.stack(sums).sum() / sum(len(batch[0]) for batch in self._batches)

    def gradient(self, theta: Tensor) -> Tensor:
        return torch.autograd.functional.jacobian(self.energy, theta)

    def hessian(self, theta: Tensor) -> Tensor:
        return torch.autograd.functional.hessian(self.energy, theta)


def _double(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle


class RanAwayError(AssertionError):
    """A computation spent more gradients than any honest stop needs."""


@pytest.fixture
def limit_gradients(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, int], None]:
    """Return a function that makes a landscape fail the test after so many gradients."""

    def limit(landscape: Any, most: int) -> None:
        plain, spent = landscape.value_and_gradient, 0

        def counted(theta: Tensor) -> tuple[float, Tensor]:
            nonlocal spent
            spent += 1
            if spent > most:
                raise RanAwayError(f"more than {most} gradients")
            return plain(theta)

        monkeypatch.setattr(landscape, "value_and_gradient", counted)

    return limit


def integral_of_norm(points: Sequence[Point]) -> float:
    """Integrate `||theta||^2` over beta along a branch from its values and exact slopes at the points.

    Hermite's rule where the slope hardly changes; where it grows, the integral of the square root that
    ends in a fold, whose distance the two slopes give: `rho = rho* + c sqrt(d)`, `drho/dbeta = -c / (2 sqrt(d))`.
    """
    total = 0.0
    for a, b in itertools.pairwise(points):
        width = b.beta - a.beta
        if abs(b.norm_slope) < 1.2 * abs(a.norm_slope):
            total += 0.5 * width * (a.norm_squared + b.norm_squared) + width**2 / 12.0 * (a.norm_slope - b.norm_slope)
            continue
        first = width * b.norm_slope**2 / (b.norm_slope**2 - a.norm_slope**2)
        last, rise = max(first - width, 0.0), -2.0 * a.norm_slope * first**0.5
        total += width * (a.norm_squared - rise * first**0.5) + 2.0 / 3.0 * rise * (first**1.5 - last**1.5)
    return total


def area_by_loss(loop: Loop) -> float:
    """Return the area of a loop from L alone, since `dL/dbeta = ||theta||^2` along a branch.

    It is the sum of the falls of L in the transitions, from both sides of each bracket continued to its beta, and what L at the
    end of the cycle exceeds L at its beginning by, where the way back does not lead there.
    """

    def there(side: Point, beta: float) -> float:
        return side.minimum.loss + (beta - side.beta) * side.norm_squared

    ways = (loop.up, loop.down)
    falls = sum(there(item.before, item.beta) - there(item.after, item.beta) for way in ways for item in way.transitions)
    return falls + sum(way.points[-1].minimum.loss - way.points[0].minimum.loss for way in ways)
