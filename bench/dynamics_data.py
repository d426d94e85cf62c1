"""Hysteresis of generalisation, with the number of samples as the control; part of dynamics.py.

Sparse parity of 20 bits, 3 of them relevant, 16 tanh units. `beta` stays, and samples are taken away from 320 down to 20 and
given back, a factor of the square root of two at a time, in one order; each time the network is minimised from where it was,
to a minimum with a margin that is not negative. The walk down begins in the deepest minimum that a few random starts reach with
all samples, the walk up at the deepest with 20. The held-out error (of 1,000 samples; that of a constant is 1) tells where they
are: in a minimum that knows the rule, or in one that remembers. Medians over draws of the samples, with the least and the most;
a loop is a number of samples at which the held-out errors of the two ways differ by .5 or more.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence

import torch
from dynamics_tables import shown
from torch import Tensor

import spinodal as sp

DRAWS, STARTS, BETAS, LOOP = 8, 4, (1e-2, 3e-2), 0.5
COUNTS = tuple(round(20 * 2 ** (place / 2)) for place in range(9))
HEADER = ["beta", "samples", "E down", "E up", "held out, down", "held out, up", "L up less L down", "loops"]
Point = tuple[float, float, float]  # E, L, the held-out error


def data_size(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    return HEADER, shown(_rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    draws, counts = (1, COUNTS[:5]) if options.quick else (DRAWS, COUNTS)
    for beta in BETAS:
        loops = [both_ways(options.seed * DRAWS + draw, beta, counts) for draw in range(draws)]
        for place, count in enumerate(counts):
            down, up = ([ways[side][place] for ways in loops] for side in (0, 1))
            wide = sum(abs(one[2] - other[2]) >= LOOP for one, other in zip(down, up, strict=True))
            above = [other[1] - one[1] for one, other in zip(down, up, strict=True)]
            yield [f"{beta:g}", str(count), *(_told([point[part] for point in way]) for part in (0, 2) for way in (down, up)),
                   _told(above), f"{wide} of {draws}"]  # fmt: skip


def both_ways(seed: int, beta: float, counts: Sequence[int]) -> tuple[list[Point], list[Point]]:
    """Return the points of the walks down and up, both in the order of rising numbers of samples."""
    task = sp.tasks.parity(samples=max(counts), hidden=(16,), activation="tanh", seed=seed)
    beyond = sp.Landscape(task.model, task.loss, task.held_out)

    def walk(order: Sequence[int]) -> list[Point]:
        theta, points = _deepest(task, order[0], beta), []
        for count in order:
            found = sp.minimise(first_samples(task, count), beta=beta, start=theta)
            theta = found.theta
            points.append((found.error, found.loss, beyond.value(theta)))
        return points

    return walk(counts[::-1])[::-1], walk(counts)


def first_samples(task: sp.Task, count: int) -> sp.Landscape:
    """Return the error over the first samples of a task."""
    return sp.Landscape(task.model, task.loss, tuple(part[:count] for part in task.data))


def _deepest(task: sp.Task, count: int, beta: float) -> Tensor:
    """Return the deepest minimum that a few random starts are trained to."""
    landscape, starts = first_samples(task, count), 1.5 * torch.stack([task.initial(run) for run in range(STARTS)])
    ends = sp.train(landscape, starts, beta=beta, learning_rate=0.1, epochs=1000).theta
    return min((sp.minimise(landscape, beta=beta, start=end) for end in ends), key=lambda item: item.loss).theta


def _told(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
