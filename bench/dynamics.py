"""Training as dynamics: how fast many runs are, how often plateaus are named right, what noise does, beside what is exact.

    python bench/dynamics.py                   # all parts
    python bench/dynamics.py --part speed --threads 2
    python bench/dynamics.py --part verdicts --seed 7

`speed`: 64 starts of the gaussian task's network in one batched run, and the same 64 in an ordinary training loop
(`zero_grad`, `backward`, `SGD.step`), one after the other, both in float64; medians of repeated runs. Bars: at least 5 times
less time at 100 samples, 2 times at 1,000, on two threads and with both cores free; the ratio of processor time tells more
where they are not. What is imported on first use is imported before.

`verdicts`: deep linear networks whose plateau is known (`plateaus.py`), 25 of each verdict. Bar: 23 right of each.

`escape`: deep linear modes from balanced starts over three decades of strength, against the escape integral. Bar: 2 %. Beside
them starts below the saddle, for ten times the longest of these. Bar: none escapes.

`wells`: Langevin escapes from a double well against the exact mean first-passage integral (bar: within 3 standard errors, each
at most 3 %), and the exact integral against Kramers' law (bar: within 1 + temperature / barrier).

`chain`: Langevin escapes of `E = (1 - w1 w2 w3)^2` from the dead state over its four equivalent saddles, against Kramers'
law; an escape is the arrival at a strength where L is below that of the dead state. Bars: .85 to 1.25 at barrier /
temperature 6, .9 to 1.12 at 10. At 10 `train` would take nine thousand million steps; what a loop of its own with longer steps
finds is shown for three lengths of them, and at 6 beside `train`.

`random`, `noise`, `ways`, `forecast`, `data`, `slowing`: see `dynamics_starts.py`, `dynamics_noise.py`, `dynamics_ways.py`,
`dynamics_forecast.py`, `dynamics_data.py` and `dynamics_slowing.py`.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator

import torch
from dynamics_data import data_size
from dynamics_forecast import forecast
from dynamics_langevin import chain, wells
from dynamics_noise import noise
from dynamics_slowing import slowing
from dynamics_starts import random_starts
from dynamics_ways import ways
from hardware import print_table
from plateaus import VERDICTS, cases
from script import run
from torch import Tensor, nn

import spinodal as sp
from spinodal.theory import escape_time, mode_strength, saddle_amplitude

RUNS, REPEATS = 64, 5
PARTS = ("speed", "verdicts", "escape", "wells", "chain", "random", "noise", "ways", "forecast", "data", "slowing")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--part", choices=["all", *PARTS], default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2000, help="Of the part speed.")
    parser.add_argument("--quick", action="store_true", help="A check of the script, not a result.")


def main(options: argparse.Namespace) -> None:
    """Print the tables that were asked for."""
    for part in PARTS if options.part == "all" else (options.part,):
        header, rows = TABLES[part](options)
        print(f"\n{part}\n")
        print_table(header, rows)


# -- speed ----------------------------------------------------------------------------------------


def speed(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return the time of 64 runs in one computation and one after the other."""
    epochs, repeats = (options.epochs, 1) if options.quick else (options.epochs, REPEATS)
    header = ["samples", "epochs", "batched, s", "one by one, s", "ratio", "ratio of processor time"]
    return header, [speed_row(samples, epochs, repeats) for samples in (100, 1000)]


def speed_row(samples: int, epochs: int, repeats: int) -> list[str]:
    """Return medians for a number of samples."""
    task = sp.tasks.gaussian(samples=samples)
    landscape = task.landscape()
    starts = torch.stack([task.initial(seed) for seed in range(RUNS)])
    batched, single = [], []
    sp.train(landscape, starts[:2], beta=1e-5, learning_rate=0.05, epochs=min(epochs, 600))
    for _ in range(repeats):
        began = clocks()
        history = sp.train(landscape, starts, beta=1e-5, learning_rate=0.05, epochs=epochs)
        batched.append(since(began))
        began = clocks()
        ends = torch.stack([ordinary(task, theta, epochs) for theta in starts])
        single.append(since(began))
        torch.testing.assert_close(ends, history.theta, rtol=1e-6, atol=1e-8)
    (quick, quick_processor), (slow, slow_processor) = (
        [statistics.median(column) for column in zip(*times, strict=True)] for times in (batched, single)
    )
    return [
        str(samples),
        str(epochs),
        f"{quick:.2f}",
        f"{slow:.2f}",
        f"{slow / quick:.1f}",
        f"{slow_processor / quick_processor:.1f}",
    ]


def clocks() -> tuple[float, float]:
    """Return seconds on the wall and of the processor."""
    return time.perf_counter(), time.process_time()


def since(began: tuple[float, float]) -> tuple[float, float]:
    """Return what has passed of both."""
    return time.perf_counter() - began[0], time.process_time() - began[1]


def ordinary(task: sp.Task, theta: Tensor, epochs: int) -> Tensor:
    """Return where an ordinary training loop ends."""
    model = copy.deepcopy(task.model)
    nn.utils.vector_to_parameters(theta, model.parameters())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=2e-5)
    for _ in range(epochs):
        optimiser.zero_grad()
        task.loss(model, task.data).backward()
        optimiser.step()
    return nn.utils.parameters_to_vector(model.parameters()).detach()


# -- verdicts -------------------------------------------------------------------------------------


def verdicts(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return how many plateaus of each kind were named right."""
    count = 2 if options.quick else 25
    right, wrong = Counter[str](), []
    for case in cases(options.seed, count):
        found = sp.diagnose(case.landscape, case.theta, case.beta)
        right[case.verdict] += found.verdict == case.verdict
        if found.verdict != case.verdict:
            wrong.append(f"{case.words}: {found}")
    print("\n".join(wrong))
    return ["verdict", "right", "of"], [[verdict, str(right[verdict]), str(count)] for verdict in VERDICTS]


# -- escape ---------------------------------------------------------------------------------------


def escape(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    """Return measured escapes of deep linear modes beside the integral."""
    header = ["N", "w at the start", "integral, epochs", "measured", "difference"]
    return header, [row for matrices, low in ((3, 0.06), (4, 0.1)) for row in escape_rows(matrices, low, options.quick)]


def escape_rows(matrices: int, low: float, quick: bool) -> Iterator[list[str]]:
    """Yield a row for every amplitude, and one for starts below the saddle."""
    beta, s, rate, grown = 1e-3, 0.5, 0.05 if quick else 0.01, 0.9
    landscape = sp.tasks.gaussian(
        activation="linear", hidden=(1,) * (matrices - 1), inputs=1, outputs=1, singular_values=(s,), bias=False, samples=8,
        noise=0.0,
    ).landscape()  # fmt: skip
    covariance = float((landscape.batches.source[0][0] * landscape.batches.source[0][1]).mean())  # type: ignore[index]
    signs = torch.ones(matrices, dtype=torch.float64)
    signs[0] = math.copysign(1.0, covariance)
    amplitudes = [low * (0.6 / low) ** (place / 5) for place in range(6)]
    saddle = saddle_amplitude(beta, s, matrices=matrices)
    predicted = [escape_time(w, s, beta=beta, matrices=matrices, grown=grown) / rate for w in amplitudes]
    level = (s - grown * mode_strength(beta, s, matrices=matrices)) ** 2
    starts = torch.stack([w * signs for w in [*amplitudes, 0.5 * saddle, 0.98 * saddle]])
    history = sp.train(
        landscape, starts, beta=beta, learning_rate=rate, epochs=int(10 * max(predicted)), levels=(level,), floor=0.99 * level
    )
    for w, exact, measured in zip(amplitudes, predicted, history.crossings[:, 0].tolist(), strict=False):
        yield [str(matrices), f"{w:.3f}", f"{exact:.1f}", f"{measured:.1f}", f"{100 * (measured / exact - 1):+.2f} %"]
    escaped = int((~history.crossings[-2:, 0].isnan()).sum())
    yield [str(matrices), "below the saddle", "never", f"{escaped} of 2 within {history.epochs[-1]:,}", ""]


TABLES = {
    "speed": speed, "verdicts": verdicts, "escape": escape, "wells": wells, "chain": chain, "random": random_starts,
    "noise": noise, "ways": ways, "forecast": forecast, "data": data_size, "slowing": slowing,
}  # fmt: skip


if __name__ == "__main__":
    run(main, arguments)
