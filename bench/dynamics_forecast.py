"""How well the norm law foretells ordinary grokking, with and without a map; part of dynamics.py.

Sparse parity (20 bits, 3 relevant) and addition modulo 11, 20 random starts each, full-batch gradient descent. A run has
memorised when E is .1, and has grokked when the held-out error is half of that of a constant output. The forecast is made at
the first: `log(norm_before^2 / norm_after^2) / (learning_rate * weight_decay)`, with the norm there as `norm_before`.
`norm_after` is that of the deepest minimum known at this beta beforehand, from a walk down in beta and from random starts (the
low end of a map), or, without a map, that of the start. It is scored against the epochs from memorising to grokking: the mean
of `|forecast / measured - 1|` over the runs that grok. Ranges are the 5th and 95th percentile.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from torch import Tensor

import spinodal as sp
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.deepest import annealed, deepest

RUNS, MEMORISED, STARTS = 20, 0.1, 4
HEADER = ["task", "learning rate", "weight decay", "memorised, epochs", "grokked, epochs", "grokked", "forecast with the map",
          "mean error", "forecast without", "mean error without", "accuracy held out"]  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """A task and how it is trained."""

    task: sp.Task
    learning_rate: float
    beta: float
    scale: float
    epochs: int


def forecast(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    benchmarks = (
        Benchmark(sp.tasks.parity(), 0.2, 4e-3, 1.5, 900),
        Benchmark(sp.tasks.modular(), 1.0, 3e-3, 1.0, 900),
        Benchmark(sp.tasks.modular(), 1.0, 1.5e-3, 1.0, 2000),
    )
    return HEADER, [_row(benchmark, options) for benchmark in benchmarks]


def _row(given: Benchmark, options: argparse.Namespace) -> list[str]:
    """Map, train, forecast and score."""
    task, runs, epochs = given.task, 2 if options.quick else RUNS, 50 if options.quick else given.epochs
    landscape = task.landscape()
    after = _norm_after(task, landscape, given.beta)
    starts = given.scale * torch.stack([task.initial(options.seed * RUNS + run) for run in range(runs)])
    history = sp.train(
        landscape, starts, beta=given.beta, learning_rate=given.learning_rate, epochs=epochs, levels=(MEMORISED,), task=task
    )
    memorised, grokked = history.crossings[:, 0], _when(history, 0.5 * _constant(task))
    before = _at(history, history.norm, memorised)
    pace = given.learning_rate * 2.0 * given.beta
    with_map = (before**2 / after**2).log() / pace
    without = (before**2 / starts.norm(dim=1) ** 2).log() / pace
    delay = grokked - memorised
    done = delay.isfinite() & (delay > 0)
    return [
        task.name, f"{given.learning_rate:g}", f"{2 * given.beta:g}", _median(memorised), _median(grokked[done]),
        f"{int(done.sum())} of {runs}", _median(with_map), _error(with_map[done], delay[done]), _median(without),
        _error(without[done], delay[done]), f"{float(history.held_out_accuracy[:, -1].median()):.2f}",
    ]  # fmt: skip


def _norm_after(task: sp.Task, landscape: sp.Landscape, beta: float) -> float:
    """Return the norm of the deepest minimum found at beta, before anything is trained."""
    random = torch.stack([task.initial(1000 + seed) for seed in range(STARTS)])
    penalty = Penalty().on(landscape)
    candidates = [annealed(landscape, penalty, beta, 300.0 * beta, random), deepest(landscape, penalty, beta, random)[0]]
    found = min((sp.minimise(landscape, beta=beta, start=theta) for theta in candidates), key=lambda item: item.loss)
    return float(found.theta.norm())


def _constant(task: sp.Task) -> float:
    """Return the held-out error of the mean of the targets."""
    targets = task.held_out[1]
    return float((targets - targets.mean(0)).square().sum(1).mean())


def _when(history: sp.Trajectory, level: float) -> Tensor:
    """Return the epoch at which the held-out error is at a level for the last time from above, interpolated; NaN if never."""
    found = torch.full((len(history),), math.nan, dtype=torch.float64)
    for run, curve in enumerate(history.held_out_error):
        above = torch.nonzero(curve > level)[:, 0]
        place = int(above[-1]) if len(above) else 0
        if place + 1 < len(curve):
            share = (curve[place] - level) / (curve[place] - curve[place + 1])
            found[run] = history.epochs[place] + share * (history.epochs[place + 1] - history.epochs[place])
    return found


def _at(history: sp.Trajectory, curve: Tensor, epochs: Tensor) -> Tensor:
    """Return a curve at an epoch of every run, from the record before it."""
    places = torch.searchsorted(torch.tensor(history.epochs, dtype=torch.float64), epochs.nan_to_num(0.0)).clamp_max(
        curve.shape[1] - 1
    )
    return curve.gather(1, places[:, None])[:, 0]


def _median(values: Tensor) -> str:
    known = values[~values.isnan()]
    if not len(known):
        return "-"
    low, middle, high = known.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def _error(forecast: Tensor, measured: Tensor) -> str:
    return f"{100 * float((forecast / measured - 1.0).abs().mean()):.0f} %" if len(measured) else "-"
