"""The published protocol: train at every value of a grid of weight_decay, carrying the weights from one to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from spinodal.conventions import beta_of
from spinodal.counts import Counts
from spinodal.definitions import MACROSCOPIC
from spinodal.landscape.objective import Regularised
from spinodal.mapping.after_walk import Walk
from spinodal.mapping.mapper import Mapper
from spinodal.minima.minibatch import trainer
from spinodal.minima.minimise import solve
from spinodal.minima.solver import Solver
from spinodal.sweeps.criteria import Criteria
from spinodal.sweeps.order import Evidence
from spinodal.sweeps.point import Point
from spinodal.sweeps.sweep import Sweep
from spinodal.sweeps.transition import Transition
from spinodal.sweeps.walk import Walker

BESIDE = 3  # steps of the grid on either side that tell what a step is usually like
ON_A_GRID = "met on a grid: between its values, at models that were trained for a set number of epochs"


class Protocol(Mapper):
    """A map in the making along a grid: as published, with noisy transitions between values of the grid.

    The parameters are those of `Mapper`. The points are the trained models at the positive values; a value of 0 is trained at
    first, and its weights are carried on, but it has no place on a logarithmic axis.
    """

    def _walker(self) -> Walker:
        return Walker(
            self.landscape, self.control, self.problem.observe, solver=self.solver, recorder=self.recorder, part="grid"
        )

    @cached_property
    def solver(self) -> Solver:
        """Return what trains at each value."""
        return trainer(self.options.solver, self.options.training)

    def _walked(self) -> Walk:
        self._settle_control()
        self._refuse_other_data()
        first, *rest = [beta_of(decay) for decay in self.options.decays if decay > 0.0]
        self.progress.range(first, rest[-1], self.solver.name)
        self.progress.stage(f"training at beta = {first:.4g}")
        points = [self.walker.find(first, self._start)]
        self.progress.point(points[0])
        for beta in rest:
            points.append(self.walker.follow(points[-1], beta, torch.zeros_like(points[-1].minimum.theta)))
            self.progress.point(points[-1])
        found = transitions_on_a_grid(points)
        for transition in found:
            self._met(transition)
        errors, norms = [point.error for point in points], [point.norm_squared for point in points]
        criteria = Criteria(max(errors) - min(errors), max(norms) - min(norms), rough=True)
        sweep = Sweep(tuple(points), found, "complete")
        return Walk((first, rest[-1]), sweep, points[0], points[-1], criteria)

    def _start(self) -> tuple[Tensor, Counts]:
        """Return the weights that the first positive value begins with, and what they took."""
        theta = self.landscape.vector(self.task.initial(1000 * self.options.seed))
        if self.options.decays[0] > 0.0:
            return theta, Counts(parameters=self.landscape.size)
        with self.landscape.counting() as spent:
            trained, _ = solve(Regularised(self.landscape, 0.0, self.control), theta, solver=self.solver)
        return trained.theta, spent


def transitions_on_a_grid(points: Sequence[Point]) -> tuple[Transition, ...]:
    """Return where E changes from one value to the next by 1 % of its range more than it does beside; neighbours are one.

    Their order cannot be told: neither side is a minimum.
    """
    errors = [point.error for point in points]
    return tuple(_transition(points[low], points[high]) for low, high in falls(errors))


def falls(errors: Sequence[float]) -> list[tuple[int, int]]:
    """Return the places between which E falls or rises by more than is usual beside, first and last.

    Examples
    --------
    >>> falls([0.0, 0.1, 0.2, 0.3, 0.8, 0.95, 1.0, 1.1, 1.2, 1.3])
    [(3, 4)]
    """
    steps = [abs(b - a) for a, b in pairwise(errors)]
    least = MACROSCOPIC * (max(errors) - min(errors))
    usual = [median(steps[max(place - BESIDE, 0) : place + BESIDE + 1]) for place in range(len(steps))]
    found: list[tuple[int, int]] = []
    for place, (step, other) in enumerate(zip(steps, usual, strict=True)):
        if step - other <= max(least, other):
            continue
        joins = bool(found) and found[-1][1] == place
        found.append((found.pop()[0] if joins else place, place + 1))
    return found


def _transition(before: Point, after: Point) -> Transition:
    return Transition(
        beta=math.sqrt(before.beta * after.beta),
        bracket=(before.beta, after.beta),
        direction="up",
        order="not classified",
        minor=False,
        status=ON_A_GRID,
        before=before,
        after=after,
        evidence=Evidence(None, math.nan, None, False, after.norm_squared - before.norm_squared, math.nan),
    )
