"""How well ordinary grokking is foretold, by the norm law with and without a map and by gradient flow; part of dynamics.py.

Sparse parity (20 bits, 3 relevant, 120 samples, 16 tanh units: every run remembers its samples long before it finds the
rule) and addition modulo 11, 20 random starts each, full-batch gradient descent. A run has memorised when E is .1, and has
grokked when the held-out error is half of that of a constant output. Forecasts are made at the first, and scored against the
epochs from there to the second: the mean of `|forecast / measured - 1|` over the runs that grok.

- with the map: `log(norm_before^2 / norm_after^2) / (learning_rate * weight_decay)`, with the norm there as `norm_before`;
  `norm_after` is that of the deepest minimum known at this beta beforehand, from a walk down in beta and from random starts
  (the low end of a map).
- without: the same with the norm of the start in its place.
- by the flow: the time in which gradient flow of L from there loses half of what it loses of the squared norm (`drift_time` of
  `spinodal.diagnose`); for the networks whose Hessians are small.

Ranges are the 5th and 95th percentile.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from dynamics_tables import shown
from torch import Tensor

import spinodal as sp
from spinodal.dynamics import gradient_flow
from spinodal.landscape.objective import Regularised
from spinodal.landscape.penalty import Penalty
from spinodal.mapping.deepest import annealed, deepest
from spinodal.spectrum.operator import affords_dense

RUNS, MEMORISED, STARTS = 20, 0.1, 4
HEADER = ["task", "learning rate", "weight decay", "memorised, epochs", "right of its samples", "of the others",
          "grokked, epochs", "grokked", "with the map", "mean error", "without", "mean error without", "by the flow",
          "mean error by the flow", "right of the others at the end"]  # fmt: skip


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
    parity = sp.tasks.parity(samples=120, hidden=(16,), activation="tanh")
    benchmarks = (
        Benchmark(parity, 0.2, 1e-2, 1.5, 3000),
        Benchmark(parity, 0.2, 3e-3, 1.5, 8000),
        Benchmark(sp.tasks.modular(), 1.0, 3e-3, 1.0, 900),
        Benchmark(sp.tasks.modular(), 1.0, 1.5e-3, 1.0, 2000),
    )
    return HEADER, shown(_row(benchmark, options) for benchmark in benchmarks)


def _row(given: Benchmark, options: argparse.Namespace) -> list[str]:
    """Map, train, forecast and score."""
    task, runs, epochs = given.task, 2 if options.quick else RUNS, 300 if options.quick else given.epochs
    landscape = task.landscape()
    after = _norm_after(task, landscape, given.beta)
    starts = given.scale * torch.stack([task.initial(options.seed * RUNS + run) for run in range(runs)])
    how = {"beta": given.beta, "learning_rate": given.learning_rate, "task": task}
    first = sp.train(landscape, starts, epochs=epochs, floor=MEMORISED, **how)
    memorised, before = first.arrivals, first.theta.norm(dim=1).double()
    pace = given.learning_rate * 2.0 * given.beta
    with_map = (before**2 / after**2).log() / pace
    without = (before**2 / starts.norm(dim=1) ** 2).log() / pace
    flow = _drifts(landscape, first.theta, given) if affords_dense(landscape) else torch.full((runs,), math.nan).double()
    history = sp.train(landscape, starts, epochs=epochs, **how)
    grokked = _when(history, 0.5 * _constant(task))
    delay = grokked - memorised
    done = delay.isfinite() & (delay > 0)
    return [
        task.name, f"{given.learning_rate:g}", f"{2 * given.beta:g}", _median(memorised),
        *(f"{_last(curve):.2f}" for curve in (first.accuracy, first.held_out_accuracy)), _median(grokked[done]),
        f"{int(done.sum())} of {runs}", _median(with_map), _error(with_map[done], delay[done]), _median(without),
        _error(without[done], delay[done]), _median(flow), _error(flow[done], delay[done]),
        f"{_last(history.held_out_accuracy):.2f}",
    ]  # fmt: skip


def _drifts(landscape: sp.Landscape, thetas: Tensor, given: Benchmark) -> Tensor:
    """Return the epochs in which gradient flow loses half of the squared norm that it loses."""
    loss, found = Regularised(landscape, given.beta), []
    for theta in thetas:
        flow = gradient_flow(loss, theta)
        first, last = flow.norms[0], flow.norms[-1]
        found.append(flow.when_norm(math.sqrt(0.5 * (first**2 + last**2))) if last < first else math.nan)
    return torch.tensor(found, dtype=torch.float64) / given.learning_rate


def _last(curve: Tensor | None) -> float:
    """Return the median over runs of what is known last of each."""
    assert curve is not None
    known = (~curve.isnan()).sum(1, keepdim=True).clamp_min(1) - 1
    return float(curve.gather(1, known).median())


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


def _median(values: Tensor) -> str:
    known = values[~values.isnan()]
    if not len(known):
        return "-"
    low, middle, high = known.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def _error(forecast: Tensor, measured: Tensor) -> str:
    return f"{100 * float((forecast / measured - 1.0).abs().mean()):.0f} %" if forecast.isfinite().any() else "-"
