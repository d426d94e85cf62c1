"""Langevin escapes beside what is exact and beside Kramers' law: a double well and a chain of weights; parts of dynamics.py."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import torch
from dynamics_tables import shown
from torch import Tensor, nn

import spinodal as sp
from spinodal.theory import kramers_time, passage_time, saddle_amplitude

BETA, RATE = 0.2, 0.02  # of the chain, and the step of `train`
STEPS = (0.4, 0.2, 0.1)  # of the loop of its own
CHAINS = {6.0: 2_000, 10.0: 10_000}  # of the barrier over the temperature: each chain is watched for far longer than it settles
LOOKS = 5  # steps between two looks at what has escaped


class Weights(nn.Module):
    """A vector w, for energies that are functions of it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(size, dtype=torch.float64))


def wells(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return mean escape times from a double well beside the exact integral and Kramers' law."""
    header = ["barrier / T", "exact", "simulated", "standard error", "off by", "exact / Kramers", "bar"]
    return header, shown(_well(ratio, options) for ratio in ((1.0, 2.0, 3.5) if options.quick else (1.0, 2.0, 3.0, 4.0)))


def _well(ratio: float, options: argparse.Namespace) -> list[str]:
    runs, rate = (100, 0.02) if options.quick else (2000, 0.005)
    landscape = sp.Landscape(Weights(1), lambda model, batch: ((model.w**2 - 1.0) ** 2 / 4.0).sum(), None)
    temperature = 0.25 / ratio
    exact = passage_time(lambda w: (w**2 - 1.0) ** 2 / 4.0, temperature=temperature, begin=-1.0, end=1.0, low=-5.0)
    history = sp.train(
        landscape, -torch.ones(1), beta=0.0, learning_rate=rate, epochs=int(15 * exact / rate), method="langevin",
        temperature=temperature, seeds=range(options.seed, options.seed + runs), until=lambda thetas: 1.0 - thetas[:, 0],
    )  # fmt: skip
    mean, error = float(history.arrivals.mean()) * rate, float(history.arrivals.std()) * rate / math.sqrt(runs)
    law = kramers_time(0.25, temperature, minimum=[2.0], saddle=[-1.0])
    return [f"{ratio:g}", f"{exact:.3f}", f"{mean:.3f}", f"{error / exact:.1%}", f"{(mean - exact) / error:+.1f} errors",
            f"{exact / law:.3f}", f"{1 + 1 / ratio:.3f}"]  # fmt: skip


def chain(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return mean escape times of a chain of three weights beside Kramers' law with four saddles."""
    header = ["barrier / T", "by", "step", "Kramers", "simulated", "escapes", "ratio", "standard error"]
    return header, shown(_chains(options))


def _chains(options: argparse.Namespace) -> Iterator[list[str]]:
    landscape = sp.Landscape(Weights(3), lambda model, batch: (1.0 - model.w.prod()) ** 2, None)
    found = sp.diagnose(landscape, torch.zeros(3), BETA)
    beyond = (1.5 * saddle_amplitude(BETA, 1.0, matrices=3)) ** 3
    for ratio, chains in {3.0: 20}.items() if options.quick else CHAINS.items():
        temperature = found.barrier / ratio
        law = found.noise_time(temperature, saddles=4)
        if ratio <= min(CHAINS):
            mean, escapes = _trained(landscape, law, temperature, beyond, options)
            yield _chain_row(ratio, "train", RATE, law, mean, escapes)
        for step in STEPS:
            escapes = 60 if options.quick else 2_000 if ratio > min(CHAINS) else 10_000
            mean, escapes = renewals(temperature, beyond, escapes, chains, step, options.seed)
            yield _chain_row(ratio, "renewals", step, law, mean, escapes)


def _chain_row(ratio: float, how: str, step: float, law: float, mean: float, escapes: int) -> list[str]:
    return [f"{ratio:g}", how, f"{step:g}", f"{law:,.1f}", f"{mean:,.1f}", f"{escapes:,}", f"{mean / law:.3f}",
            f"{mean / law / math.sqrt(escapes):.3f}"]  # fmt: skip


def _trained(
    landscape: sp.Landscape, law: float, temperature: float, beyond: float, options: argparse.Namespace
) -> tuple[float, int]:
    """Return the time watched for each escape in `train`, as long as Kramers' law says, and how many there were."""
    runs = 60 if options.quick else 1600
    history = sp.train(
        landscape, torch.zeros(3), beta=BETA, learning_rate=RATE, epochs=int(law / RATE), method="langevin",
        temperature=temperature, seeds=range(options.seed, options.seed + runs), until=lambda thetas: beyond - thetas.prod(1),
    )  # fmt: skip
    escapes = history.ends.count("arrived")
    return sum(history.ended) * RATE / escapes, escapes


def renewals(temperature: float, beyond: float, escapes: int, chains: int, step: float, seed: int) -> tuple[float, int]:
    """Return the mean time between escapes of chains that begin anew after each, and how many escapes there were.

    The noise of a step is the mean of two, which is of second order in the step (Leimkuhler & Matthews, Appl. Math. Res.
    Express 2013, 34), so that steps may be far longer than those of `train`; what is left of their length is seen by halving
    them.
    """
    generator = torch.Generator().manual_seed(seed)
    w, last, fresh = torch.zeros(3, chains), torch.randn(3, chains, generator=generator), torch.empty(3, chains)
    size, found, looks = math.sqrt(0.5 * step * temperature), 0, 0
    while found < escapes:
        for _ in range(LOOKS):
            _descend(w, step)
            w.add_(last.add_(fresh.normal_(generator=generator)), alpha=size)
            last, fresh = fresh, last
        looks += 1
        out = w.prod(0) >= beyond
        found += int(out.sum())
        w[:, out] = 0.0
    return looks * LOOKS * step * chains / found, found


def _descend(w: Tensor, step: float) -> None:
    """Take a step down `(1 - w1 w2 w3)^2 + beta ||w||^2`, shape (3, chains), in place."""
    others = torch.stack([w[1] * w[2], w[0] * w[2], w[0] * w[1]])
    pull = (w[0] * others[0]).sub_(1.0).mul_(-2.0 * step)
    w.mul_(1.0 - 2.0 * BETA * step).add_(others.mul_(pull))
