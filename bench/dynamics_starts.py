"""How often a random start is stuck, and for how long, against the number of modes and of hidden layers; part of dynamics.py.

Networks of width 10 on 8 whitened inputs and 8 outputs, whose covariance has `modes` singular values from .9 down to .5: the
weakest is the same everywhere. 64 random starts of PyTorch's initialisation are trained at once at learning rate .05. A run
has arrived when E is within a quarter of the square of the weakest singular value of that with all modes alive (by the closed
form, or the lowest that a few larger starts reach); before, at least one mode is dead: it is in a nested state of lower rank.
`beta` is 1e-5, or half of that at which the weakest mode of the linear network is no longer worth its norm. Intervals are of
95 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import torch
from dynamics_tables import shown, wilson

import spinodal as sp
from spinodal.theory import deep_linear, mode_strength

RUNS, RATE, HORIZONS = 64, 0.05, (300, 1000, 2000)
SAMPLES, WIDTH, SIDES = 24, 10, 8
HEADER = ["network", "hidden layers", "modes", "beta", *(f"stuck after {epochs:,}" for epochs in HORIZONS), "median epochs",
          "5 % and 95 %", "rank of the stuck"]  # fmt: skip


def random_starts(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the table."""
    return HEADER, shown(_rows(options))


def _rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for activation in ("linear", "tanh"):
        for layers in (1, 2, 3, 4):
            for modes in (1, 8) if options.quick else range(1, 9):
                for share in (None, 0.5):
                    yield _row(activation, layers, modes, share, options)


def _row(activation: str, layers: int, modes: int, share: float | None, options: argparse.Namespace) -> list[str]:
    """Train from random starts and count which are stuck."""
    strengths = torch.linspace(0.9, 0.5, modes).tolist() if modes > 1 else [0.5]
    task = sp.tasks.gaussian(
        singular_values=strengths, inputs=SIDES, outputs=SIDES, hidden=(WIDTH,) * layers, activation=activation, bias=False,
        samples=SAMPLES, noise=0.1, seed=options.seed,
    )  # fmt: skip
    weakest = deep_linear([0.5], matrices=layers + 1)[0]
    beta = 1e-5 if share is None else share * (weakest.coexistence or weakest.beta)
    landscape = task.landscape()
    starts = torch.stack([task.initial(options.seed * RUNS + run) for run in range(RUNS)])
    horizon = 300 if options.quick else HORIZONS[-1]
    level = _best(task, landscape, starts, beta, layers + 1, strengths) + 0.25 * 0.5**2
    history = sp.train(landscape, starts, beta=beta, learning_rate=RATE, epochs=horizon, floor=level, task=None)
    waited = history.arrivals.nan_to_num(math.inf)
    stuck = [int((waited > epochs).sum()) for epochs in HORIZONS]
    shares = [f"{100 * count / RUNS:.0f} % ({wilson(count, RUNS)})" for count in stuck]
    ranks = sorted({int(rank) for rank, end in zip(_last(history.rank), history.ends, strict=True) if end != "arrived"})
    spread = [_epochs(float(waited.quantile(q, interpolation="nearest"))) for q in (0.5, 0.05, 0.95)]
    return [activation, str(layers), str(modes), f"{beta:.4g}", *shares, spread[0], f"{spread[1]} to {spread[2]}",
            ", ".join(map(str, ranks)) or "-"]  # fmt: skip


def _best(
    task: sp.Task, landscape: sp.Landscape, starts: torch.Tensor, beta: float, matrices: int, strengths: list[float]
) -> float:
    """Return E with all modes alive: by the closed form, or the lowest that a few larger starts reach."""
    if task.settings["activation"] == "linear":
        dead = float(task.data[1].square().sum(1).mean())
        return dead + sum((s - mode_strength(beta, s, matrices=matrices)) ** 2 - s**2 for s in strengths)
    ends = sp.train(landscape, starts[:8] * 2.0, beta=beta, learning_rate=2 * RATE, epochs=600)
    return float(ends.error[:, -1].nan_to_num(math.inf).min())


def _last(curve: torch.Tensor) -> list[float]:
    """Return the last known value of every run."""
    known = (~curve.isnan()).sum(1, keepdim=True).clamp_min(1) - 1
    return curve.gather(1, known)[:, 0].tolist()


def _epochs(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "never"
