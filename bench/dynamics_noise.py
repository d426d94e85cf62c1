"""Noise of mini-batches against Langevin noise from the same metastable phase; part of dynamics.py.

Two networks, both in the metastable phase of rank 1 at beta = .1, where rank 2 is deeper: 2-4-4-2 linear without biases, where
noise of mini-batches vanishes with the weights of the dead mode, and the same with tanh and biases. 24 seeds each, from the
minimum itself, and from halfway between it and the lowest saddle found. Langevin noise has the temperature at which its power
in a step is that of the mini-batches at the minimum, `T = learning_rate * trace(covariance of the gradient) / (2 n)`, or a
third of the barrier. An escape is the arrival of E halfway between the two phases; the rank fell where the minimum that is left
at the end has a larger E. Runs have 4,000 steps; those with mini-batches are looked at about every 5 % of their steps, so that
times of short waits are rough. Intervals are of 95 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from dynamics_tables import shown, wilson
from scipy.stats import chi2
from torch import Tensor

import spinodal as sp
from spinodal.dynamics import saddle_beside
from spinodal.dynamics.gradients import Gradients
from spinodal.landscape.objective import Regularised

BETA, RUNS, STEPS, SAMPLES = 0.1, 24, 4_000, 64
HEADER = ["network", "start", "learning rate", "noise", "barrier / T", "escaped", "rank fell", "mean wait, steps",
          "median of those that escaped"]  # fmt: skip


@dataclass(frozen=True)
class Trap:
    """A metastable phase, the saddle beside it, and the deeper phase."""

    landscape: sp.Landscape
    found: sp.Diagnosis
    saddle: Tensor

    @property
    def level(self) -> float:
        """Return E halfway between the phases."""
        return 0.5 * (self.found.end.error + self.found.best.error)

    def temperature(self, rate: float, size: int) -> float:
        """Return the temperature of Langevin noise with the power of mini-batches at the minimum."""
        singles = torch.arange(SAMPLES)[:, None]
        thetas = self.found.end.theta.expand(SAMPLES, -1).contiguous()
        _, gradients = Gradients(self.landscape).of_samples(thetas, singles)
        one = float((gradients - gradients.mean(0)).square().sum()) / SAMPLES
        left = (SAMPLES - size) / (SAMPLES - 1)  # batches are drawn without replacement
        return rate * one / size * left / (2.0 * self.landscape.size)


def noise(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    return HEADER, shown(_rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    steps = STEPS // 20 if options.quick else STEPS
    for activation, bias in (("linear", False), ("tanh", True)):
        trap = _trap(activation, bias)
        for share in (0.0, 0.5):
            start = trap.found.end.theta + share * (trap.saddle - trap.found.end.theta)
            name = [f"{activation}{'' if bias else ', no biases'}", "halfway to the saddle" if share else "the minimum"]
            for rate, size in ((0.02, 4), (0.02, 1), (0.05, 1)):
                matched = trap.temperature(rate, size)
                for kind, settings in (
                    (f"batches of {size}", {"method": "sgd", "batch_size": size}),
                    ("Langevin, same power", {"method": "langevin", "temperature": matched}),
                ):
                    yield [*name, f"{rate:g}", kind, *_counted(trap, start, rate, matched, settings, steps, options.seed)]
            third = trap.found.barrier / 3.0
            settings = {"method": "langevin", "temperature": third}
            yield [*name, "0.02", "Langevin", *_counted(trap, start, 0.02, third, settings, steps, options.seed)]


def _trap(activation: str, bias: bool) -> Trap:
    """Walk the phase of rank 1 down to where it is metastable."""
    task = sp.tasks.gaussian(activation=activation, hidden=(4, 4), inputs=2, outputs=2, bias=bias, samples=SAMPLES, noise=0.5)
    landscape = task.landscape()
    begun = sp.minimise(landscape, beta=0.24, start=1.5 * task.initial(0))
    end = sp.sweep(landscape, start=begun, to=BETA).points[-1].minimum
    found = sp.diagnose(landscape, end, BETA)
    saddle = saddle_beside(Regularised(landscape, BETA), found.end.theta)
    assert found.verdict == "metastable", str(found)
    assert saddle is not None
    return Trap(landscape, found, saddle.theta)


def _counted(
    trap: Trap, start: Tensor, rate: float, temperature: float, settings: dict[str, Any], steps: int, seed: int
) -> list[str]:
    """Train and count escapes; the mean wait is that of an exponential law, seen for as long as the runs were."""
    per_epoch = math.ceil(SAMPLES / settings["batch_size"]) if "batch_size" in settings else 1
    history = sp.train(
        trap.landscape, start, beta=BETA, learning_rate=rate, epochs=steps // per_epoch, floor=trap.level,
        seeds=range(seed * RUNS, (seed + 1) * RUNS), **settings,
    )  # fmt: skip
    out = sum(end == "arrived" for end in history.ends)
    watched = sum(history.ended) * per_epoch
    lost = sum(_settled(trap, theta) > 2.0 * trap.found.end.error - trap.level for theta in history.theta)
    waits = history.arrivals[~history.arrivals.isnan()] * per_epoch
    return [f"{trap.found.barrier / temperature:.1f}", _share(out), _share(lost), _mean(watched, out),
            f"{float(waits.median()):,.0f}" if out else "-"]  # fmt: skip


def _settled(trap: Trap, theta: Tensor) -> float:
    """Return E of the minimum that is left once the noise is gone."""
    return sp.minimise(trap.landscape, beta=BETA, start=theta).error


def _share(count: int) -> str:
    return f"{count} of {RUNS} ({wilson(count, RUNS)} %)"


def _mean(watched: float, out: int) -> str:
    """Return the mean of an exponential waiting time with its interval, from the time that was watched."""
    low, high = 2.0 * watched / chi2.ppf(0.975, 2 * out + 2), 2.0 * watched / chi2.ppf(0.025, 2 * out) if out else math.inf
    return f"{watched / out:,.0f} ({low:,.0f} to {high:,.0f})" if out else f"over {low:,.0f}"
