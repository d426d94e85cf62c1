"""Minima are told apart by what no symmetry changes, whatever order they come in."""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import spinodal as sp
from spinodal.observe import Observer
from spinodal.phases.catalogue import Allowance, Catalogue, Fingerprint
from spinodal.sweeps.point import Point

BETA = 0.03


class Net:
    """A network of two hidden layers, its minima and copies of them."""

    def __init__(self, activation: str) -> None:
        self.task = sp.tasks.gaussian(activation=activation, hidden=(4, 3), samples=40, noise=0.3, seed=1)
        self.landscape = self.task.landscape()
        self.observe = Observer(self.landscape, sp.Penalty(), self.task)

    @functools.cached_property
    def minima(self) -> list[sp.Minimum]:
        return [self.minimum(self.task.initial(seed)) for seed in range(4)] + [self.minimum(torch.zeros(self.landscape.size))]

    def minimum(self, theta: Tensor) -> sp.Minimum:
        return sp.minimise(self.landscape, beta=BETA, start=theta)

    def fingerprint(self, minimum: sp.Minimum) -> Fingerprint:
        return Fingerprint.of(Point(0, None, minimum, self.observe(minimum.theta), minimum.theta, 0.0, 0.0))

    def copy(self, minimum: sp.Minimum, first: Tensor, second: Tensor) -> Fingerprint:
        """Return the minimum with the units of both hidden layers mixed by orthogonal matrices, minimised again."""
        with self.landscape.at(minimum.theta) as model:
            weights, biases = ([p.detach().clone() for p in model.parameters()][k::2] for k in (0, 1))
        weights = [first @ weights[0], second @ weights[1] @ first.T, weights[2] @ second.T]
        biases = [first @ biases[0], second @ biases[1], biases[2]]
        moved = torch.cat([part.reshape(-1) for pair in zip(weights, biases, strict=True) for part in pair])
        again = sp.minimise(self.landscape, beta=BETA, start=moved)
        assert float((again.theta - moved).norm()) < 1e-3  # a copy is a minimum, too
        return self.fingerprint(again)


@functools.cache
def net(activation: str) -> Net:
    return Net(activation)


def signed_permutation(size: int, generator: torch.Generator) -> Tensor:
    signs = 1.0 - 2.0 * torch.randint(2, (size,), generator=generator)
    return torch.eye(size, dtype=torch.float64)[torch.randperm(size, generator=generator)] * signs[:, None]


def rotation(size: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


@pytest.mark.parametrize(("activation", "mix"), [("tanh", signed_permutation), ("linear", rotation)])
def test_copies_by_symmetry_are_one_minimum(activation: str, mix: object) -> None:
    of, generator = net(activation), torch.Generator().manual_seed(0)
    catalogue = Catalogue()
    for minimum in of.minima:
        own = catalogue.add(of.fingerprint(minimum))
        for _ in range(3):
            first, second = mix(4, generator), mix(3, generator)  # type: ignore[operator]
            assert catalogue.add(of.copy(minimum, first, second)) == own
    assert 2 <= len(catalogue) <= len(of.minima)  # the zero state and at least one other


def test_minima_of_different_error_are_told_apart() -> None:
    of = net("tanh")
    errors = sorted(minimum.error for minimum in of.minima)
    distinct = 1 + sum(b - a > 1e-6 for a, b in itertools.pairwise(errors))
    catalogue = Catalogue()
    for minimum in of.minima:
        catalogue.add(of.fingerprint(minimum))
    assert len(catalogue) >= distinct > 1


def line(count: int) -> list[Fingerprint]:
    """Return fingerprints in three clusters, some of whose members only a third one connects."""
    places = [*(0.3 + 1.5e-6 * k for k in range(count)), *(0.4 + 1.5e-6 * k for k in range(count)), 0.5]
    return [Fingerprint(0.1, place, 1.0, {"w": (1.0, 0.2)}, radius=5e-6) for place in places]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_adding_is_irrelevant(seed: int) -> None:
    found = line(5)
    catalogue, order = Catalogue(), list(range(len(found)))
    random.Random(seed).shuffle(order)
    names = {k: catalogue.add(found[k]) for k in order}
    groups = {catalogue.id(names[k]): {j for j in order if catalogue.id(names[j]) == catalogue.id(names[k])} for k in order}
    assert sorted(map(sorted, groups.values())) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10]]
    assert len(catalogue) == 3


def test_what_only_the_singular_values_tell_apart_is_told_apart() -> None:
    first = Fingerprint(0.1, 0.3, 1.0, {"w": (1.0, 0.2)}, radius=1e-6)
    catalogue = Catalogue()
    assert [catalogue.add(first), catalogue.add(replace(first, singular_values={"w": (0.9, 0.3)}))] == [0, 1]


def test_an_uncertain_minimum_is_not_told_from_its_neighbour() -> None:
    first = Fingerprint(0.1, 0.3, 1.0, {"w": (1.0, 0.2)}, radius=0.0)
    near = replace(first, error=0.3 + 1e-5)
    assert Catalogue().add(first) == 0
    exact, rough = Catalogue(), Catalogue()
    assert [exact.add(first), exact.add(near)] == [0, 1]
    assert [rough.add(replace(first, radius=1e-4)), rough.add(near)] == [0, 0]


def test_different_beta_is_never_compared() -> None:
    first = Fingerprint(0.1, 0.3, 1.0, {"w": (1.0, 0.2)}, radius=1e-6)
    later = replace(first, beta=0.2)
    catalogue = Catalogue()
    assert catalogue.add(first) == 0
    assert catalogue.find(later) is None
    assert catalogue.add(later, continues=0) == 0
    assert catalogue.find(later) == 0


def test_an_allowance_joins_what_minor_transitions_connect() -> None:
    first = Fingerprint(0.1, 0.3, 1.0, {"w": (1.0, 0.2)}, radius=1e-6)
    sibling = replace(first, error=0.302, norm_squared=1.01, singular_values={"w": (1.01, 0.2)})
    catalogue = Catalogue(Allowance(error=0.003, norm_squared=0.02, spectrum=0.05))
    assert [catalogue.add(first), catalogue.add(sibling), catalogue.add(replace(first, error=0.31))] == [0, 0, 1]


def test_the_radius_is_the_residual_over_the_margin() -> None:
    of = net("tanh")
    minimum = of.minima[0]
    worse = replace(minimum, residual=1e-7, margin=0.01)
    assert of.fingerprint(worse).radius == pytest.approx(1e-4)
    hopeless = replace(minimum, residual=1.0, margin=0.01)
    assert of.fingerprint(hopeless).radius == pytest.approx(1e-3 * float(minimum.theta.norm()))
    unknown = replace(minimum, residual=1e-9, margin=float("nan"))
    assert of.fingerprint(unknown).radius == pytest.approx(1e-8 / (2 * BETA))
