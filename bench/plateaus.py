"""Plateaus of deep linear networks whose answer is known, drawn by a seeded generator: metastable, slow, drifting, converged.

The modes of such a network decouple (see `spinodal.theory`): with hidden rotations, nested phases, and amplitudes below or
above the saddle of a dead mode, what gradient flow does is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spinodal import Landscape, tasks
from spinodal.theory import deep_linear, escape_time, mode_strength, saddle_amplitude

VERDICTS = ("metastable", "slow", "drifting", "converged")


@dataclass(frozen=True)
class Case:
    """A theta, and what is known of it; `time` is that of the escape integral where it applies."""

    verdict: str
    landscape: Landscape
    theta: Tensor
    beta: float
    time: float | None
    words: str


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield so many cases of each verdict."""
    for number in range(count):
        for kind, verdict in enumerate(VERDICTS):
            yield _case(verdict, np.random.default_rng([seed, number, kind]))


def _case(verdict: str, rng: np.random.Generator) -> Case:
    matrices = int(rng.integers(3, 5))
    modes = int(rng.integers(2, 4))
    strengths = sorted((float(value) for value in rng.uniform(0.4, 1.2, modes)), reverse=True)
    widths = [int(rng.integers(modes, modes + 3)) for _ in range(matrices + 1)]
    task = tasks.gaussian(
        singular_values=strengths, inputs=widths[0], outputs=widths[-1], hidden=widths[1:-1], activation="linear", bias=False,
        samples=40, noise=0.1, seed=int(rng.integers(10**6)),
    )  # fmt: skip
    weakest = min(found.coexistence for found in deep_linear(strengths, matrices=matrices) if found.coexistence)
    beta = float(weakest * 10 ** rng.uniform(-2.0, math.log10(0.6)))
    alive = [mode_strength(beta, s, matrices=matrices) ** (1.0 / matrices) for s in strengths]
    saddles = [saddle_amplitude(beta, s, matrices=matrices) for s in strengths]
    living = int(rng.integers(0, modes)) if verdict in ("metastable", "slow") else modes
    share = rng.uniform(0.02, 0.9) if verdict == "metastable" else rng.uniform(1.1, 4.0)
    dead = [min(share * saddle, 0.6 * w) for saddle, w in zip(saddles, alive, strict=True)]
    amplitudes = [alive[mode] if mode < living else dead[mode] for mode in range(modes)]
    stretch = np.exp(rng.uniform(0.25, 0.7, matrices) * _signs(matrices, rng)) if verdict == "drifting" else np.ones(matrices)
    stretch = stretch / stretch.prod() ** (1.0 / matrices)
    theta = _weights(task.data, widths, amplitudes, stretch, rng)
    noise = 1e-6 * torch.from_numpy(rng.standard_normal(len(theta)))
    grown = [escape_time(dead[m], strengths[m], beta=beta, matrices=matrices) for m in range(living, modes)]
    time = min(grown) if verdict == "slow" else None
    words = f"N = {matrices}, widths {widths}, modes {strengths}, {living} alive, beta = {beta:.3g}, share {share:.2f}"
    return Case(verdict, task.landscape(), theta + noise, beta, time, words)


def _signs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return signs of which both occur."""
    signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    return rng.permutation(signs)


def _weights(
    data: tuple[Tensor, Tensor], widths: list[int], amplitudes: list[float], stretch: np.ndarray, rng: np.random.Generator
) -> Tensor:
    """Return weights with these amplitudes of the modes in every matrix, stretched, in random hidden bases."""
    x, y = data
    left, _, right = torch.linalg.svd(y.T @ x / len(x))
    bases = [right.T, *(_rotation(width, rng) for width in widths[1:-1]), left]
    matrices = []
    for number, (inputs, outputs) in enumerate(pairwise(bases)):
        inner = torch.zeros(outputs.shape[1], inputs.shape[1], dtype=torch.float64)
        for mode, amplitude in enumerate(amplitudes):
            inner[mode, mode] = amplitude * float(stretch[number])
        matrices.append(outputs @ inner @ inputs.T)
    return torch.cat([matrix.reshape(-1) for matrix in matrices])


def _rotation(size: int, rng: np.random.Generator) -> Tensor:
    return torch.linalg.qr(torch.from_numpy(rng.standard_normal((size, size))))[0]
